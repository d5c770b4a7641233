//! Names as git writes them into a diff: as they are, or in quotes with escapes (`core.quotePath` at its default).

/// Appends a name behind a prefix, both in one pair of quotes when the name needs it.
pub(super) fn push(out: &mut Vec<u8>, prefix: &str, name: &[u8]) {
    if !name.iter().any(|byte| needs_quotes(*byte)) {
        out.extend_from_slice(prefix.as_bytes());
        out.extend_from_slice(name);
        return;
    }
    out.push(b'"');
    out.extend_from_slice(prefix.as_bytes());
    for byte in name {
        push_escaped(out, *byte);
    }
    out.push(b'"');
}

fn needs_quotes(byte: u8) -> bool {
    !(0x20..0x7f).contains(&byte) || byte == b'"' || byte == b'\\'
}

fn push_escaped(out: &mut Vec<u8>, byte: u8) {
    let letter = match byte {
        0x07 => b'a',
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0b => b'v',
        0x0c => b'f',
        b'\r' => b'r',
        b'"' | b'\\' => byte,
        _ if needs_quotes(byte) => {
            out.extend_from_slice(format!("\\{byte:03o}").as_bytes());
            return;
        }
        _ => {
            out.push(byte);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_when_they_need_it() {
        let quoted = |name: &[u8]| {
            let mut out = Vec::new();
            push(&mut out, "a/", name);
            String::from_utf8(out).expect("ASCII")
        };
        assert_eq!(quoted(b"a b"), "a/a b");
        assert_eq!(quoted("ä".as_bytes()), r#""a/\303\244""#);
        assert_eq!(quoted(b"a\"\\\n\x01"), r#""a/a\"\\\n\001""#);
    }
}
