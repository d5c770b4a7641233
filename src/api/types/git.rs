//! What is told of repositories.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use utoipa::ToSchema;

use super::files::{names::shown, time};
use crate::{
    git::{
        FileChange, Operation, Snapshot, Standing, Status,
        commits::{CommitInfo, Person},
        history::Listed,
    },
    proc::excerpt::clean,
    vfs::entry::Time,
};

/// A changed file.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChangedFileBody {
    /// Below the root, with `/`.
    pub path: String,
    /// The bytes of `path` in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_base64: Option<String>,
    /// Where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_path: Option<String>,
    /// `added`, `modified`, `deleted`, `renamed`, `type_changed`, `conflicted` or `untracked`.
    pub status: &'static str,
    /// Index and HEAD differ.
    pub staged: bool,
    /// Work tree and index differ.
    pub unstaged: bool,
    /// Lines added; null when it is binary or was not compared.
    pub additions: Option<u64>,
    /// Lines removed; null when it is binary or was not compared.
    pub deletions: Option<u64>,
    /// It is no text.
    pub binary: bool,
}

impl From<&FileChange> for ChangedFileBody {
    fn from(file: &FileChange) -> Self {
        let path = shown(&file.path);
        Self {
            path: path.text,
            path_base64: path.base64,
            old_path: file.old_path.as_deref().map(clean),
            status: word(file.status),
            staged: file.staged,
            unstaged: file.unstaged,
            additions: file.lines.map(|(additions, _)| additions),
            deletions: file.lines.map(|(_, deletions)| deletions),
            binary: file.binary,
        }
    }
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Added => "added",
        Status::Modified => "modified",
        Status::Deleted => "deleted",
        Status::Renamed => "renamed",
        Status::TypeChanged => "type_changed",
        Status::Conflicted => "conflicted",
        Status::Untracked => "untracked",
    }
}

/// A repository, as a scan found it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RepositoryBody {
    /// The work tree's root, without links.
    pub repo_root: String,
    /// Short name of the branch, also of one without a commit; empty when HEAD is detached.
    pub branch: String,
    /// URL of the remote `origin`, without user name and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_origin: Option<String>,
    /// The diff, cleaned to valid text. Absent in the answer of `status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unified_diff: Option<String>,
    /// The repository is gone.
    #[serde(skip_serializing_if = "is_false")]
    pub removed: bool,
    /// Full id of HEAD's commit; empty without one.
    pub head: String,
    /// Short name of what the branch follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// Commits that only the branch has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ahead: Option<u64>,
    /// Commits that only the upstream has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<u64>,
    /// `merge`, `rebase`, `cherry-pick`, `revert`, `bisect` or `am`, when one is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<&'static str>,
    /// Changed files, sorted by the bytes of their paths.
    pub files: Vec<ChangedFileBody>,
    /// How long the scan took, in milliseconds.
    pub scan_ms: f64,
    /// Something was cut by a limit.
    #[serde(skip_serializing_if = "is_false")]
    pub truncated: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Merge => "merge",
        Operation::Rebase => "rebase",
        Operation::CherryPick => "cherry-pick",
        Operation::Revert => "revert",
        Operation::Bisect => "bisect",
        Operation::Am => "am",
    }
}

impl RepositoryBody {
    /// Without the diff.
    pub fn new(snapshot: &Snapshot) -> Self {
        let Standing {
            branch,
            head,
            upstream,
            ahead_behind,
            remote_origin,
            ..
        } = &snapshot.standing;
        Self {
            repo_root: path_text(&snapshot.root),
            branch: branch.clone(),
            remote_origin: remote_origin.clone(),
            unified_diff: None,
            removed: false,
            head: head.clone().unwrap_or_default(),
            upstream: upstream.clone(),
            ahead: ahead_behind.map(|(ahead, _)| ahead),
            behind: ahead_behind.map(|(_, behind)| behind),
            operation: snapshot.standing.operation.map(operation),
            files: snapshot.files.iter().map(ChangedFileBody::from).collect(),
            scan_ms: milliseconds(snapshot.took),
            truncated: snapshot.truncated,
        }
    }

    /// With the diff.
    pub fn with_diff(snapshot: &Snapshot) -> Self {
        Self {
            unified_diff: Some(clean(&snapshot.diff)),
            ..Self::new(snapshot)
        }
    }
}

/// A path as text.
pub fn path_text(path: &std::path::Path) -> String {
    clean(path.as_os_str().as_encoded_bytes())
}

/// Milliseconds with thousandths.
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

/// A time as RFC 3339 text, in UTC.
pub fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    time::format(Time {
        seconds,
        nanos: since.subsec_nanos(),
    })
}

/// Answer of `status`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StatusAnswer {
    /// When the scan began.
    pub scanned_at: String,
    /// The repository.
    #[serde(flatten)]
    pub repository: RepositoryBody,
}

/// Answer of `diff`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DiffAnswer {
    /// The work tree's root.
    pub repo_root: String,
    /// The revision that was compared with, as it was given.
    pub base: String,
    /// Id of its commit; empty without a commit.
    pub base_id: String,
    /// The index was compared, not the work tree.
    pub staged: bool,
    /// The diff, cleaned to valid text.
    pub unified_diff: String,
    /// Changed files.
    pub files: Vec<ChangedFileBody>,
    /// Something was cut by a limit.
    pub truncated: bool,
}

/// Somebody, and when.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PersonBody {
    /// Name.
    pub name: String,
    /// Address.
    pub email: String,
    /// RFC 3339, with the offset that was written.
    pub time: String,
}

impl From<&Person> for PersonBody {
    fn from(person: &Person) -> Self {
        let local = person.seconds + i64::from(person.offset) * 60;
        let text = time::format(Time {
            seconds: local,
            nanos: 0,
        });
        let sign = if person.offset < 0 { '-' } else { '+' };
        let minutes = person.offset.unsigned_abs();
        let start = text.split('.').next().unwrap_or(&text);
        Self {
            name: clean(&person.name),
            email: clean(&person.email),
            time: format!("{start}{sign}{:02}:{:02}", minutes / 60, minutes % 60),
        }
    }
}

/// A commit.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CommitBody {
    /// Its id.
    pub id: String,
    /// Ids of its parents.
    pub parents: Vec<String>,
    /// Who wrote the change.
    pub author: PersonBody,
    /// Who made the commit.
    pub committer: PersonBody,
    /// First paragraph of the message, in one line.
    pub subject: String,
    /// The rest of the message.
    pub body: String,
    /// References that point to it, with their full names.
    pub refs: Vec<String>,
}

impl From<&CommitInfo> for CommitBody {
    fn from(commit: &CommitInfo) -> Self {
        Self {
            id: commit.id.to_string(),
            parents: commit.parents.iter().map(ToString::to_string).collect(),
            author: (&commit.author).into(),
            committer: (&commit.committer).into(),
            subject: clean(&commit.subject),
            body: clean(&commit.body),
            refs: commit.refs.clone(),
        }
    }
}

/// Answer of `log`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LogAnswer {
    /// The work tree's root.
    pub repo_root: String,
    /// Newest first, as `git log` has them.
    pub commits: Vec<CommitBody>,
    /// There are further ones.
    pub more: bool,
}

/// Answer of `show` without `file`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ShowAnswer {
    /// The work tree's root.
    pub repo_root: String,
    /// The commit.
    #[serde(flatten)]
    pub commit: CommitBody,
    /// The diff to its first parent, or to nothing.
    pub unified_diff: String,
    /// Changed files.
    pub files: Vec<ChangedFileBody>,
    /// Something was cut by a limit.
    pub truncated: bool,
}

/// An entry of a directory of a commit.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListedBody {
    /// Its name.
    pub name: String,
    /// The bytes of `name` in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_base64: Option<String>,
    /// As git has it, in octal.
    pub mode: String,
    /// Of the object.
    pub id: String,
    /// Of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

impl From<&Listed> for ListedBody {
    fn from(listed: &Listed) -> Self {
        let name = shown(&listed.name);
        Self {
            name: name.text,
            name_base64: name.base64,
            mode: format!("{:06o}", listed.mode),
            id: listed.id.to_string(),
            size: listed.size,
        }
    }
}

/// Answer of `show` with a `file` that is a directory.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EntriesAnswer {
    /// In git's order.
    pub entries: Vec<ListedBody>,
}
