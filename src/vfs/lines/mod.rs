//! Pages of a file's lines, by their numbers. The file is never held whole: where its lines begin is indexed, as far as it was
//! scanned, and the indexes of the files that were read last are kept.
//!
//! ```text
//!   page of lines ──▶ index of this version of the file ──scan as far as it takes──▶ block of the first line ──▶ read
//!                          │ one scan at a time
//!                          └── kept: 64 files, 16 MiB; the one not asked for longest goes
//! ```

mod index;
mod page;
#[cfg(test)]
mod tests;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use uuid::Uuid;

use self::index::Index;
pub use self::page::{CUT_MARK, Ending, Over, Page, Wish};
use super::{
    Vfs,
    entry::{Identity, Version},
    fault::{Fault, Result},
    provider::CHUNK,
    read::Source,
    tag::{is_young, now},
};

/// Files whose indexes are kept.
pub const MAX_FILES: usize = 64;
/// Bytes of memory that they may take together.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Smaller files are scanned each time: that is as fast as looking them up.
const WORTH_KEEPING: u64 = 256 * 1024;
/// Bytes that are scanned in one turn.
const SCAN: u64 = 8 * 1024 * 1024;

/// Which version of which file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    mount: Uuid,
    identity: Identity,
    version: Version,
}

#[derive(Debug, Default)]
struct Slot {
    /// Held during a scan, which is the point of it.
    index: Arc<AsyncMutex<Index>>,
    weight: AtomicUsize,
}

type Kept = Vec<(Key, Arc<Slot>)>;

/// The indexes. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// The one that was asked for last is the last. Held for a look or a change, never across an await.
    kept: Arc<Mutex<Kept>>,
}

/// How far a file is to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To its end: its number of lines is told.
    End,
    /// To the first line of the page.
    Page,
}

/// Why there is no page.
#[derive(Debug)]
pub enum Refused {
    /// The file has only so many lines.
    Beyond(u64),
    /// Too much for the budgets.
    Over(Over),
    /// The file cannot be read.
    Fault(Fault),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Lines {
    /// Reads a page, and tells how many lines there are when it is known. The file's length must be known. Dropping the future
    /// ends the work at its next piece; what was scanned stays.
    pub async fn page(
        &self,
        vfs: &Vfs,
        source: &Source,
        wish: Wish,
        reach: Reach,
    ) -> Result<(Page, Option<u64>), Refused> {
        let length = source.length.unwrap_or_default();
        let slot = self.slot(source, length);
        let mut index = Arc::clone(&slot.index).lock_owned().await;
        while index.scanned() < length
            && (reach == Reach::End || index.line_feeds() < wish.first - 1)
        {
            index = scan(vfs, source, length, index).await?;
            slot.weight.store(index.weight(), Ordering::Relaxed);
        }
        self.trim();
        let known = index.scanned() >= length;
        let total = known.then(|| index.line_feeds() + 1);
        if let Some(total) = total.filter(|total| wish.first > *total) {
            return Err(Refused::Beyond(total));
        }
        let reader = source.clone();
        let read = vfs.run_in(&source.mount, move |_| {
            page::read(&reader, length, &index, &wish)
        });
        let page = read.await?.map_err(Refused::Over)?;
        Ok((page, total))
    }

    fn kept(&self) -> MutexGuard<'_, Vec<(Key, Arc<Slot>)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index of this version; one of its own when the version could be shared by two contents.
    fn slot(&self, source: &Source, length: u64) -> Arc<Slot> {
        let version = source.attributes.version.clone();
        if length < WORTH_KEEPING || is_young(&version, now()) {
            return Arc::default();
        }
        let identity = source.attributes.identity;
        let key = Key {
            mount: source.mount.id(),
            identity,
            version,
        };
        let mut kept = self.kept();
        let found = kept.iter().position(|(known, _)| *known == key);
        let entry = match found {
            Some(at) => kept.remove(at),
            None => (key, Arc::default()),
        };
        let slot = Arc::clone(&entry.1);
        kept.push(entry);
        if kept.len() > MAX_FILES {
            kept.remove(0);
        }
        slot
    }

    /// Lets go of the oldest until the rest fits.
    fn trim(&self) {
        let mut kept = self.kept();
        let weight = |slot: &Slot| slot.weight.load(Ordering::Relaxed);
        let mut all: usize = kept.iter().map(|(_, slot)| weight(slot)).sum();
        while all > MAX_BYTES && kept.len() > 1 {
            all -= weight(&kept.remove(0).1);
        }
    }
}

/// Scans some more of the file in a turn of the pool.
async fn scan(
    vfs: &Vfs,
    source: &Source,
    length: u64,
    mut index: OwnedMutexGuard<Index>,
) -> Result<OwnedMutexGuard<Index>> {
    let reader = source.clone();
    let work = vfs.run_in(&source.mount, move |wanted| {
        let until = length.min(index.scanned() + SCAN);
        while index.scanned() < until {
            wanted.check()?;
            let from = index.scanned();
            let to = until.min(from + CHUNK as u64);
            let bytes = reader.read(from..to)?;
            index.feed(&bytes);
        }
        Ok(index)
    });
    work.await
}
