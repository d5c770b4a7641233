//! What is known of an entry: its kind, size, mode, times, and the version from which its tag is made.

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    Char,
    /// A block device.
    Block,
    /// A submodule of a git tree: an empty directory.
    Submodule,
}

impl EntryKind {
    /// The word for it on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Dir => "dir",
            Self::Symlink => "symlink",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::Char => "char",
            Self::Block => "block",
            Self::Submodule => "submodule",
        }
    }

    /// Whether it is walked through and listed.
    pub fn is_directory(self) -> bool {
        matches!(self, Self::Dir | Self::Submodule)
    }
}

/// A point in time: seconds and nanoseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Whole seconds; negative before 1970.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanos: u32,
}

/// Which object this is, whatever it is called: two paths with one identity are one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// Device of the machine, or the mount's own number with the highest bit set.
    pub device: u64,
    /// Number within it.
    pub inode: u64,
}

/// What changes with every change of a file: the source of its tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// Of the machine: device, inode, size and modification time together.
    Stat {
        /// Device and inode.
        identity: Identity,
        /// Bytes.
        size: u64,
        /// Modification time.
        mtime: Time,
    },
    /// A counter of the provider, larger after each change.
    Generation(u64),
    /// The id of an object that never changes, in hexadecimal.
    Object(Box<str>),
}

impl Version {
    /// The tag, without quotes: a letter for the kind, a dash, and what is compared.
    pub fn tag(&self) -> String {
        match self {
            Self::Stat {
                identity,
                size,
                mtime,
            } => format!(
                "s-{:x}-{:x}-{:x}-{:x}.{:x}",
                identity.device, identity.inode, size, mtime.seconds, mtime.nanos
            ),
            Self::Generation(number) => format!("m-{number:x}"),
            Self::Object(id) => format!("g-{id}"),
        }
    }
}

/// An entry as its provider sees it, links not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// What it is.
    pub kind: EntryKind,
    /// Bytes; of a link, of its target's text.
    pub size: u64,
    /// Permissions with the set-id and sticky bits, 0 to 0o7777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of names.
    pub links: u64,
    /// Last change of the content.
    pub mtime: Time,
    /// Which object it is.
    pub identity: Identity,
    /// What its tag is made of.
    pub version: Version,
    /// Where a link leads, as its text says. None for what is no link, and for links of `/proc` that are none.
    pub target: Option<Box<[u8]>>,
    /// Whether it is such a link of `/proc`, which is never followed.
    pub magic: bool,
    /// Commit of a submodule.
    pub commit: Option<Box<str>>,
}
