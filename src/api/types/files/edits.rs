//! The body and the answers of `edit-files`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::names::{given, shown};
use crate::{
    api::{error::ApiError, files::conditions},
    proc::excerpt::clean,
    vfs::{
        edit::{
            Found,
            report::{Difference, Nearest},
        },
        rewrite::{Change, Edited, FileChanges, Request},
        tag::{Demands, Tags},
    },
};

/// Edits of files: all of them are made, or none.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct EditFilesBody {
    /// The files, each once.
    pub files: Option<Vec<FileBody>>,
    /// Answers with a unified diff of each file.
    pub include_diff: Option<bool>,
    /// Answers with the places where each edit was made.
    pub include_results: Option<bool>,
    /// Does everything but write.
    pub dry_run: Option<bool>,
    /// `false`: blanks and line endings must be equal, too. Holds for edits that do not say otherwise.
    pub fuzzy: Option<bool>,
    /// Files and directories are on disk before the answer.
    pub fsync: Option<bool>,
}

/// The edits of one file.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct FileBody {
    /// Absolute path.
    pub path: Option<String>,
    /// Its bytes in base64, when they are not UTF-8.
    pub path_base64: Option<String>,
    /// Tags: one of them must be there.
    pub if_match: Option<String>,
    /// Hash of the content that must be there.
    pub expected_sha256: Option<String>,
    /// Each is made to the result of the one before.
    pub edits: Option<Vec<EditBody>>,
}

/// A text to be replaced by another.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct EditBody {
    /// What is looked for.
    pub old_text: Option<String>,
    /// What takes its place; nothing, when left out.
    pub new_text: Option<String>,
    /// Older name of `old_text`.
    pub search: Option<String>,
    /// Older name of `new_text`.
    pub replace: Option<String>,
    /// Every occurrence; otherwise there must be just one.
    pub replace_all: Option<bool>,
    /// `false`: blanks and line endings must be equal, too.
    pub fuzzy: Option<bool>,
}

impl EditFilesBody {
    /// What is wanted.
    pub fn request(self) -> Result<Request, ApiError> {
        let dry_run = self.dry_run.unwrap_or(false);
        let fuzzy = self.fuzzy.unwrap_or(true);
        let files = self.files.unwrap_or_default().into_iter().enumerate();
        let files = files.map(|(number, file)| {
            file.changes(fuzzy)
                .map_err(|error| error.within(&format!("files[{number}].")))
        });
        Ok(Request {
            files: files.collect::<Result<_, _>>()?,
            dry_run,
            diffs: self.include_diff.unwrap_or(false),
            sync: self.fsync.unwrap_or(false),
        })
    }

    /// Whether the answer tells of the files.
    pub fn wants_files(&self) -> bool {
        [self.include_diff, self.include_results, self.dry_run].contains(&Some(true))
    }
}

impl FileBody {
    fn changes(self, fuzzy: bool) -> Result<FileChanges, ApiError> {
        let path = given("path", self.path.as_deref(), self.path_base64.as_deref())?;
        let tags = |text: String| {
            // A bare tag is one, too: JSON has quotes enough.
            let quoted = text.contains('"') || text.trim() == "*";
            let text = if quoted { text } else { format!("\"{text}\"") };
            Tags::parse(&text).map_err(|bad| conditions::refused("if_match", bad.to_string()))
        };
        let demands = Demands {
            if_match: self.if_match.map(tags).transpose()?,
            if_none_match: None,
            sha256: conditions::sha256("expected_sha256", self.expected_sha256.as_deref())?,
        };
        let edits = self.edits.unwrap_or_default().into_iter();
        Ok(FileChanges {
            path: path.unwrap_or_default(),
            demands,
            changes: edits.map(|edit| edit.change(fuzzy)).collect(),
        })
    }
}

impl EditBody {
    fn change(self, fuzzy: bool) -> Change {
        let text =
            |new: Option<String>, old: Option<String>| new.or(old).unwrap_or_default().into_bytes();
        Change {
            search: text(self.old_text, self.search),
            replace: text(self.new_text, self.replace),
            replace_all: self.replace_all.unwrap_or(false),
            fuzzy: self.fuzzy.unwrap_or(fuzzy),
        }
    }
}

/// What became of the files; empty unless it was asked for.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct EditFilesAnswer {
    /// In the order of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<EditedBody>>,
}

/// What became of one file.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EditedBody {
    /// As the caller wrote it.
    pub path: String,
    /// Its bytes in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_base64: Option<String>,
    /// From before the first edit to after the last; empty when nothing changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// One for each edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub results: Option<Vec<ResultBody>>,
    /// Whether the content is another.
    pub changed: bool,
    /// Tag of the file now; not on a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

impl EditedBody {
    /// A file that was edited.
    pub fn new(path: &[u8], edited: Edited, results: bool) -> Self {
        let path = shown(path);
        Self {
            path: path.text,
            path_base64: path.base64,
            diff: edited.diff.as_deref().map(clean),
            results: results.then(|| edited.found.iter().map(ResultBody::from).collect()),
            changed: edited.changed,
            etag: edited.tag.map(|tag| format!("\"{tag}\"")),
        }
    }
}

/// Where an edit was made.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ResultBody {
    /// 1: equal bytes; 2: equal but for blanks at line ends; 3: but for white space at both ends.
    pub pass: u8,
    /// Line of the first place, from 1, in the text that the edit was given.
    pub line: usize,
    /// Places that were replaced.
    pub count: usize,
    /// Lines of the first 20.
    pub lines: Vec<usize>,
}

impl From<&Found> for ResultBody {
    fn from(found: &Found) -> Self {
        Self {
            pass: found.pass.number(),
            line: found.line,
            count: found.count,
            lines: found.lines.clone(),
        }
    }
}

/// A file or an edit that is in the way of a request.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct MissBody {
    /// Its place in `files`, from 0.
    pub file: usize,
    /// Its place in the file's `edits`, from 0, when it is an edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edit: Option<usize>,
    /// The path without links, or as the caller wrote it.
    pub path: String,
    /// Its bytes in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_base64: Option<String>,
    /// A stable word for a program.
    pub code: &'static str,
    /// Tag of what is there instead of what was demanded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Of a search with several places: the first 20 lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<usize>,
    /// The place that is most like the search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<NearestBody>,
    /// Whether time ran out before all of the file was looked at.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
    /// What may be wrong with the search.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

/// Lines that are like a search.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NearestBody {
    /// From 1.
    pub start_line: usize,
    /// The last of them.
    pub end_line: usize,
    /// 0 to 1.
    pub score: f64,
    /// The lines, at most 40 or 4 KiB.
    pub text: String,
    /// Where they part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_difference: Option<DifferenceBody>,
}

/// The first line that differs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DifferenceBody {
    /// From 1, in the search.
    pub search_line: usize,
    /// From 1, in the file; absent where the file has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_line: Option<usize>,
    /// What the search has.
    pub expected: String,
    /// What the file has.
    pub found: String,
}

impl From<&Nearest> for NearestBody {
    fn from(nearest: &Nearest) -> Self {
        Self {
            start_line: nearest.start_line,
            end_line: nearest.end_line,
            score: nearest.score,
            text: clean(&nearest.text),
            first_difference: nearest.first_difference.as_ref().map(DifferenceBody::from),
        }
    }
}

impl From<&Difference> for DifferenceBody {
    fn from(difference: &Difference) -> Self {
        Self {
            search_line: difference.search_line,
            file_line: difference.file_line,
            expected: clean(&difference.expected),
            found: clean(&difference.found),
        }
    }
}
