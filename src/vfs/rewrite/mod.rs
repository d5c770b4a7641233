//! Edits of several files: all of them, or none.
//!
//! ```text
//!   resolve ─▶ no file twice ─▶ lock ─▶ read, demands, edits of each ─┬─ any miss: all of them are told, nothing is written
//!                                                                    └─▶ drafts ─▶ intent ─▶ replace one by one ─▶ done
//!                                                                                               │ failure
//!                                                                                               └─▶ put back, the very same files
//! ```
//!
//! The locks span reading to replacing, so no two callers lose each other's change. What another program changed in between is
//! found when its file is replaced. From the first draft on the work runs to its end, whether or not the caller still waits.

mod prepare;
mod publish;
mod resolve;

use super::{
    Vfs,
    edit::{Found, Refusal, report::Report},
    fault::Fault,
    locks::Locked,
    path::{PathError, TreePath, quoted},
    provider::CHUNK,
    tag::Demands,
    view::View,
};

/// Largest file that is edited, before and after.
pub const MAX_FILE: usize = 64 * 1024 * 1024;
/// Bytes of all files of a request together.
pub const MAX_REQUEST: u64 = 256 * 1024 * 1024;

/// What is to be replaced in a file, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What is looked for.
    pub search: Vec<u8>,
    /// What takes its place.
    pub replace: Vec<u8>,
    /// All places, not just one.
    pub replace_all: bool,
    /// Blanks and endings may differ.
    pub fuzzy: bool,
}

/// The changes of one file, each made to the result of the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChanges {
    /// The path as the caller wrote it.
    pub path: Vec<u8>,
    /// What must be there.
    pub demands: Demands,
    /// What is changed.
    pub changes: Vec<Change>,
}

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The files.
    pub files: Vec<FileChanges>,
    /// Nothing is written.
    pub dry_run: bool,
    /// Diffs are made.
    pub diffs: bool,
    /// On disk before it is done.
    pub sync: bool,
}

/// A file that was edited, or would be.
#[derive(Clone, Debug)]
pub struct Edited {
    /// Where each change found its place.
    pub found: Vec<Found>,
    /// Whether the content is another.
    pub changed: bool,
    /// The diff, when it was asked for.
    pub diff: Option<Vec<u8>>,
    /// The tag of the file now, without quotes; none on a dry run.
    pub tag: Option<String>,
}

/// A file that cannot be edited as wanted.
#[derive(Clone, Debug)]
pub struct Miss {
    /// Its place in the request, from 0.
    pub file: usize,
    /// Its path without links, or as the caller wrote it.
    pub path: Vec<u8>,
    /// What is wrong.
    pub problem: Problem,
}

/// Why a file cannot be edited.
#[derive(Clone, Debug)]
pub enum Problem {
    /// No path was given.
    NoPath,
    /// It is no path.
    Path(PathError),
    /// No changes were given.
    NoChanges,
    /// It cannot be reached, read or written.
    Fault(Fault),
    /// It is larger than [`MAX_FILE`], or all together than [`MAX_REQUEST`].
    TooLarge,
    /// Something else is there than was demanded. With the tag of what is there.
    Unmet(String),
    /// A change cannot be made.
    Refused(Box<Refused>),
}

/// A change that cannot be made.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Its place in the file's changes, from 0.
    pub change: usize,
    /// Why.
    pub refusal: Refusal,
    /// What is near, and what may be wrong.
    pub report: Report,
}

/// Nothing was changed, or everything was put back; but for [`RewriteError::RollBack`].
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// No files were given.
    #[error("must specify at least one file")]
    NoFiles,
    /// A file was given twice.
    #[error("duplicate file path: {}", same(first, second))]
    Duplicate {
        /// As the caller wrote it.
        first: Vec<u8>,
        /// As the caller wrote it the second time.
        second: Vec<u8>,
    },
    /// Somebody else works on one of them.
    #[error(transparent)]
    Locked(#[from] Locked),
    /// Some cannot be edited as wanted.
    #[error("{} of the files cannot be edited as wanted", .0.len())]
    Misses(Vec<Miss>),
    /// The pool gave no turn.
    #[error(transparent)]
    Busy(#[from] Fault),
    /// One could not be written.
    #[error("{path}: {}", if *.undone == 0 { "nothing was changed" } else { "the files replaced before it were put back" })]
    Write {
        /// Which one.
        path: TreePath,
        /// How many had been replaced, and were put back.
        undone: usize,
        /// Why.
        source: Fault,
    },
    /// One could not be written, and some of those before it could not be put back.
    #[error("the edit failed half way, and not everything could be put back")]
    RollBack {
        /// What became of each file.
        states: Vec<(TreePath, State)>,
        /// Why the write failed.
        source: Fault,
    },
}

/// What became of a file.
#[derive(Clone, Debug)]
pub enum State {
    /// It is as it was.
    Old,
    /// It has the new content, and could not be put back.
    New(Fault),
}

fn same(first: &[u8], second: &[u8]) -> String {
    if first == second {
        return quoted(first);
    }
    format!(
        "{} and {} are aliases of one file",
        quoted(first),
        quoted(second)
    )
}

/// Edits files. Gives what became of each, in the order of the request. Dropping the future before the first draft is begun
/// changes nothing; after that it changes everything or nothing.
pub async fn rewrite(
    vfs: &Vfs,
    view: &View,
    request: Request,
) -> Result<Vec<Edited>, RewriteError> {
    if request.files.is_empty() {
        return Err(RewriteError::NoFiles);
    }
    let places = resolve::resolve(vfs, view, &request.files).await;
    resolve::refuse_duplicates(&request.files, &places)?;
    let guard = vfs.locks().take(resolve::keys(&places)).await?;
    let prepared = prepare::prepare(vfs, &request, places).await?;
    if request.dry_run {
        return Ok(prepared
            .into_iter()
            .map(prepare::Prepared::unwritten)
            .collect());
    }
    let Some(first) = prepared.iter().find(|file| file.is_changed()) else {
        return Ok(prepared
            .into_iter()
            .map(prepare::Prepared::written)
            .collect());
    };
    let mount = std::sync::Arc::clone(&first.place.mount);
    let intents = vfs.intents().clone();
    let published = vfs.run_in(&mount, move |_| {
        let published = publish::publish(prepared, &intents, request.sync);
        drop(guard);
        Ok(published)
    });
    published.await?
}

/// A content in pieces, as drafts take it.
fn pieces(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.chunks(CHUNK)
}
