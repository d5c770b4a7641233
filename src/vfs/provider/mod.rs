//! What lies behind a mount: a provider, and the opened directories, files and drafts that it hands out.
//!
//! A provider knows neither HTTP nor the mount table. It never follows a link and never sees a path: it gives its root as an
//! opened [`Directory`], and everything else is asked of directories, one checked name at a time. An opened directory stays
//! what it is when its name changes, so a path is resolved once and never again.
//!
//! All verbs block; the tree runs them on its pool. What a provider cannot do fails with [`Kind::NotSupported`], and only
//! what it has not told among its [`Capabilities`] does. Faults carry the name that was asked for; the tree knows the path.

#[cfg(test)]
pub(in crate::vfs) mod conformance;
pub mod git;
pub mod host;
pub mod memory;
pub mod watcher;

use std::{
    any::Any,
    fmt::Debug,
    os::fd::{BorrowedFd, OwnedFd},
    path::PathBuf,
    sync::Arc,
};

use super::{
    entry::{Attributes, EntryKind, Time, Version},
    fault::{Fault, Kind, Result},
    path::Name,
};

/// Largest piece in which contents are moved.
pub const CHUNK: usize = 256 * 1024;

/// Whether a name is of a file that is being written, on the machine: such are not listed, and not told of.
pub fn is_staging(name: &Name) -> bool {
    host::is_staging(name.as_bytes())
}

/// A fresh name for what is being written or moved, unlikely to be anybody's: of the form that listings leave out, or a copy
/// that follows links could meet itself.
pub fn staging_name() -> Result<Name> {
    host::staging_name().map_err(|error| Fault::from_io(error, "name", b""))
}

/// What a provider can do. Told and true: the conformance suite checks both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a set of words that clients read"
)]
pub struct Capabilities {
    /// Entries can be made, replaced and removed.
    pub write: bool,
    /// "Must be this version" is checked in the very step that makes a draft visible.
    pub conditional_commit: bool,
    /// A rename is one step, of directories too.
    pub atomic_rename: bool,
    /// Links can be made.
    pub links: bool,
    /// Modes are kept.
    pub modes: bool,
    /// Owners are kept.
    pub owner: bool,
    /// Times can be set.
    pub set_times: bool,
    /// Reading from the middle costs no more than from the start.
    pub cheap_seek: bool,
    /// Listings come sorted, in pages.
    pub sorted_list: bool,
    /// Changes are told.
    pub watch: bool,
    /// Entries are files of the machine.
    pub host_path: bool,
    /// Contents are there after a restart.
    pub persistent: bool,
    /// Writes are journaled.
    pub journal: bool,
}

impl Capabilities {
    /// The words for what is told, in the order of the fields.
    pub fn words(&self) -> Vec<&'static str> {
        let all = [
            (self.write, "write"),
            (self.conditional_commit, "conditional_commit"),
            (self.atomic_rename, "atomic_rename"),
            (self.links, "links"),
            (self.modes, "modes"),
            (self.owner, "owner"),
            (self.set_times, "set_times"),
            (self.cheap_seek, "cheap_seek"),
            (self.sorted_list, "sorted_list"),
            (self.watch, "watch"),
            (self.host_path, "host_path"),
            (self.persistent, "persistent"),
            (self.journal, "journal"),
        ];
        all.into_iter()
            .filter_map(|(told, word)| told.then_some(word))
            .collect()
    }
}

/// What a mount holds, as far as its provider counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Entries, the root not counted.
    pub files: Option<u64>,
    /// Bytes that count towards the quota.
    pub bytes: Option<u64>,
    /// The quota.
    pub quota_bytes: Option<u64>,
    /// Entries that are left out because their names are none.
    pub skipped: Option<u64>,
}

/// An extended attribute: its name and its value (xattr(7)).
pub type Extended = (Vec<u8>, Vec<u8>);

/// A back end of the tree.
pub trait Provider: Debug + Send + Sync {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;
    /// Its top directory, opened.
    fn root(&self) -> Result<Arc<dyn Directory>>;
    /// What it holds.
    fn usage(&self) -> Usage;
    /// Begins to tell of changes. A provider in which nothing ever changes says `None`; one that cannot tell has no `watch`.
    fn watcher(&self) -> Result<Option<Box<dyn watcher::Watcher>>> {
        Err(Fault::new(Kind::NotSupported, "watch", b""))
    }
    /// Gives back what it holds open. What was handed out goes on. Repeating it changes nothing.
    fn close(&self) {}
}

/// An opened directory.
pub trait Directory: Debug + Send + Sync {
    /// The directory itself.
    fn attributes(&self) -> Result<Attributes>;

    /// Follows names as long as each is a directory, in one step where it can. Gives the directory reached and how many names
    /// were taken; the first that was not is missing, a link, a file, or not to be searched: [`Directory::lookup`] tells.
    fn descend(&self, names: &[Name]) -> Result<(Arc<dyn Directory>, usize)>;

    /// An entry itself, never what a link points to.
    fn lookup(&self, name: &Name) -> Result<Attributes>;

    /// Opens a regular file, pinned: replaced or removed later, it still reads what it was. Anything but a regular file is
    /// refused without being opened for data: a link is [`Kind::Changed`], because the walk has followed links before.
    fn open(&self, name: &Name) -> Result<Arc<dyn OpenFile>>;

    /// Names with their kinds. With `sorted_list`: at most `limit` in byte order after `after`. Without: all of them, in any
    /// order, `after` and `limit` unheeded. An entry that is there throughout comes exactly once.
    fn list(&self, after: Option<&Name>, limit: usize) -> Result<Listing>;

    /// Begins to write a file. Nothing shows before [`Draft::commit`], except with [`Creation::append`].
    fn create(&self, name: &Name, creation: &Creation) -> Result<Box<dyn Draft>> {
        let _ = creation;
        Err(unsupported("write", name))
    }

    /// Makes a directory, with these permissions or those that the machine's umask leaves of 0777.
    fn make_dir(&self, name: &Name, mode: Option<u32>) -> Result<()> {
        let _ = mode;
        Err(unsupported("make", name))
    }

    /// Makes a link with this text.
    fn make_link(&self, name: &Name, target: &[u8]) -> Result<()> {
        let _ = target;
        Err(unsupported("link", name))
    }

    /// Removes an entry: an empty directory, or anything else. Of the other kind than it is: `NotADirectory`, `IsADirectory`.
    fn remove(&self, name: &Name, directory: bool) -> Result<()> {
        let _ = directory;
        Err(unsupported("remove", name))
    }

    /// Changes what is told, of the entry itself, or of this directory when no name is given.
    fn set_attributes(&self, name: Option<&Name>, changes: &Changes) -> Result<()> {
        let _ = changes;
        Err(Fault::new(
            Kind::NotSupported,
            "change",
            name.map_or(&b"."[..], Name::as_bytes),
        ))
    }

    /// Renames an entry into a directory of the same provider, in one step. Without `replace` something there is
    /// [`Kind::AlreadyExists`], by the step itself. A directory of another provider is [`Kind::NotSupported`], and so is a
    /// directory that would go into itself.
    fn rename(&self, from: &Name, to: &dyn Directory, name: &Name, replace: bool) -> Result<()> {
        let _ = (to, name, replace);
        Err(unsupported("rename", from))
    }

    /// Extended attributes of this directory that a copy takes along.
    fn extended(&self) -> Result<Vec<Extended>> {
        Ok(Vec::new())
    }

    /// Gives this directory extended attributes, as far as it can hold them. Whether it holds all.
    fn set_extended(&self, attributes: &[Extended]) -> Result<bool> {
        Ok(attributes.is_empty())
    }

    /// Where the directory lies on the machine.
    fn host(&self) -> Option<HostDirectory> {
        None
    }

    /// For providers to know their own.
    fn as_any(&self) -> &dyn Any;
}

fn unsupported(operation: &'static str, name: &Name) -> Fault {
    Fault::new(Kind::NotSupported, operation, name.as_bytes())
}

/// A directory of the machine.
#[derive(Debug)]
pub struct HostDirectory {
    /// Opened for lookups (`O_PATH`).
    pub descriptor: OwnedFd,
    /// Its path at this moment, for messages and for programs. Never to be opened again by us.
    pub path: PathBuf,
}

/// Part of a directory.
#[derive(Debug, Default)]
pub struct Listing {
    /// Names with their kinds.
    pub entries: Vec<(Name, EntryKind)>,
    /// Whether more follow after the last.
    pub more: bool,
    /// The failure that ended it early, when it did.
    pub cut: Option<Fault>,
}

/// An opened regular file.
pub trait OpenFile: Debug + Send + Sync {
    /// What it was when it was opened, or is now where another program changes it in place.
    fn attributes(&self) -> Result<Attributes>;
    /// Reads up to the buffer's length from an offset. Fewer bytes only at the end; none past it.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize>;
    /// The file on the machine, opened for reading, for those who copy without looking at the bytes.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    /// Extended attributes that a copy takes along.
    fn extended(&self) -> Result<Vec<Extended>> {
        Ok(Vec::new())
    }
    /// Whether the length is not known from the attributes (files of `/proc`): it is read to its end.
    fn is_endless(&self) -> bool {
        false
    }
}

/// How a file is to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Creation {
    /// Permissions, the umask not applied. Else those of the file that is replaced, or 0666 under the umask.
    pub mode: Option<u32>,
    /// Bytes go to the end of what is there, at once.
    pub append: bool,
    /// How many bytes will come, when it is known.
    pub size: Option<u64>,
    /// Nobody sees the directory yet, and nothing has the name: who made the directory removes it with all that is in it after
    /// a failure or a kill, so the file need not be hidden until it is whole.
    pub unseen: bool,
}

/// What must hold when a draft becomes visible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    None,
    /// Nothing may be there: checked in that very step.
    Missing,
    /// This version must be there. In that very step with `conditional_commit`, else right before it.
    Is(Version),
}

/// How a draft becomes visible.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// What must hold. What does not is [`Kind::AlreadyExists`] or [`Kind::Changed`].
    pub condition: Condition,
    /// File and directory are on disk before it returns.
    pub sync: bool,
    /// What was there before is kept, so that it can be put back.
    pub hold: bool,
}

/// A file that is being written. Dropping it leaves nothing behind, whatever was sent; what was appended stays.
pub trait Draft: Debug + Send {
    /// Adds bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;
    /// Adds a part of a file of the machine without its bytes passing through here, shared with it where the file system can.
    /// Gives how many there were; 0 at the file's end, nothing when it is not possible.
    fn take_from(&mut self, file: BorrowedFd<'_>, offset: u64, length: u64) -> Result<Option<u64>> {
        let _ = (file, offset, length);
        Ok(None)
    }
    /// Gives it extended attributes, as far as it can hold them. Whether it holds all.
    fn set_extended(&mut self, attributes: &[Extended]) -> Result<bool> {
        Ok(attributes.is_empty())
    }
    /// What it is to be given besides its content when it is committed. Whether it will be; else it is for
    /// [`Directory::set_attributes`] afterwards.
    fn set_attributes(&mut self, changes: &Changes) -> Result<bool> {
        let _ = changes;
        Ok(false)
    }
    /// Makes it visible in one step.
    fn commit(self: Box<Self>, how: &Commit) -> Result<Committed>;
    /// What a crash would leave on the machine: for the record by which the next start undoes or finishes it.
    fn staging(&self) -> Option<Staging> {
        None
    }
}

/// Names of a draft that lies on the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staging {
    /// Directory of both, at this moment.
    pub directory: PathBuf,
    /// Name of what is being written.
    pub draft: Name,
    /// Name of what it will replace.
    pub target: Name,
}

/// A draft that became visible.
#[derive(Debug)]
pub struct Committed {
    /// The file now.
    pub attributes: Attributes,
    /// Whether nothing was there before.
    pub created: bool,
    /// Whether it was one step. Otherwise it was written in place, because nothing else was possible.
    pub atomic: bool,
    /// What was there before, with [`Commit::hold`].
    pub previous: Option<Box<dyn Previous>>,
}

/// What a draft replaced. Dropping it lets go of it for good.
pub trait Previous: Debug + Send {
    /// Puts it back: the very same object, or nothing when nothing was there. Fails, and changes nothing, when what is there
    /// now is no longer what replaced it.
    fn restore(self: Box<Self>) -> Result<()>;
}

/// Changes of attributes; what is not given stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Permissions.
    pub mode: Option<u32>,
    /// Time of the last change.
    pub mtime: Option<Time>,
    /// Owner and group.
    pub owner: Option<(u32, u32)>,
}
