//! Searching contents below a directory, with ripgrep's engine: equal options give equal results.
//!
//! ```text
//!   traversal ──files──▶ workers (search one file each) ──findings──▶ order ──▶ whoever asked
//!    one thread           as many as processors, at most 4             by path, or as they come
//! ```
//!
//! Every arrow is a bounded queue. A search stops at its limits, at its deadline, and when nobody listens any more: that is
//! looked at between pieces of a file. Files are read, not mapped, because a mapped file that is cut short kills its reader.

mod crew;
mod handing;
mod sink;

use std::{sync::Arc, time::Instant};

use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use ignore::{
    overrides::Override,
    types::{Types, TypesBuilder},
};

pub use self::crew::{Stopped, Summary, search};
use super::{
    fault::Fault,
    path::{Name, TreePath},
};

/// Longest pattern, in bytes.
pub const MAX_PATTERN: usize = 64 * 1024;
/// Largest compiled pattern, in bytes.
const MAX_COMPILED: usize = 10 * 1024 * 1024;
/// Longest line that is given whole, in bytes.
pub const MAX_LINE: usize = 2048;

/// How letters compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Case {
    /// As they are.
    #[default]
    Sensitive,
    /// Upper and lower are equal.
    Insensitive,
    /// Insensitive while the pattern has no upper case.
    Smart,
}

/// What is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Each line that matches.
    #[default]
    Matches,
    /// Each file with a match.
    Files,
    /// The number of matching lines of each file that has some.
    Counts,
}

/// The words of a pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    /// A regular expression of the crate `regex`, or plain text.
    pub text: String,
    /// Plain text.
    pub literal: bool,
    /// How letters compare.
    pub case: Case,
    /// Whole words only.
    pub word: bool,
    /// A match may go over the ends of lines.
    pub multiline: bool,
}

/// Why a pattern is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// Longer than [`MAX_PATTERN`].
    #[error("the pattern has {0} bytes, at most {MAX_PATTERN} are taken")]
    TooLong(usize),
    /// What the engine says, with the position.
    #[error("{0}")]
    Refused(String),
    /// A type that ripgrep does not know.
    #[error("{0}")]
    Type(String),
}

impl Pattern {
    /// Compiles it as ripgrep does.
    pub fn compile(&self) -> Result<RegexMatcher, BadPattern> {
        if self.text.len() > MAX_PATTERN {
            return Err(BadPattern::TooLong(self.text.len()));
        }
        let mut builder = RegexMatcherBuilder::new();
        builder
            .multi_line(true)
            .octal(false)
            .fixed_strings(self.literal)
            .case_insensitive(self.case == Case::Insensitive)
            .case_smart(self.case == Case::Smart)
            .word(self.word)
            .size_limit(MAX_COMPILED)
            .dfa_size_limit(MAX_COMPILED);
        if !self.multiline {
            builder.line_terminator(Some(b'\n'));
        }
        builder
            .build(&self.text)
            .map_err(|error| BadPattern::Refused(error.to_string()))
    }
}

/// The types of files that are searched, as ripgrep names them. None: all.
pub fn file_types(names: &[String]) -> Result<Types, BadPattern> {
    let mut builder = TypesBuilder::new();
    builder.add_defaults();
    for name in names {
        match name.strip_prefix('!') {
            Some(name) => builder.negate(name),
            None => builder.select(name),
        };
    }
    builder
        .build()
        .map_err(|error| BadPattern::Type(error.to_string()))
}

/// A search.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of a request")]
pub struct Query {
    /// What is looked for.
    pub matcher: RegexMatcher,
    /// Whether a match may go over the ends of lines.
    pub multiline: bool,
    /// Which files.
    pub selection: Override,
    /// Which types of files.
    pub types: Types,
    /// Whether types were asked for.
    pub by_type: bool,
    /// Leave out what gitignore names.
    pub ignore: bool,
    /// Look into hidden files, too.
    pub hidden: bool,
    /// Search files with NUL as text instead of passing them over.
    pub binary_as_text: bool,
    /// Lines given before a match.
    pub before: usize,
    /// Lines given after a match.
    pub after: usize,
    /// Findings of one file.
    pub limit_per_file: Option<u64>,
    /// Findings in all.
    pub limit: u64,
    /// Bytes of findings in all, their text and paths counted.
    pub max_bytes: u64,
    /// When it ends, done or not.
    pub deadline: Instant,
    /// What is told.
    pub output: Output,
    /// In the order of the paths. Otherwise as it is found.
    pub sorted: bool,
    /// Where to go on.
    pub resume: Option<Resume>,
}

/// Where a search goes on: in a file, after so many findings of it. For searches in the order of the paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Names below the root.
    pub names: Vec<Name>,
    /// Findings of that file that were given.
    pub given: u64,
}

/// What a search tells.
#[derive(Clone, Debug)]
pub enum Finding {
    /// A line that matches, or several with `multiline`.
    Match(Arc<TreePath>, Line),
    /// A file with a match, and in how many lines as far as it was read.
    File(Arc<TreePath>, u64),
    /// A file that could not be read.
    Failed(Arc<TreePath>, Fault),
}

impl Finding {
    /// The file.
    pub fn path(&self) -> &Arc<TreePath> {
        match self {
            Self::Match(path, _) | Self::File(path, _) | Self::Failed(path, _) => path,
        }
    }
}

/// A line that matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// From 1.
    pub number: u64,
    /// Where the first match begins in the whole line, in bytes from 1.
    pub column: u64,
    /// The line without its ending, or the part of it around the match.
    pub text: Vec<u8>,
    /// Where matches are in `text`.
    pub spans: Vec<(usize, usize)>,
    /// Whether `text` is a part.
    pub cut: bool,
    /// Lines before.
    pub before: Vec<Vec<u8>>,
    /// Lines after.
    pub after: Vec<Vec<u8>>,
}

impl Line {
    /// Bytes that count towards [`Query::max_bytes`].
    fn weight(&self) -> u64 {
        let context = self
            .before
            .iter()
            .chain(&self.after)
            .map(Vec::len)
            .sum::<usize>();
        (self.text.len() + context) as u64
    }
}
