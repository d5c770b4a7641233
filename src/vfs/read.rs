//! Opening a file for reading, the tag that its content has, and its bytes in pieces.
//!
//! A reader keeps what it opened. Each piece is a turn of its own in the pool, so a slow client holds none.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;

use super::{
    Vfs,
    entry::{Attributes, EntryKind},
    fault::{Fault, Kind, Result},
    path::{ClientPath, TreePath},
    pool::Wanted,
    provider::{CHUNK, OpenFile},
    table::Mount,
    tag::{HASHED_UNASKED, hash_file, is_young, now},
    view::{Last, Place, View},
};

/// Most that is read of a file whose length is not known.
pub const MAX_ENDLESS: u64 = 64 * 1024 * 1024;

/// How often a path is walked when its end turns into a link between two steps.
const TRIES: usize = 8;

/// A file that was opened for reading.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its path, without links.
    pub path: TreePath,
    /// Whose turn reading takes.
    pub mount: Arc<Mount>,
    /// Itself.
    pub file: Arc<dyn OpenFile>,
    /// What it was when it was opened.
    pub attributes: Attributes,
    /// Bytes; none when only reading tells.
    pub length: Option<u64>,
}

/// Follows a path and opens the regular file there. Anything else is refused before it is opened for data.
pub fn open(view: &View, path: &ClientPath) -> Result<Source> {
    let mut tries = 0;
    loop {
        let opened = open_at(&view.resolve(path, Last::Follow)?);
        match opened {
            Err(fault) if fault.kind() == Kind::Changed && tries < TRIES => tries += 1,
            opened => return opened,
        }
    }
}

/// Opens the regular file at a place.
pub fn open_at(place: &Place) -> Result<Source> {
    require_regular(place, "open")?;
    let name = place.require_name("open")?;
    let at = |fault: Fault| fault.at(place.path.to_bytes());
    let file = place.directory.open(name).map_err(at)?;
    let attributes = file.attributes().map_err(at)?;
    let mut length = Some(attributes.size).filter(|_| !file.is_endless());
    // A size of 0 may be said of a file that has more to say.
    if length == Some(0) && file.read_at(&mut [0], 0).map_err(at)? > 0 {
        length = None;
    }
    Ok(Source {
        path: place.path.clone(),
        mount: Arc::clone(&place.mount),
        file,
        attributes,
        length,
    })
}

/// Fails unless a regular file is there.
pub fn require_regular(place: &Place, operation: &'static str) -> Result<()> {
    match place.require(operation)?.kind {
        EntryKind::File => Ok(()),
        EntryKind::Dir | EntryKind::Submodule => Err(place.fault(Kind::IsADirectory, operation)),
        EntryKind::Symlink => Err(place.fault(Kind::Changed, operation)),
        EntryKind::Fifo | EntryKind::Socket | EntryKind::Char | EntryKind::Block => {
            Err(place.fault(Kind::NotRegular, operation))
        }
    }
}

impl Source {
    /// The tag of what is there, without quotes: of the content when asked for, or when the version could be shared by two
    /// contents. None for a file without an end, and for one that is both too young and too large.
    pub fn tag(&self, content: bool, wanted: &Wanted) -> Result<Option<String>> {
        let Some(length) = self.length else {
            return Ok(None);
        };
        let version = &self.attributes.version;
        let young = is_young(version, now());
        if !content && !young {
            return Ok(Some(version.tag()));
        }
        if !content && length > HASHED_UNASKED {
            return Ok(None);
        }
        match hash_file(&*self.file, wanted) {
            Ok(hash) => Ok(Some(hash.tag())),
            Err(fault) if fault.kind() == Kind::Changed && !content => Ok(None),
            Err(fault) => Err(fault.at(self.path.to_bytes())),
        }
    }

    /// Reads a part that is held whole. A file that has become shorter is [`Kind::Changed`].
    pub fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let size = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let mut buffer = vec![0; size];
        let count = self.read_at(&mut buffer, range.start)?;
        if count < size {
            return Err(self.shrunk());
        }
        Ok(buffer.into())
    }

    /// The file with a length: one that only reading tells is read, and held in memory. More than `most` bytes are
    /// [`Kind::TooLarge`].
    pub fn with_length(mut self, most: u64, wanted: &Wanted) -> Result<Self> {
        if self.length.is_some() {
            return Ok(self);
        }
        let most = most.min(MAX_ENDLESS);
        let mut bytes = Vec::new();
        loop {
            wanted.check()?;
            let start = bytes.len();
            bytes.resize(start + CHUNK, 0);
            let count = self.read_at(&mut bytes[start..], start as u64)?;
            bytes.truncate(start + count);
            if bytes.len() as u64 > most {
                return Err(Fault::new(Kind::TooLarge, "read", self.path.to_bytes()));
            }
            if count == 0 {
                break;
            }
        }
        self.length = Some(bytes.len() as u64);
        self.file = Arc::new(Held {
            bytes,
            attributes: self.attributes.clone(),
        });
        Ok(self)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let read = self.file.read_at(buffer, offset);
        read.map_err(|fault| fault.at(self.path.to_bytes()))
    }

    fn shrunk(&self) -> Fault {
        Fault::new(Kind::Changed, "read", self.path.to_bytes())
            .because("the file became shorter while it was read")
    }
}

/// A content that was read to its end.
#[derive(Debug)]
struct Held {
    bytes: Vec<u8>,
    attributes: Attributes,
}

impl OpenFile for Held {
    fn attributes(&self) -> Result<Attributes> {
        Ok(self.attributes.clone())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.bytes.get(start..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// A part of a file, piece by piece. Dropping it lets go of the file.
#[derive(Debug)]
pub struct Pieces {
    vfs: Vfs,
    source: Source,
    at: u64,
    end: u64,
}

impl Pieces {
    /// The bytes of a range; of a file without an end, at most those that it has.
    pub fn new(vfs: Vfs, source: Source, range: Range<u64>) -> Self {
        Self {
            vfs,
            source,
            at: range.start,
            end: range.end,
        }
    }

    /// The next piece, of at most [`CHUNK`] bytes; none at the end. A file that has become shorter is [`Kind::Changed`], one
    /// that does not end within [`MAX_ENDLESS`] is [`Kind::TooLarge`].
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let left = self.end.saturating_sub(self.at);
        if left == 0 {
            return Ok(None);
        }
        if self.source.length.is_none() && self.at >= MAX_ENDLESS {
            let path = self.source.path.to_bytes();
            return Err(Fault::new(Kind::TooLarge, "read", path));
        }
        let size = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let (source, at) = (self.source.clone(), self.at);
        let read = self.vfs.run_in(&self.source.mount, move |_| {
            let mut buffer = vec![0; size];
            let count = source.read_at(&mut buffer, at)?;
            if count < size && source.length.is_some() {
                return Err(source.shrunk());
            }
            buffer.truncate(count);
            Ok(Bytes::from(buffer))
        });
        let piece = read.await?;
        self.at += piece.len() as u64;
        if piece.len() < size {
            self.end = self.at;
        }
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }
}
