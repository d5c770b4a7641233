//! The bytes of files, as git would store them: from the objects, or from the work tree after cleaning.

use std::{
    cell::RefCell,
    io::{self, Read},
    os::fd::OwnedFd,
};

use rustix::fs::FileType;
use sha2::{Digest, Sha256};

use super::{
    attributes::Attributes,
    clean::{self, Cleaning},
    disk::{self, Stat},
    index::Index,
    objects::{Id, ObjectError, ObjectKind, Objects},
    settings::Settings,
    walk::LINK,
};

/// Largest file of Git LFS that is hashed.
const MAX_LFS: u64 = 64 << 20;
/// Largest file of attributes that is taken from the index.
const MAX_ATTRIBUTES: u64 = 1 << 20;

/// Why a content is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Why {
    TooLarge,
    TooManyLines,
    Unreadable,
    Changing,
    Filtered,
    Missing,
    Damaged,
}

impl Why {
    /// What the line in the diff says.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::TooLarge => "the file is too large",
            Self::TooManyLines => "the file has too many lines",
            Self::Unreadable => "the file cannot be read",
            Self::Changing => "the file changed while it was read",
            Self::Filtered => "a filter would decide what is stored, and none is run",
            Self::Missing => "the object is not in the repository",
            Self::Damaged => "the object is damaged",
        }
    }
}

/// A content that is not shown, and its size where that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Opaque {
    pub(super) why: Why,
    pub(super) size: Option<u64>,
}

/// What a file in the work tree would be stored as.
#[derive(Debug)]
pub(super) enum Loaded {
    /// There is no such file any more.
    Gone,
    /// Its bytes.
    Bytes(Stat, Vec<u8>),
    /// The content that the index has.
    AsStored(Stat, Id),
    /// Not known.
    Opaque(Option<Stat>, Opaque),
}

/// Reads contents of one repository.
#[derive(Debug)]
pub(super) struct Contents<'a> {
    pub(super) root: &'a OwnedFd,
    pub(super) objects: &'a Objects,
    pub(super) index: &'a Index,
    pub(super) settings: &'a Settings,
    pub(super) attributes: &'a RefCell<Attributes>,
    /// Largest file that is read.
    pub(super) most: u64,
}

impl Contents<'_> {
    /// How a path is cleaned, by its attributes.
    pub(super) fn cleaning(&self, path: &[u8]) -> Cleaning {
        let in_index = |path: &[u8]| {
            let at = self.index.find(path).next()?;
            let id = self.index.entries[at].id;
            let bytes = self
                .objects
                .read(id, ObjectKind::Blob, MAX_ATTRIBUTES)
                .ok()?;
            Some(bytes.to_vec())
        };
        let found = self.attributes.borrow_mut().of(self.root, path, &in_index);
        Cleaning::new(&found, self.settings)
    }

    /// A stored content.
    pub(super) fn stored(&self, id: Id) -> Result<std::sync::Arc<[u8]>, Opaque> {
        let opaque = |why, size| Err(Opaque { why, size });
        match self.objects.read(id, ObjectKind::Blob, self.most) {
            Ok(bytes) => Ok(bytes),
            Err(ObjectError::TooLarge { size, .. }) => opaque(Why::TooLarge, Some(size)),
            Err(ObjectError::Missing { .. }) => opaque(Why::Missing, None),
            Err(_) => opaque(Why::Damaged, None),
        }
    }

    /// A file of the work tree as it would be stored.
    pub(super) fn on_disk(&self, path: &[u8]) -> Loaded {
        let stat = |(parent, name): &(OwnedFd, std::ffi::CString)| Stat::of_name(parent, name);
        let place = disk::open_parent(self.root, path);
        let opened = place.and_then(|place| {
            let found = place.as_ref().map(stat).transpose()?.flatten();
            Ok(place.zip(found))
        });
        let unreadable = |size| Opaque {
            why: Why::Unreadable,
            size,
        };
        let ((parent, name), stat) = match opened {
            Ok(Some(opened)) => opened,
            Ok(None) => return Loaded::Gone,
            Err(_) => return Loaded::Opaque(None, unreadable(None)),
        };
        match stat.kind() {
            FileType::Symlink => match disk::read_target(&parent, &name) {
                Ok(target) => Loaded::Bytes(stat, target),
                Err(_) => Loaded::Opaque(Some(stat), unreadable(None)),
            },
            FileType::RegularFile => {
                let loaded = self.regular(path, &parent, &name);
                loaded.unwrap_or_else(|_| Loaded::Opaque(Some(stat), unreadable(Some(stat.size))))
            }
            _ => Loaded::Gone,
        }
    }

    fn regular(&self, path: &[u8], parent: &OwnedFd, name: &std::ffi::CStr) -> io::Result<Loaded> {
        let cleaning = self.cleaning(path);
        let Some((mut file, stat)) = disk::open_regular(parent, name)? else {
            return Ok(Loaded::Gone);
        };
        let size = Some(stat.size);
        if cleaning.filtered {
            return self.filtered(path, cleaning, &mut file, stat);
        }
        if stat.size > self.most {
            return Ok(Loaded::Opaque(
                Some(stat),
                Opaque {
                    why: Why::TooLarge,
                    size,
                },
            ));
        }
        let Some(bytes) = read_whole(&mut file, &stat)? else {
            return Ok(Loaded::Opaque(
                Some(stat),
                Opaque {
                    why: Why::Changing,
                    size,
                },
            ));
        };
        let entry = self
            .index
            .find(path)
            .next()
            .map(|at| &self.index.entries[at]);
        if cleaning.is_plain() || entry.is_some_and(|entry| entry.mode == LINK) {
            return Ok(Loaded::Bytes(stat, bytes));
        }
        let in_index = || {
            let entry = entry.filter(|entry| entry.stage == 0 || entry.stage == 2)?;
            self.stored(entry.id).ok().map(|bytes| bytes.to_vec())
        };
        Ok(Loaded::Bytes(stat, cleaning.apply(bytes, in_index)))
    }

    /// No program is asked. What Git LFS would store is known without it.
    fn filtered(
        &self,
        path: &[u8],
        cleaning: Cleaning,
        file: &mut std::fs::File,
        stat: Stat,
    ) -> io::Result<Loaded> {
        let opaque = Opaque {
            why: Why::Filtered,
            size: Some(stat.size),
        };
        let entry = self
            .index
            .find(path)
            .next()
            .map(|at| &self.index.entries[at]);
        let Some(id) = entry.filter(|_| cleaning.is_lfs).map(|entry| entry.id) else {
            return Ok(Loaded::Opaque(Some(stat), opaque));
        };
        let pointer = self.stored(id).unwrap_or_default();
        let same = match clean::read_pointer(&pointer) {
            Some((hash, size)) if size == stat.size && size <= MAX_LFS => hash_of(file)? == hash,
            // The pointer itself lies there.
            _ if stat.size == pointer.len() as u64 => {
                read_whole(file, &stat)?.is_some_and(|bytes| bytes[..] == pointer[..])
            }
            _ => false,
        };
        Ok(if same {
            Loaded::AsStored(stat, id)
        } else {
            Loaded::Opaque(Some(stat), opaque)
        })
    }
}

fn hash_of(file: &mut std::fs::File) -> io::Result<Vec<u8>> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            return Ok(hash.finalize().to_vec());
        }
        hash.update(&piece[..count]);
    }
}

/// All of a file. None: it changed meanwhile.
fn read_whole(file: &mut std::fs::File, stat: &Stat) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::with_capacity(usize::try_from(stat.size).unwrap_or(0) + 1);
    file.take(stat.size + 1).read_to_end(&mut bytes)?;
    let after = Stat::of_file(&*file)?;
    Ok((bytes.len() as u64 == stat.size && after == *stat).then_some(bytes))
}
