//! Pages of lines against a plain reading of the whole text.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::{index::Index, page, *};
use crate::vfs::{
    entry::{Attributes, EntryKind, Time},
    fault::Kind,
    path::TreePath,
    provider::OpenFile,
    table::Table,
};

/// A text as an opened file, which notes where it was read.
#[derive(Debug)]
struct Text {
    bytes: Vec<u8>,
    read: Mutex<u64>,
}

impl OpenFile for Text {
    fn attributes(&self) -> Result<Attributes> {
        Err(Fault::new(Kind::NotSupported, "look up", b""))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let rest = &self.bytes[usize::try_from(offset).expect("small")..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        *self.read.lock().expect("free") += count as u64;
        Ok(count)
    }
}

fn source(bytes: &[u8], mtime: i64) -> (Source, Arc<Text>) {
    let text = Arc::new(Text {
        bytes: bytes.to_vec(),
        read: Mutex::new(0),
    });
    let identity = Identity {
        device: 1,
        inode: 1,
    };
    let (size, mtime) = (
        bytes.len() as u64,
        Time {
            seconds: mtime,
            nanos: 0,
        },
    );
    let attributes = Attributes {
        kind: EntryKind::File,
        size,
        mode: 0o644,
        uid: 0,
        gid: 0,
        links: 1,
        mtime,
        identity,
        version: Version::Stat {
            identity,
            size,
            mtime,
        },
        target: None,
        magic: false,
        commit: None,
    };
    let source = Source {
        path: TreePath::root(),
        mount: Arc::clone(Table::default().synthetic()),
        file: Arc::clone(&text) as Arc<dyn OpenFile>,
        attributes,
        length: Some(size),
    };
    (source, text)
}

fn wish(first: u64, limit: u64, keep: usize) -> Wish {
    Wish {
        first,
        limit,
        max_line_bytes: keep,
        max_lines: u64::MAX,
        max_bytes: usize::MAX,
        partial: true,
    }
}

/// The same by cutting the whole text.
fn plain(text: &[u8], wish: &Wish) -> Vec<u8> {
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    let first = usize::try_from(wish.first).expect("small") - 1;
    let limit = usize::try_from(wish.limit).expect("small");
    let shown = lines.skip(first).take(limit).map(|(at, line)| {
        let mut shown = format!("{}\t", at + 1).into_bytes();
        shown.extend_from_slice(&line[..line.len().min(wish.max_line_bytes)]);
        if line.len() > wish.max_line_bytes {
            shown.extend_from_slice(CUT_MARK);
        }
        shown
    });
    shown.collect::<Vec<_>>().join(&b"\n"[..])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_page_is_what_plain_reading_gives(
        lengths in proptest::collection::vec(prop_oneof![0..50_usize, 60_000..70_000_usize, 200_000..200_001_usize], 1..12),
        first in 1..12_u64,
        limit in 1..5_u64,
        keep in prop_oneof![1..100_usize, Just(70_000_usize)],
        scanned in 0..3_usize,
    ) {
        let lines: Vec<_> = lengths.iter().map(|length| vec![b'x'; *length]).collect();
        let text = lines.join(&b"\n"[..]);
        prop_assume!(first <= lengths.len() as u64);
        let wish = wish(first, limit, keep);
        let (source, _) = source(&text, 0);
        let mut index = Index::default();
        // All of it, or just as far as the page's first line takes.
        let mut end = 0;
        while end < text.len() && (scanned == 0 || index.line_feeds() < first - 1) {
            let next = (end + 10_000).min(text.len());
            index.feed(&text[end..next]);
            end = next;
        }
        let page = page::read(&source, text.len() as u64, &index, &wish).expect("read").expect("no budget");
        prop_assert_eq!(&page.content, &plain(&text, &wish));
        let last = first + page.lines - 1;
        prop_assert_eq!(page.next, (last < lengths.len() as u64).then_some(last + 1));
    }
}

#[tokio::test]
async fn a_file_is_scanned_once_for_each_version() {
    let mut bytes = Vec::new();
    for line in 0..100_000 {
        bytes.extend_from_slice(format!("line {line}\n").as_bytes());
    }
    let vfs = Vfs::new(Table::default());
    let lines = Lines::default();
    let last = wish(99_999, 5, 100);
    let (first, text) = source(&bytes, 0);
    let (page, total) = lines
        .page(&vfs, &first, last, Reach::End)
        .await
        .expect("a page");
    assert_eq!(
        page.content,
        b"99999\tline 99998\n100000\tline 99999\n100001\t"
    );
    assert_eq!(total, Some(100_001));
    let read = || *text.read.lock().expect("free");
    let before = read();
    lines
        .page(&vfs, &first, last, Reach::End)
        .await
        .expect("a page");
    assert!(
        read() - before <= 3 * index::BLOCK,
        "{} bytes were read again",
        read() - before
    );
    let (other, text) = source(&bytes, 1);
    lines
        .page(&vfs, &other, last, Reach::End)
        .await
        .expect("a page");
    assert!(
        *text.read.lock().expect("free") > bytes.len() as u64,
        "another version"
    );
    let beyond = lines
        .page(&vfs, &first, wish(100_002, 1, 9), Reach::Page)
        .await;
    assert!(matches!(beyond, Err(Refused::Beyond(100_001))));
}

#[tokio::test]
async fn no_more_indexes_are_kept_than_there_is_room_for() {
    let vfs = Vfs::new(Table::default());
    let lines = Lines::default();
    let bytes = vec![b'\n'; 300_000];
    for version in 0..100 {
        let (source, _) = source(&bytes, version);
        lines
            .page(&vfs, &source, wish(1, 1, 1), Reach::End)
            .await
            .expect("a page");
    }
    assert_eq!(lines.kept().len(), MAX_FILES);
    let small = source(b"small\n", 0).0;
    lines
        .page(&vfs, &small, wish(1, 1, 9), Reach::End)
        .await
        .expect("a page");
    assert_eq!(lines.kept().len(), MAX_FILES);
}
