//! Head and tail of an output as text, and the cleaning of bytes to text. Pure.

/// Longest line that is shown whole, in bytes without its newline.
const LINE: usize = 2048;
/// What stands for the rest of a longer one.
const CUT: &[u8] = b" ... [truncated]";

/// What of an output is shown, and what is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The text.
    pub text: String,
    /// When something was left out.
    pub truncated: Option<Truncated>,
}

/// How much was left out. All counts are of the process's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated {
    /// All bytes.
    pub original: u64,
    /// Bytes that are shown.
    pub retained: u64,
    /// Lines that were cut.
    pub lines_cut: u64,
}

/// Shows an output of `total` bytes of which at most `limit` are to be shown. When it has no more, `head` is all of it; otherwise
/// `head` and `tail` are its first and last `limit / 2` bytes, or what is left of them.
pub fn excerpt(head: &[u8], tail: &[u8], total: u64, limit: usize) -> Excerpt {
    let mut shown = Shown::default();
    if total <= length(limit) {
        shown.add(head);
    } else {
        let head = &head[..whole_start(head)];
        let tail = &tail[skip_partial(tail)..];
        let omitted = total.saturating_sub(length(head.len() + tail.len()));
        shown.add(head);
        let marker = format!("\n\n... [omitted {omitted} bytes] ...\n\n");
        shown.bytes.extend_from_slice(marker.as_bytes());
        shown.add(tail);
    }
    let truncated = (shown.retained < total).then_some(Truncated {
        original: total,
        retained: shown.retained,
        lines_cut: shown.lines_cut,
    });
    Excerpt {
        text: clean(&shown.bytes),
        truncated,
    }
}

#[derive(Default)]
struct Shown {
    bytes: Vec<u8>,
    retained: u64,
    lines_cut: u64,
}

impl Shown {
    fn add(&mut self, part: &[u8]) {
        for line in part.split_inclusive(|byte| *byte == b'\n') {
            let (text, newline) = match line.strip_suffix(b"\n") {
                Some(text) => (text, &b"\n"[..]),
                None => (line, &b""[..]),
            };
            let kept = if text.len() > LINE {
                let room = &text[..LINE - CUT.len()];
                let kept = &room[..border(text, room.len())];
                self.lines_cut += 1;
                self.bytes.extend_from_slice(kept);
                self.bytes.extend_from_slice(CUT);
                kept.len()
            } else {
                self.bytes.extend_from_slice(text);
                text.len()
            };
            self.bytes.extend_from_slice(newline);
            self.retained += length(kept + newline.len());
        }
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a length fits")
}

/// The largest cut at or before `at` that splits no character.
fn border(bytes: &[u8], at: usize) -> usize {
    whole_start(&bytes[..at])
}

/// How many of these bytes are left when a character that is not complete at their end is left out. Bytes that can be
/// no character's beginning are complete.
pub fn whole_start(bytes: &[u8]) -> usize {
    let last = bytes.len().min(3);
    for back in 1..=last {
        let at = bytes.len() - back;
        let due = match bytes[at] {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        // What stands there may be invalid already, and then nothing is waited for.
        let begun = std::str::from_utf8(&bytes[at..]);
        let incomplete = begun.is_err_and(|error| error.error_len().is_none());
        return if due > back && incomplete {
            at
        } else {
            bytes.len()
        };
    }
    bytes.len()
}

/// How many bytes at the start continue a character that began before; at most three.
fn skip_partial(bytes: &[u8]) -> usize {
    let continues = |byte: &u8| (0x80..=0xbf).contains(byte);
    bytes
        .iter()
        .take(3)
        .take_while(|byte| continues(byte))
        .count()
}

/// Bytes as text: each longest run that is not valid UTF-8, and each NUL, is one U+FFFD.
pub fn clean(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut in_run = false;
    for chunk in bytes.utf8_chunks() {
        if !chunk.valid().is_empty() {
            in_run = false;
            for (number, part) in chunk.valid().split('\0').enumerate() {
                if number > 0 {
                    text.push('\u{fffd}');
                }
                text.push_str(part);
            }
        }
        if !chunk.invalid().is_empty() && !in_run {
            text.push('\u{fffd}');
            in_run = true;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(bytes: &[u8], limit: usize) -> Excerpt {
        let half = (limit / 2).min(bytes.len());
        if bytes.len() <= limit {
            return excerpt(bytes, b"", length(bytes.len()), limit);
        }
        let tail = &bytes[bytes.len() - half..];
        excerpt(&bytes[..half], tail, length(bytes.len()), limit)
    }

    #[test]
    fn short_outputs_are_whole_and_long_ones_have_a_marker() {
        let line = [b"x".repeat(99), b"\n".to_vec()].concat();
        let all = line.repeat(400);
        assert_eq!(of(&all[..32_768], 32_768).truncated, None);
        let cut = of(&all[..32_769], 32_768);
        assert!(
            cut.text.contains("\n\n... [omitted 1 bytes] ...\n\n"),
            "the marker"
        );
        let truncated = cut.truncated.expect("one byte is left out");
        assert_eq!((truncated.original, truncated.retained), (32_769, 32_768));
    }

    #[test]
    fn characters_are_not_split_by_the_cuts() {
        let all = "é".repeat(2000);
        let cut = of(all.as_bytes(), 1026);
        // 513 bytes each side: the odd byte belongs to half a character.
        assert_eq!(cut.text.matches('é').count(), 512);
        assert!(!cut.text.contains('\u{fffd}'));
        assert_eq!(cut.truncated.expect("cut").retained, 1024);
    }

    #[test]
    fn long_lines_are_cut_and_counted() {
        let fits = "x".repeat(2048);
        assert_eq!(of(fits.as_bytes(), 32_768).truncated, None);
        let long = format!("{}\nrest\n", "x".repeat(2049));
        let cut = of(long.as_bytes(), 32_768);
        assert_eq!(
            cut.text,
            format!("{} ... [truncated]\nrest\n", "x".repeat(2032))
        );
        let truncated = cut.truncated.expect("cut");
        assert_eq!((truncated.retained, truncated.lines_cut), (2032 + 6, 1));
        let wide = "é".repeat(1025);
        assert!(
            of(wide.as_bytes(), 32_768)
                .text
                .starts_with(&"é".repeat(1016))
        );
    }

    #[test]
    fn runs_of_invalid_bytes_are_one_sign() {
        assert_eq!(clean(b"a\xff\xfeb\0\0c"), "a\u{fffd}b\u{fffd}\u{fffd}c");
        assert_eq!(clean(b"\xe2\x82"), "\u{fffd}");
        assert_eq!(clean("h\u{e9}\x1b[1m".as_bytes()), "h\u{e9}\x1b[1m");
    }

    #[test]
    fn what_is_complete_is_not_held_back() {
        assert_eq!(whole_start("é".as_bytes()), 2);
        assert_eq!(whole_start(b"a\xc3"), 1);
        assert_eq!(whole_start(b"a\xf0\x9f\x98"), 1);
        assert_eq!(whole_start(b"a\xff"), 2, "never a character");
        assert_eq!(whole_start(b"a\x80\x80\x80"), 4, "never one, either");
        assert_eq!(whole_start(b"a\xe0\x80"), 3, "provably invalid");
        assert_eq!(whole_start(b""), 0);
    }

    proptest! {
        #[test]
        fn cleaned_text_is_clean_and_stays(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = clean(&bytes);
            prop_assert!(!text.contains('\0'));
            prop_assert_eq!(clean(text.as_bytes()), text.clone());
            if let Ok(valid) = std::str::from_utf8(&bytes) && !valid.contains('\0') {
                prop_assert_eq!(valid, text);
            }
        }

        #[test]
        fn nothing_is_counted_twice(bytes in proptest::collection::vec(any::<u8>(), 0..9000), limit in 1024_usize..4096) {
            let shown = of(&bytes, limit);
            if let Some(truncated) = shown.truncated {
                prop_assert!(truncated.retained < truncated.original);
                prop_assert_eq!(truncated.original, length(bytes.len()));
            }
        }
    }
}
