//! Shared memory that the X server writes pictures into (MIT-SHM 1.2, `AttachFd`), kept and used again.
//!
//! A segment is a sealed memfd, so no one can shorten it under us and nothing is left behind after a crash.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use memmap2::MmapMut;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use x11rb::{
    connection::Connection,
    errors::ReplyOrIdError,
    protocol::shm::{self, Seg},
    rust_connection::RustConnection,
};

use super::source::failed;
use crate::desktop::capture::CaptureError;

/// Memory that the server has attached.
struct Segment {
    map: MmapMut,
    id: Seg,
}

/// Segments that no frame uses. The lock is held to put and to take.
type Free = Arc<Mutex<Vec<Segment>>>;

/// Segments of one connection. When it closes, the server lets go of them by itself.
#[derive(Default)]
pub(super) struct Segments {
    free: Free,
}

/// Pixels in a segment, which goes back when this is dropped, on whatever thread.
pub(super) struct Frame {
    /// Taken only by drop.
    segment: Option<Segment>,
    length: usize,
    free: Free,
}

impl Segments {
    /// A frame of `length` bytes with undefined content; from the free segments when one is large enough. Those that
    /// are not were made for a smaller screen and are given up.
    pub(super) fn take(
        &self,
        connection: &RustConnection,
        length: usize,
    ) -> Result<Frame, CaptureError> {
        loop {
            let free = lock(&self.free).pop();
            let segment = match free {
                Some(segment) if segment.map.len() < length => {
                    shm::detach(connection, segment.id).map_err(failed("let go of memory"))?;
                    continue;
                }
                Some(segment) => segment,
                None => attach(connection, length)?,
            };
            return Ok(Frame {
                segment: Some(segment),
                length,
                free: self.free.clone(),
            });
        }
    }

    /// Gives all free segments back to the system.
    pub(super) fn clear(&self, connection: &RustConnection) {
        for segment in std::mem::take(&mut *lock(&self.free)) {
            // A connection that is lost has let go of them, and the next call on it says so.
            let _ = shm::detach(connection, segment.id);
        }
        let _ = connection.flush();
    }
}

impl Frame {
    /// Name of the segment for requests.
    pub(super) fn id(&self) -> Seg {
        self.segment().id
    }

    /// Memory for us to draw into.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        let length = self.length;
        let segment = self.segment.as_mut().expect("there until the drop");
        &mut segment.map[..length]
    }

    fn segment(&self) -> &Segment {
        self.segment.as_ref().expect("there until the drop")
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.segment().map[..self.length]
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        lock(&self.free).extend(self.segment.take());
    }
}

fn attach(connection: &RustConnection, length: usize) -> Result<Segment, CaptureError> {
    let (memory, map) = allocate(length).map_err(|source| CaptureError::Server {
        operation: "get memory to share",
        source: Arc::new(source),
    })?;
    let share = || {
        let id = connection.generate_id()?;
        shm::attach_fd(connection, id, memory, false)?.check()?;
        Ok(id)
    };
    let id = share().map_err(failed::<ReplyOrIdError>("share memory"))?;
    Ok(Segment { map, id })
}

#[expect(
    unsafe_code,
    reason = "the X server writes into memory that is mapped here"
)]
fn allocate(length: usize) -> io::Result<(OwnedFd, MmapMut)> {
    let memory = memfd_create(
        "deskd-frame",
        MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
    )?;
    ftruncate(&memory, u64::try_from(length).map_err(io::Error::other)?)?;
    fcntl_add_seals(
        memory.as_fd(),
        SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
    )?;
    // SAFETY: the seals keep the memory as long as it is, so no access faults. Only the X server shares it, and it
    // writes only between a GetImage request and its reply, while the capture thread waits and nobody reads.
    let map = unsafe { MmapMut::map_mut(&memory)? };
    Ok((memory, map))
}

fn lock(free: &Free) -> MutexGuard<'_, Vec<Segment>> {
    free.lock().unwrap_or_else(PoisonError::into_inner)
}
