//! The objects of a repository, read by their ids from any thread.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    os::fd::AsRawFd,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use git2::{ErrorCode, Odb, Oid};

use super::{disk, pipes::Stores};

/// From this size on an object that lies in a file of its own is read without a second copy, and none is hashed.
const LARGE: u64 = 1 << 20;

/// The id of an object.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(Oid);

impl Id {
    pub(super) fn new(id: Oid) -> Self {
        Self(id)
    }

    /// Of its 20 bytes.
    pub fn from_bytes(bytes: &[u8; 20]) -> Self {
        Self(Oid::from_bytes(bytes).expect("an id has twenty bytes"))
    }

    /// Of its 40 digits.
    pub(super) fn parse(hex: &[u8]) -> Option<Self> {
        let hex = std::str::from_utf8(hex)
            .ok()
            .filter(|hex| hex.len() == 40)?;
        Oid::from_str(hex).ok().map(Self)
    }

    /// The id of nothing.
    pub(super) fn zero() -> Self {
        Self::from_bytes(&[0; 20])
    }

    /// The id that a content has.
    pub(super) fn of_content(bytes: &[u8]) -> Self {
        let id = Oid::hash_object(git2::ObjectType::Blob, bytes);
        Self(id.expect("bytes can be hashed"))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// A commit.
    Commit,
    /// A tree.
    Tree,
    /// A content.
    Blob,
    /// An annotated tag.
    Tag,
}

/// Why an object cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// It is not there. Nobody is asked for it.
    #[error("object {id} is missing")]
    Missing {
        /// Which.
        id: Id,
    },
    /// It is not of the kind that it should be.
    #[error("object {id} is a {found:?}")]
    WrongKind {
        /// Which.
        id: Id,
        /// What it is.
        found: ObjectKind,
    },
    /// It has more bytes than are read.
    #[error("object {id} has {size} bytes")]
    TooLarge {
        /// Which.
        id: Id,
        /// How many.
        size: u64,
    },
    /// What is stored is damaged.
    #[error("object {id} cannot be read")]
    Damaged {
        /// Which.
        id: Id,
        /// Why.
        source: git2::Error,
    },
}

/// What the library has opened, after it was looked at.
struct Store {
    odb: Odb<'static>,
    stores: Stores,
}

/// Where objects are read from: files of their own, packs, and what `alternates` names.
pub struct Objects {
    /// `objects`, held open: it is found by its descriptor, wherever it is moved.
    directory: File,
    /// Made anew when a pack has gone. Held for a glance.
    store: RwLock<Arc<Store>>,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

impl Objects {
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let directory = File::open(directory)?;
        let store = Store::open(&directory).map_err(io::Error::other)?;
        Ok(Self {
            directory,
            store: RwLock::new(Arc::new(store)),
        })
    }

    /// Kind and size, from the object's header.
    pub fn header(&self, id: Id) -> Result<(ObjectKind, u64), ObjectError> {
        let (size, kind) = self.ask(id, |store| store.read_header(id.0))?;
        Ok((kind_of(id, kind)?, size as u64))
    }

    /// The fewest digits, of at least so many, that name this object and no other one. It need not be there itself.
    pub(super) fn abbreviate(&self, id: Id, least: usize) -> String {
        let Ok(store) = self.opened() else {
            return id.to_string();
        };
        let other = |digits: usize| match store.odb.exists_prefix(id.0, digits) {
            Ok(found) => found != id.0,
            Err(error) => error.code() == ErrorCode::Ambiguous,
        };
        let digits = (least..40).find(|digits| !other(*digits)).unwrap_or(40);
        let mut hex = id.to_string();
        hex.truncate(digits);
        hex
    }

    /// How many objects lie in packs.
    pub(super) fn packed(&self) -> u64 {
        let directory = format!("/proc/self/fd/{}/pack", self.directory.as_raw_fd());
        let Ok(names) = std::fs::read_dir(directory) else {
            return 0;
        };
        let indexes = names
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "idx"));
        indexes.filter_map(|path| packed_in(&path)).sum()
    }

    /// The bytes of an object, when it is of a kind and has no more than so many.
    pub fn read(&self, id: Id, kind: ObjectKind, at_most: u64) -> Result<Arc<[u8]>, ObjectError> {
        let (found, size) = self.header(id)?;
        if found != kind {
            return Err(ObjectError::WrongKind { id, found });
        }
        if size > at_most {
            return Err(ObjectError::TooLarge { id, size });
        }
        if size >= LARGE {
            return self.read_large(id, size);
        }
        let bytes: Arc<[u8]> = self.ask(id, |store| Ok(store.read(id.0)?.data().into()))?;
        // The library fills an object in a file of its own with zeros when it is shorter than it says.
        match Oid::hash_object(raw_kind(kind), &bytes) {
            Ok(hash) if hash == id.0 => Ok(bytes),
            _ => Err(damaged(id, "it has another hash")),
        }
    }

    /// From a file of its own by its stream, which never pads; else from a pack, whose entries have checksums and lengths.
    /// Not hashed: git does not do so either, and it takes as long as the reading.
    fn read_large(&self, id: Id, size: u64) -> Result<Arc<[u8]>, ObjectError> {
        let store = self
            .opened()
            .map_err(|source| ObjectError::Damaged { id, source })?;
        let Ok((mut stream, length, _)) = store.odb.reader(id.0) else {
            return self.ask(id, |store| Ok(store.read(id.0)?.data().into()));
        };
        if length as u64 != size {
            return Err(damaged(id, "it has another length"));
        }
        let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, length).collect();
        let whole = stream.read_exact(Arc::get_mut(&mut bytes).expect("nobody else has it"));
        whole.map_err(|_| damaged(id, "it ends too early"))?;
        Ok(bytes)
    }

    /// The library's store, made anew when names have come or gone where objects lie: what it would wait for is looked for
    /// first.
    fn opened(&self) -> Result<Arc<Store>, git2::Error> {
        let store = self
            .store
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if store.stores.is_current() {
            return Ok(store);
        }
        self.reopen()
    }

    fn reopen(&self) -> Result<Arc<Store>, git2::Error> {
        let store = Arc::new(Store::open(&self.directory)?);
        *self.store.write().unwrap_or_else(PoisonError::into_inner) = store.clone();
        Ok(store)
    }

    /// Asks once more when it fails: a pack that was opened may have been replaced by another (`git gc`).
    fn ask<T>(
        &self,
        id: Id,
        question: impl Fn(&Odb<'static>) -> Result<T, git2::Error>,
    ) -> Result<T, ObjectError> {
        let failed = |source: git2::Error| match source.code() {
            ErrorCode::NotFound => ObjectError::Missing { id },
            _ => ObjectError::Damaged { id, source },
        };
        let store = self.opened().map_err(failed)?;
        if store.stores.waits_for(&self.directory, &id.to_string()) {
            return Err(damaged(id, "its file is none"));
        }
        match question(&store.odb) {
            Err(error) if error.code() != ErrorCode::NotFound => {}
            answer => return answer.map_err(failed),
        }
        let store = self.reopen().map_err(failed)?;
        question(&store.odb).map_err(failed)
    }
}

/// The number of objects in a pack, from its index: the last word of the table in front (gitformat-pack(5)).
fn packed_in(index: &Path) -> Option<u64> {
    let head = disk::read_path(index, 8 + 256 * 4).ok()??;
    let table = match head.get(..4)? {
        b"\xfftOc" => head.get(8..)?,
        _ => &head,
    };
    let last = table.get(255 * 4..256 * 4)?;
    Some(u32::from_be_bytes(last.try_into().ok()?).into())
}

impl Store {
    fn open(directory: &File) -> Result<Self, git2::Error> {
        let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
        let stores = Stores::look(Path::new(&path));
        let stores = stores.map_err(|error| git2::Error::from_str(&error.to_string()))?;
        let odb = Odb::new()?;
        odb.add_disk_alternate(&path)?;
        Ok(Self { odb, stores })
    }
}

fn damaged(id: Id, why: &str) -> ObjectError {
    let source = git2::Error::from_str(why);
    ObjectError::Damaged { id, source }
}

fn raw_kind(kind: ObjectKind) -> git2::ObjectType {
    match kind {
        ObjectKind::Commit => git2::ObjectType::Commit,
        ObjectKind::Tree => git2::ObjectType::Tree,
        ObjectKind::Blob => git2::ObjectType::Blob,
        ObjectKind::Tag => git2::ObjectType::Tag,
    }
}

fn kind_of(id: Id, kind: git2::ObjectType) -> Result<ObjectKind, ObjectError> {
    match kind {
        git2::ObjectType::Commit => Ok(ObjectKind::Commit),
        git2::ObjectType::Tree => Ok(ObjectKind::Tree),
        git2::ObjectType::Blob => Ok(ObjectKind::Blob),
        git2::ObjectType::Tag => Ok(ObjectKind::Tag),
        git2::ObjectType::Any => Err(damaged(id, "it has no kind")),
    }
}
