//! Just enough of Rust's syntax to tell code from comments and literals, and paths from words.

pub(crate) fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
}

pub(crate) fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// `src/desktop/x11/image.rs` is in `desktop`.
pub(crate) fn top_module(path: &str) -> &str {
    let rest = path.strip_prefix("src/").unwrap_or(path);
    rest.split(['/', '.']).next().unwrap_or(rest)
}

/// How many `super` reach the root of the crate.
pub(crate) fn module_depth(path: &str) -> usize {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    path.matches('/').count()
}

/// Names declared by `mod name;`.
pub(crate) fn declared_modules(text: &str) -> Vec<String> {
    strip(text)
        .lines()
        .filter_map(|line| {
            let line = line.trim().strip_suffix(';')?;
            let (before, name) = line.split_at(line.find("mod ")?);
            (before.is_empty() || before.starts_with("pub"))
                .then(|| name["mod ".len()..].to_owned())
        })
        .collect()
}

/// Line and module of each `crate::module` and `deskd::module`, also in `use crate::{a, b::c}`.
pub(crate) fn crate_references(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for root in ["crate::", "deskd::"] {
        for (at, _) in code.match_indices(root) {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
                continue;
            }
            let line = code[..at].matches('\n').count() + 1;
            let rest = &code[at + root.len()..];
            let names = match rest.strip_prefix('{') {
                Some(group) => heads_of_group(group),
                None => words(rest).next().map(str::to_owned).into_iter().collect(),
            };
            found.extend(names.into_iter().map(|name| (line, name)));
        }
    }
    found
}

/// First words of the members of `a::{b, c}, d}`: `a`, `d`.
pub(crate) fn heads_of_group(group: &str) -> Vec<String> {
    let (mut depth, mut heads, mut member) = (0_usize, Vec::new(), String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(std::mem::take(&mut member)),
            _ => member.push(c),
        }
    }
    heads.push(member);
    heads
        .iter()
        .filter_map(|member| words(member.trim()).next().map(str::to_owned))
        .collect()
}

pub(crate) fn without_inline_tests(text: &str) -> &str {
    text.find("\n#[cfg(test)]\nmod tests {")
        .map_or(text, |at| &text[..at])
}

/// Rust with comments and the insides of literals removed; lines keep their numbers.
pub(crate) fn strip(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = literal_or_comment(rest, &code);
        if skipped == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
            rest = &rest[skipped..];
        }
    }
    code
}

/// Length of the comment or literal that begins here, 0 if none does.
pub(crate) fn literal_or_comment(rest: &str, before: &str) -> usize {
    let bytes = rest.as_bytes();
    match bytes[0] {
        b'/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
        b'/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
        b'"' => quoted(bytes, b'"'),
        b'r' if !before.ends_with(|c: char| c.is_alphanumeric() && c != 'b' || c == '_') => {
            let hashes = bytes[1..].iter().take_while(|byte| **byte == b'#').count();
            if bytes.get(1 + hashes) != Some(&b'"') {
                return 0;
            }
            let end = format!("\"{}", "#".repeat(hashes));
            let body = hashes + 2;
            rest[body..]
                .find(&end)
                .map_or(rest.len(), |at| body + at + end.len())
        }
        b'\'' if bytes.get(1) == Some(&b'\\') => quoted(bytes, b'\''),
        b'\'' => {
            // A character ends after one; anything else is a lifetime.
            let mut chars = rest.char_indices().skip(2);
            chars
                .next()
                .filter(|(_, c)| *c == '\'')
                .map_or(0, |(at, _)| at + 1)
        }
        _ => 0,
    }
}

pub(crate) fn quoted(bytes: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}
