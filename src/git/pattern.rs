//! Lines of gitignore(5) and gitattributes(5) as patterns of paths.

use super::wild;

/// A pattern, as a line of a file of rules has it.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a mark that a line has or has not"
)]
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: Vec<u8>,
    /// Bytes in front that mean only themselves.
    literal: usize,
    /// It began with `!`.
    pub(super) negated: bool,
    /// It ended with `/`.
    only_directories: bool,
    /// It has no slash: it is held to the last name alone.
    any_depth: bool,
    /// A star, and then nothing special.
    ends_with: bool,
}

impl Pattern {
    /// A line of an ignore file, without its end. None: it says nothing.
    pub(super) fn of_line(line: &[u8]) -> Option<Self> {
        if line.starts_with(b"#") {
            return None;
        }
        Self::parse(trim_blanks(line))
    }

    /// A pattern by itself. None: it is empty.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (negated, text) = match text.strip_prefix(b"!") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (only_directories, text) = match text.strip_suffix(b"/") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if text.is_empty() && !only_directories {
            return None;
        }
        let any_depth = !text.contains(&b'/');
        let special = |bytes: &[u8]| bytes.iter().position(|byte| wild::is_special(*byte));
        let literal = special(text).unwrap_or(text.len());
        let ends_with = any_depth && text.first() == Some(&b'*') && special(&text[1..]).is_none();
        Some(Self {
            literal,
            negated,
            only_directories,
            any_depth,
            ends_with,
            text: text.to_vec(),
        })
    }

    /// Whether a path matches: below the directory of the rules, with `/`, and whether it is a directory.
    pub(super) fn matches(&self, path: &[u8], is_directory: bool) -> bool {
        if self.only_directories && !is_directory {
            return false;
        }
        if self.any_depth {
            let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
            return self.matches_name(name);
        }
        let (pattern, literal) = match self.text.strip_prefix(b"/") {
            Some(rest) => (rest, self.literal.saturating_sub(1)),
            None => (&self.text[..], self.literal),
        };
        let Some(rest) = path.strip_prefix(&pattern[..literal]) else {
            return false;
        };
        let pattern = &pattern[literal..];
        if pattern.is_empty() {
            return rest.is_empty();
        }
        wild::matches(pattern, rest, true)
    }

    fn matches_name(&self, name: &[u8]) -> bool {
        if self.literal == self.text.len() {
            return name == self.text;
        }
        if self.ends_with {
            return name.ends_with(&self.text[1..]);
        }
        name.starts_with(&self.text[..self.literal]) && wild::matches(&self.text, name, false)
    }
}

/// Without blanks at the end that no backslash stands before.
fn trim_blanks(line: &[u8]) -> &[u8] {
    let mut end = 0;
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            b'\\' => {
                at += 1;
                end = line.len().min(at + 1);
            }
            b' ' => {}
            _ => end = at + 1,
        }
        at += 1;
    }
    &line[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(line: &str, path: &str, directory: bool) -> bool {
        Pattern::of_line(line.as_bytes())
            .is_some_and(|pattern| pattern.matches(path.as_bytes(), directory))
    }

    #[test]
    fn lines_are_read_as_git_reads_them() {
        assert!(says("*.o", "a/b.o", false) && says("/a", "a", false) && !says("/a", "b/a", false));
        assert!(says("a/", "x/a", true) && !says("a/", "x/a", false));
        assert!(says("doc/*.txt", "doc/a.txt", false) && !says("doc/*.txt", "doc/b/a.txt", false));
        assert!(says("a\\ ", "a ", false) && says("a  ", "a", false) && says("\\#a", "#a", false));
        assert!(says("**/x", "a/b/x", false) && says("a/**", "a/b/c", false));
        assert!(Pattern::of_line(b"# x").is_none() && Pattern::of_line(b"").is_none());
        assert!(Pattern::of_line(b"!x").expect("a pattern").negated);
    }
}
