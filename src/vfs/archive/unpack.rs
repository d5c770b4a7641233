//! In: an archive into a directory, all of it or nothing.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
};

use flate2::read::MultiGzDecoder;
use zip::ZipArchive;

use super::{
    Format, UnpackError,
    stage::{Dress, Stage},
    tail::Tail,
};
use crate::vfs::{
    entry::Time,
    fault::{Fault, Kind},
    path::{ClientPath, Name, quoted},
    pool::Wanted,
    provider::{CHUNK, staging_name},
    record::{Record, Records},
    spool::unnamed,
    view::{Last, View},
    write::{Made, with_parents},
};

/// Longest target of a link.
const MAX_TARGET: u64 = 4096;

/// How an archive is unpacked.
#[derive(Clone, Debug)]
pub struct Unpacking {
    /// What it is; else what its first bytes say.
    pub format: Option<Format>,
    /// Names that are taken off each path from the left.
    pub strip: usize,
    /// What is there may be replaced.
    pub overwrite: bool,
    /// Bytes of all files, as they are written.
    pub max_bytes: u64,
    /// Entries.
    pub max_entries: u64,
}

/// What was unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Files.
    pub files: u64,
    /// Directories.
    pub dirs: u64,
    /// Links.
    pub links: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Devices and the like, which are left out.
    pub skipped: u64,
}

/// Unpacks what a reader gives into a directory, which is made if missing. Blocks. Until all is read and checked nothing changes
/// there; what a kill leaves is dealt with by [`Records::recover`].
pub fn unpack(
    view: &View,
    records: &Records,
    path: &ClientPath,
    input: &mut (dyn Read + Send),
    how: &Unpacking,
    wanted: &Wanted,
) -> Result<Unpacked, UnpackError> {
    let place = view.resolve(path, Last::Follow)?;
    if place
        .found
        .as_ref()
        .is_some_and(|found| !found.kind.is_directory())
    {
        return Err(place.fault(Kind::NotADirectory, "unpack").into());
    }
    place.require_writable("unpack")?;
    // Directories that are made go again, after the stage, when it fails.
    let ((place, mut made), target) = if place.found.is_some() {
        let target = place.open_directory("unpack")?;
        ((place, Made::default()), Some(target))
    } else {
        (with_parents(view, path, place, false)?, None)
    };
    let name = staging_name()?;
    let mut above = place.path.clone();
    above.pop();
    let (home, beside) = match &target {
        Some(target) => (&target.directory, &target.path),
        None => (&place.directory, &above),
    };
    let mut record = Record {
        copy: beside.join(&name),
        to: place.path.clone(),
        ..Record::default()
    };
    // It goes after the stage, which is dropped before it.
    let first = records.write(&record)?;
    let stage = Stage::new(home, name).map_err(|fault| fault.at(place.path.to_bytes()))?;
    let mut job = Job {
        stage,
        how,
        done: Unpacked::default(),
        entries: 0,
        wanted,
    };
    job.read(input)?;
    let Job {
        mut stage, done, ..
    } = job;
    if let Some(target) = target {
        stage.prepare(&target, how.overwrite)?;
        record.merge = Some(how.overwrite);
        let second = records.write(&record)?;
        drop(first);
        let merged = stage.merge(&target, how.overwrite);
        drop(stage);
        drop(second);
        merged?;
    } else {
        let name = place.require_name("unpack")?;
        stage
            .become_new(name, 0o755)
            .map_err(|fault| fault.at(place.path.to_bytes()))?;
    }
    made.keep();
    Ok(done)
}

fn bad(error: &dyn std::fmt::Display) -> UnpackError {
    UnpackError::Bad(error.to_string())
}

struct Job<'a> {
    stage: Stage,
    how: &'a Unpacking,
    done: Unpacked,
    entries: u64,
    wanted: &'a Wanted,
}

impl Job<'_> {
    fn read(&mut self, input: &mut (dyn Read + Send)) -> Result<(), UnpackError> {
        let mut start = vec![0; 512];
        let mut filled = 0;
        while filled < start.len() {
            match input
                .read(&mut start[filled..])
                .map_err(|error| bad(&error))?
            {
                0 => break,
                count => filled += count,
            }
        }
        start.truncate(filled);
        let format = self.how.format.unwrap_or_else(|| recognise(&start));
        let mut whole = io::Cursor::new(start).chain(input);
        match format {
            Format::Tar => self.tar(&mut whole)?,
            Format::TarGz => {
                let mut unzipped = MultiGzDecoder::new(&mut whole);
                self.tar(&mut unzipped)?;
            }
            Format::Zip => return self.zip(&mut whole),
        }
        // A sender that is not heard out takes the answer for a broken connection.
        io::copy(&mut whole, &mut io::sink())
            .map(drop)
            .map_err(|error| bad(&error))
    }

    fn tar(&mut self, input: &mut dyn Read) -> Result<(), UnpackError> {
        let mut archive = tar::Archive::new(Tail::new(input));
        for entry in archive.entries().map_err(|error| bad(&error))? {
            self.wanted.check()?;
            let mut entry = entry.map_err(|error| bad(&error))?;
            self.tar_entry(&mut entry)?;
        }
        let mut tail = archive.into_inner();
        if !tail.has_ended() {
            return Err(UnpackError::Bad(
                "it is cut short: its end is missing".to_owned(),
            ));
        }
        // What follows the end is padding, or the checksum of the compression.
        let mut rest = (&mut tail).take(self.how.max_bytes);
        io::copy(&mut rest, &mut io::sink())
            .map(drop)
            .map_err(|error| bad(&error))
    }

    fn tar_entry<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<(), UnpackError> {
        let given = entry.path_bytes().into_owned();
        let kind = entry.header().entry_type();
        let Some(path) = self.path(&given)? else {
            return Ok(());
        };
        let header = entry.header();
        let mtime = header
            .mtime()
            .ok()
            .and_then(|time| i64::try_from(time).ok());
        let dress = Dress {
            mode: Some(header.mode().map_err(|error| bad(&error))? & 0o777),
            mtime: mtime.map(|seconds| Time { seconds, nanos: 0 }),
        };
        let linked = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
        match kind {
            tar::EntryType::Directory => self.directory(&path, dress),
            tar::EntryType::Symlink => self.link(&given, &path, &linked.unwrap_or_default()),
            tar::EntryType::Link => {
                let of = linked.unwrap_or_default();
                let Some(of) = self.checked(&of)? else {
                    return Err(unsafe_entry(&given, "it is a second name of nothing"));
                };
                self.done.files += 1;
                let (stage, mut count) = self.counting();
                stage.copy(&path, &of, dress, &mut count)
            }
            kind if kind.is_file()
                || kind == tar::EntryType::Continuous
                || kind.is_gnu_sparse() =>
            {
                self.file(&path, dress, entry)
            }
            _ => {
                self.done.skipped += 1;
                Ok(())
            }
        }
    }

    fn zip(&mut self, input: &mut dyn Read) -> Result<(), UnpackError> {
        let spooled = spool(input, self.how.max_bytes)?;
        let mut archive = ZipArchive::new(spooled).map_err(|error| bad(&error))?;
        for index in 0..archive.len() {
            self.wanted.check()?;
            let mut entry = archive.by_index(index).map_err(|error| bad(&error))?;
            let given = entry.name_raw().to_vec();
            if given.contains(&b'\\') || given.get(1) == Some(&b':') {
                return Err(unsafe_entry(&given, "it is a path of another system"));
            }
            let Some(path) = self.path(&given)? else {
                continue;
            };
            let mode = entry.unix_mode();
            let dress = Dress {
                mode: mode.map(|mode| mode & 0o777).filter(|mode| *mode != 0),
                mtime: entry.last_modified().and_then(seconds),
            };
            match mode.map_or(0, |mode| mode & 0o170_000) {
                0o120_000 => {
                    let mut target = Vec::new();
                    (&mut entry)
                        .take(MAX_TARGET + 1)
                        .read_to_end(&mut target)
                        .map_err(|error| bad(&error))?;
                    self.link(&given, &path, &target)?;
                }
                _ if given.ends_with(b"/") => self.directory(&path, dress)?,
                0 | 0o100_000 => self.file(&path, dress, &mut entry)?,
                0o040_000 => self.directory(&path, dress)?,
                _ => self.done.skipped += 1,
            }
        }
        Ok(())
    }

    /// The checked names of an entry, less those that are taken off. None: nothing is left of it.
    fn path(&mut self, given: &[u8]) -> Result<Option<Vec<Name>>, UnpackError> {
        self.entries += 1;
        if self.entries > self.how.max_entries {
            return Err(UnpackError::TooLarge(format!(
                "{} entries",
                self.how.max_entries
            )));
        }
        self.checked(given)
    }

    fn checked(&self, given: &[u8]) -> Result<Option<Vec<Name>>, UnpackError> {
        if given.is_empty() {
            return Err(unsafe_entry(given, "it has no name"));
        }
        if given.starts_with(b"/") {
            return Err(unsafe_entry(given, "it is absolute"));
        }
        let parts = given
            .split(|byte| *byte == b'/')
            .filter(|part| !matches!(*part, b"" | b"."));
        let names: Result<Vec<_>, _> = parts.map(Name::new).collect();
        let names = names.map_err(|_| unsafe_entry(given, "a part of it is no name"))?;
        Ok(names
            .get(self.how.strip..)
            .filter(|rest| !rest.is_empty())
            .map(<[Name]>::to_vec))
    }

    fn directory(&mut self, path: &[Name], dress: Dress) -> Result<(), UnpackError> {
        self.done.dirs += 1;
        self.stage.directory(path, dress)
    }

    /// A link may lead anywhere in the directory, and nowhere else.
    fn link(&mut self, given: &[u8], path: &[Name], target: &[u8]) -> Result<(), UnpackError> {
        if target.is_empty() || target.len() as u64 > MAX_TARGET || target.contains(&0) {
            return Err(unsafe_entry(given, "it is a link to no path"));
        }
        if target.starts_with(b"/") {
            return Err(unsafe_entry(given, "it is a link to an absolute path"));
        }
        // Only at its start, where directories and not links are left: behind a name, which may be a link, nobody can tell.
        let (mut depth, mut named) = (path.len() - 1, false);
        for part in target.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." if named || depth == 0 => {
                    return Err(unsafe_entry(
                        given,
                        "it is a link that leaves the directory",
                    ));
                }
                b".." => depth -= 1,
                _ => named = true,
            }
        }
        self.done.links += 1;
        self.stage.link(path, target)
    }

    fn file(
        &mut self,
        path: &[Name],
        dress: Dress,
        content: &mut dyn Read,
    ) -> Result<(), UnpackError> {
        self.done.files += 1;
        let (stage, mut count) = self.counting();
        stage.file(path, dress, content, &mut count)
    }

    /// The stage, and what counts the bytes that go into it.
    fn counting(&mut self) -> (&mut Stage, impl FnMut(usize) -> Result<(), UnpackError>) {
        let (most, wanted) = (self.how.max_bytes, self.wanted);
        let bytes = &mut self.done.bytes;
        let count = move |more: usize| {
            wanted.check()?;
            *bytes += more as u64;
            if *bytes > most {
                return Err(UnpackError::TooLarge(format!("{most} bytes")));
            }
            Ok(())
        };
        (&mut self.stage, count)
    }
}

fn unsafe_entry(given: &[u8], why: &'static str) -> UnpackError {
    UnpackError::Unsafe {
        name: quoted(given),
        why,
    }
}

/// By the first bytes (gzip: RFC 1952 2.3.1; zip: APPNOTE 4.3.7 and 4.3.16).
fn recognise(start: &[u8]) -> Format {
    if start.starts_with(&[0x1f, 0x8b]) {
        Format::TarGz
    } else if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
        Format::Zip
    } else {
        Format::Tar
    }
}

/// The directory of a zip is at its end, so all of it has to be there first.
fn spool(input: &mut dyn Read, most: u64) -> Result<File, UnpackError> {
    let failed = |error| Fault::from_io(error, "spool", b"");
    let mut file = unnamed().map_err(failed)?;
    let mut buffer = vec![0; CHUNK];
    let mut length = 0;
    loop {
        let count = input.read(&mut buffer).map_err(|error| bad(&error))?;
        if count == 0 {
            break;
        }
        length += count as u64;
        if length > most {
            return Err(UnpackError::TooLarge(format!("{most} bytes")));
        }
        file.write_all(&buffer[..count]).map_err(failed)?;
    }
    file.rewind().map_err(failed)?;
    Ok(file)
}

/// A time of a zip entry, taken as UTC. By the algorithm of dates to days in H. Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms" (`days_from_civil`).
fn seconds(time: zip::DateTime) -> Option<Time> {
    let (month, day) = (i64::from(time.month()), i64::from(time.day()));
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = i64::from(time.year()) - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let clock =
        i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    Some(Time {
        seconds: days * 86_400 + clock,
        nanos: 0,
    })
}
