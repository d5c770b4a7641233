//! Edits: any bytes are replaced or refused, what stands before the first replacement stays, a miss can be reported on.
//!
//! Input: one byte of flags (bit 0: replace_all, bit 1: fuzzy), then search, replacement and content, parted by 0xff.
#![no_main]

use std::time::{Duration, Instant};

use deskd::vfs::edit::{
    Edit, apply,
    report::{Room, report},
    unified,
};
use libfuzzer_sys::fuzz_target;

/// No result may be larger.
const LIMIT: usize = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let [flags, data @ ..] = data else {
        return;
    };
    let mut parts = data.splitn(3, |byte| *byte == 0xff);
    let mut part = || parts.next().unwrap_or_default();
    let (search, replace, content) = (part(), part(), part());
    let edit = Edit {
        search,
        replace,
        replace_all: flags & 1 != 0,
        fuzzy: flags & 2 != 0,
    };
    match apply(content, &edit, LIMIT) {
        Ok(applied) => {
            assert!(applied.content.len() <= LIMIT);
            let lines = content.split_inclusive(|byte| *byte == b'\n');
            let before: Vec<_> = lines.take(applied.found.line - 1).collect();
            assert!(applied.content.starts_with(&before.concat()));
            let deadline = Instant::now() + Duration::from_millis(100);
            let diff = unified(b"/file", content, &applied.content, deadline);
            assert_eq!(diff.is_empty(), applied.content == content);
        }
        Err(refusal) => {
            report(content, &edit, &refusal, &mut Room::default(), &|| false);
        }
    }
});
