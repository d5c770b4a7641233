//! Searches and globs on the wire.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::names::shown;
use crate::{
    proc::excerpt::clean,
    vfs::search::{Finding, Line, Stopped, Summary},
};

/// Body of `POST /api/v0/search`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchBody {
    /// A directory, or a file.
    pub root: Option<String>,
    /// The bytes of `root` in base64.
    pub root_base64: Option<String>,
    /// What is looked for.
    pub pattern: String,
    /// `regex` (default) or `literal`.
    pub syntax: Option<Syntax>,
    /// Which files; `!` in front excludes.
    #[serde(default)]
    pub glob: Vec<String>,
    /// Types of files, as ripgrep names them.
    #[serde(default)]
    pub types: Vec<String>,
    /// Leave out what gitignore names; default true.
    pub ignore: Option<bool>,
    /// Hidden files, too; default false.
    #[serde(default)]
    pub hidden: bool,
    /// How letters compare; default `sensitive`.
    pub case: Option<CaseWord>,
    /// Whole words only.
    #[serde(default)]
    pub word: bool,
    /// A match may go over the ends of lines.
    #[serde(default)]
    pub multiline: bool,
    /// Files with NUL: `skip` (default) or `text`.
    pub binary: Option<Binary>,
    /// Lines before a match, at most 50.
    pub before: Option<u64>,
    /// Lines after a match, at most 50.
    pub after: Option<u64>,
    /// Lines before and after.
    pub context: Option<u64>,
    /// Findings, default 1000, at most 100,000.
    pub limit: Option<u64>,
    /// Findings of one file.
    pub limit_per_file: Option<u64>,
    /// Bytes of findings, default 1 MiB, at most 64 MiB.
    pub max_bytes: Option<u64>,
    /// Time, default 10,000, at most 600,000.
    pub timeout_ms: Option<u64>,
    /// What is told; default `matches`.
    pub output: Option<OutputWord>,
    /// `path`, or `none`: as it is found. Default `path`, of NDJSON `none`.
    pub sort: Option<SortWord>,
    /// Where to go on.
    pub cursor: Option<String>,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, ToSchema)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }
    };
}

words!(
    /// How a pattern is read.
    Syntax {
        /// A regular expression.
        Regex,
        /// Plain text.
        Literal,
    }
);
words!(
    /// How letters compare.
    CaseWord {
        /// As they are.
        Sensitive,
        /// Upper and lower are equal.
        Insensitive,
        /// Insensitive while the pattern has no upper case.
        Smart,
    }
);
words!(
    /// What becomes of files with NUL.
    Binary {
        /// They are counted.
        Skip,
        /// They are searched.
        Text,
    }
);
words!(
    /// What is told.
    OutputWord {
        /// Each line.
        Matches,
        /// Each file.
        Files,
        /// The number of lines of each file.
        Counts,
    }
);
words!(
    /// In which order.
    SortWord {
        /// As it is found.
        None,
        /// By path.
        Path,
    }
);

/// One record of a search.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Record {
    /// `match`, `file`, `count`, `error`.
    Finding(Box<FindingBody>),
    /// `end`.
    End(Box<EndBody>),
}

/// A finding.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct FindingBody {
    /// `match`, `file`, `count`, `error`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Of the file.
    pub path: String,
    /// The bytes of `path` in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_base64: Option<String>,
    /// Number of the line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Where the first match begins in the line, in bytes from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// The line, or what is around its first match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its bytes in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_base64: Option<String>,
    /// From and to of each match in `text`, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spans: Option<Vec<[usize; 2]>>,
    /// Whether `text` is a part of the line.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// Lines before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// Lines after.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Of a `file`: matching lines that were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matches: Option<u64>,
    /// Of a `count`: matching lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Of an `error`: what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
}

impl FindingBody {
    /// A finding as a client sees it, in a file of this path; `code` names the failure of one that is a failure.
    pub fn new(
        finding: Finding,
        path: &[u8],
        counts: bool,
        code: impl FnOnce(&crate::vfs::fault::Fault) -> &'static str,
    ) -> Self {
        let path = shown(path);
        let body = Self {
            path: path.text,
            path_base64: path.base64,
            ..Self::default()
        };
        match finding {
            Finding::Match(_, line) => Self {
                kind: "match",
                ..body
            }
            .with_line(line),
            Finding::File(_, count) if counts => Self {
                kind: "count",
                count: Some(count),
                ..body
            },
            Finding::File(_, matches) => Self {
                kind: "file",
                matches: Some(matches),
                ..body
            },
            Finding::Failed(_, fault) => Self {
                kind: "error",
                code: Some(code(&fault)),
                ..body
            },
        }
    }

    fn with_line(mut self, line: Line) -> Self {
        let text = shown(&line.text);
        self.line = Some(line.number);
        self.column = Some(line.column);
        self.text = Some(text.text);
        self.text_base64 = text.base64.map(|_| STANDARD.encode(&line.text));
        self.spans = Some(
            line.spans
                .into_iter()
                .map(|(from, to)| [from, to])
                .collect(),
        );
        self.cut = line.cut;
        self.before = line.before.iter().map(|line| clean(line)).collect();
        self.after = line.after.iter().map(|line| clean(line)).collect();
        self
    }
}

/// The end of a search.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EndBody {
    /// `end`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `done`, `limit`, `max_bytes`, `timeout`.
    pub stopped: &'static str,
    /// Matching lines.
    pub matches: u64,
    /// Files with some.
    pub files: u64,
    /// Files searched.
    pub files_searched: u64,
    /// Bytes read.
    pub bytes_searched: u64,
    /// What was passed over.
    pub skipped: SkippedBody,
    /// Milliseconds it took.
    pub elapsed_ms: u64,
    /// Where to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// What a search passed over.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SkippedBody {
    /// Files with a NUL.
    pub binary: u64,
    /// Files that could not be read.
    pub unreadable: u64,
    /// Neither file nor directory nor link.
    pub not_regular: u64,
}

impl EndBody {
    /// The end of a search, and where to go on.
    pub fn new(summary: &Summary, cursor: Option<String>) -> Self {
        Self {
            kind: "end",
            stopped: match summary.stopped {
                Stopped::Done => "done",
                Stopped::Limit => "limit",
                Stopped::MaxBytes => "max_bytes",
                Stopped::Timeout => "timeout",
            },
            matches: summary.matches,
            files: summary.files,
            files_searched: summary.files_searched,
            bytes_searched: summary.bytes_searched,
            skipped: SkippedBody {
                binary: summary.binary,
                unreadable: summary.unreadable,
                not_regular: summary.not_regular,
            },
            elapsed_ms: u64::try_from(summary.elapsed.as_millis()).unwrap_or(u64::MAX),
            cursor,
        }
    }
}

/// Answer of `POST /api/v0/search`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SearchAnswer {
    /// What was found.
    pub matches: Vec<FindingBody>,
    /// What could not be read.
    pub errors: Vec<FindingBody>,
    /// How it ended.
    pub end: EndBody,
}
