//! Why something in the tree could not be done: a closed set of kinds, each with the operation and the path.

use std::{error::Error, fmt, io, sync::Arc};

use rustix::io::Errno;

use super::path::quoted;

/// What went wrong. Closed: whoever turns it into a status says so for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing is there.
    NotFound,
    /// Something is there already.
    AlreadyExists,
    /// A directory was due.
    NotADirectory,
    /// A file was due.
    IsADirectory,
    /// Neither file nor directory: a FIFO, a socket, a device.
    NotRegular,
    /// The directory has entries.
    NotEmpty,
    /// The machine does not let us.
    PermissionDenied,
    /// The mount, or the file system below it, is read only.
    ReadOnly,
    /// The provider cannot do this.
    NotSupported,
    /// It is not what it was when it was looked at.
    Changed,
    /// It is in use.
    Busy,
    /// A name or the path is too long.
    NameTooLong,
    /// More than 40 links.
    Loop,
    /// It is larger than what is taken.
    TooLarge,
    /// The file system is full.
    NoSpace,
    /// The mount's quota is used up.
    QuotaExceeded,
    /// What is stored contradicts itself.
    Corrupt,
    /// An object of the repository is not there.
    ObjectMissing,
    /// No mount holds the path.
    OutsideMount,
    /// A link that is none: of `/proc`.
    MagicLink,
    /// The daemon's own.
    Reserved,
    /// The root, a mount point, or a directory that holds one.
    RefusesRoot,
    /// Too many operations are at work in the mount.
    MountBusy,
    /// Everything else that the machine says. The cause has it.
    Io,
}

/// A failed operation.
#[derive(Clone)]
pub struct Fault(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: Kind,
    operation: &'static str,
    path: Box<[u8]>,
    detail: Option<String>,
    source: Option<Arc<io::Error>>,
}

/// Result of everything in the tree.
pub type Result<T, E = Fault> = std::result::Result<T, E>;

impl Fault {
    /// A failure of an operation, named by a verb (`open`, `list`), on a path or name.
    pub fn new(kind: Kind, operation: &'static str, path: impl AsRef<[u8]>) -> Self {
        Self(Box::new(Inner {
            kind,
            operation,
            path: path.as_ref().into(),
            detail: None,
            source: None,
        }))
    }

    /// A failure that the kernel reported. A number that means none of the other kinds is [`Kind::Io`].
    pub fn from_errno(errno: Errno, operation: &'static str, path: impl AsRef<[u8]>) -> Self {
        Self::from_io(io::Error::from(errno), operation, path)
    }

    /// A failure that the standard library reported.
    pub fn from_io(error: io::Error, operation: &'static str, path: impl AsRef<[u8]>) -> Self {
        let mut fault = Self::new(kind_of(&error), operation, path);
        fault.0.source = Some(Arc::new(error));
        fault
    }

    /// The same failure with the path that the client knows: providers know names below their root only.
    #[must_use]
    pub fn at(mut self, path: impl AsRef<[u8]>) -> Self {
        self.0.path = path.as_ref().into();
        self
    }

    /// The same failure with a sentence more, for a person.
    #[must_use]
    pub fn because(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What was tried.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// On what.
    pub fn path(&self) -> &[u8] {
        &self.0.path
    }

    /// A sentence more.
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot {} {}: {}",
            self.0.operation,
            quoted(&self.0.path),
            sentence(self.0.kind)
        )
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_ref().map(|error| error.as_ref() as _)
    }
}

fn sentence(kind: Kind) -> &'static str {
    match kind {
        Kind::NotFound => "file does not exist",
        Kind::AlreadyExists => "it exists already",
        Kind::NotADirectory => "not a directory",
        Kind::IsADirectory => "is a directory",
        Kind::NotRegular => "not a regular file",
        Kind::NotEmpty => "the directory is not empty",
        Kind::PermissionDenied => "permission denied",
        Kind::ReadOnly => "it is read only",
        Kind::NotSupported => "not supported there",
        Kind::Changed => "it changed meanwhile",
        Kind::Busy => "it is in use",
        Kind::NameTooLong => "the name is too long",
        Kind::Loop => "too many links on the way",
        Kind::TooLarge => "it is too large",
        Kind::NoSpace => "no space left",
        Kind::QuotaExceeded => "the quota of the mount is used up",
        Kind::Corrupt => "what is stored there is damaged",
        Kind::ObjectMissing => "an object of the repository is missing",
        Kind::OutsideMount => "no mount holds this path",
        Kind::MagicLink => "links of /proc are not followed",
        Kind::Reserved => "it belongs to the daemon",
        Kind::RefusesRoot => "it is a root, a mount point, or holds one",
        Kind::MountBusy => "too much is going on in the mount",
        Kind::Io => "the machine reports an error",
    }
}

fn kind_of(error: &io::Error) -> Kind {
    let Some(errno) = Errno::from_io_error(error) else {
        return Kind::Io;
    };
    match errno {
        Errno::NOENT => Kind::NotFound,
        Errno::EXIST => Kind::AlreadyExists,
        Errno::NOTDIR => Kind::NotADirectory,
        Errno::ISDIR => Kind::IsADirectory,
        Errno::NXIO | Errno::NODEV => Kind::NotRegular,
        Errno::NOTEMPTY => Kind::NotEmpty,
        Errno::ACCESS | Errno::PERM => Kind::PermissionDenied,
        Errno::ROFS => Kind::ReadOnly,
        Errno::OPNOTSUPP | Errno::NOSYS => Kind::NotSupported,
        Errno::STALE => Kind::Changed,
        Errno::BUSY | Errno::TXTBSY => Kind::Busy,
        Errno::NAMETOOLONG => Kind::NameTooLong,
        Errno::LOOP => Kind::Loop,
        Errno::FBIG => Kind::TooLarge,
        Errno::NOSPC => Kind::NoSpace,
        Errno::DQUOT => Kind::QuotaExceeded,
        _ => Kind::Io,
    }
}
