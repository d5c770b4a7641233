//! Bytes that wait until all of them have come: in memory while they are few, else in a file without a name.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
};

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::{
    fault::{Fault, Kind, Result},
    provider::CHUNK,
};

/// Bytes that are kept in memory.
const IN_MEMORY: usize = 1024 * 1024;

/// What came so far. Dropping it lets go of it.
#[derive(Debug, Default)]
pub struct Spool {
    memory: Vec<u8>,
    file: Option<File>,
    length: u64,
}

fn failed(error: io::Error) -> Fault {
    Fault::from_io(error, "spool", b"")
}

impl Spool {
    /// How many bytes came.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether none came.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.length += bytes.len() as u64;
        if self.file.is_none() && self.memory.len() + bytes.len() <= IN_MEMORY {
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        if self.file.is_none() {
            let mut file = unnamed().map_err(failed)?;
            file.write_all(&self.memory).map_err(failed)?;
            self.memory = Vec::new();
            self.file = Some(file);
        }
        let file = self.file.as_mut().expect("it was just made");
        file.write_all(bytes).map_err(failed)
    }

    /// Gives all bytes, in pieces of at most [`CHUNK`].
    pub fn drain(self, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let Some(mut file) = self.file else {
            return self.memory.chunks(CHUNK).try_for_each(take);
        };
        file.rewind().map_err(failed)?;
        let mut buffer = vec![0; CHUNK];
        let mut left = self.length;
        while left > 0 {
            let count = file.read(&mut buffer).map_err(failed)?;
            if count == 0 {
                return Err(Fault::new(Kind::Io, "spool", b""));
            }
            take(&buffer[..count])?;
            left -= count as u64;
        }
        Ok(())
    }
}

/// A file that goes with its last handle: where the machine keeps what may be large and goes soon.
pub(super) fn unnamed() -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o600);
    for directory in [c"/var/tmp", c"/tmp"] {
        if let Ok(file) = openat(CWD, directory, flags, mode) {
            return Ok(file.into());
        }
    }
    let memory = rustix::fs::memfd_create(c"spool", rustix::fs::MemfdFlags::CLOEXEC)?;
    Ok(memory.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_comes_out_again() {
        for size in [0, 1, IN_MEMORY, IN_MEMORY + 1, 3 * IN_MEMORY + 7] {
            let text: Vec<u8> = (0..=250).cycle().take(size).collect();
            let mut spool = Spool::default();
            for part in text.chunks(100_001) {
                spool.write(part).expect("written");
            }
            assert_eq!(spool.len(), size as u64);
            assert_eq!(spool.file.is_some(), size > IN_MEMORY);
            let mut back = Vec::new();
            let all = spool.drain(|bytes| {
                back.extend_from_slice(bytes);
                Ok(())
            });
            all.expect("read");
            assert!(back == text, "{size}");
        }
    }
}
