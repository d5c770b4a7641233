//! Out: places of the tree as one archive, written as they are met.

use std::{
    io::{self, BufWriter, Read, Write},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

use super::Format;
use crate::vfs::{
    entry::{Attributes, EntryKind},
    fault::{Fault, Kind, Result},
    ignore::{BadGlob, selection},
    path::Name,
    pool::Wanted,
    provider::{CHUNK, Directory, OpenFile},
    read::open_at,
    traverse::{Options, Traversal},
    view::{Place, View},
};

/// Size from which an entry of a zip needs its 64-bit form, with some room for what deflate adds.
const LARGE: u64 = 0xf000_0000;

/// How places are packed.
#[derive(Clone, Debug, Default)]
pub struct Packing {
    /// As what.
    pub format: Format,
    /// Leave out what gitignore names.
    pub ignore: bool,
    /// Which entries.
    pub globs: Vec<String>,
    /// Compression, 1 to 9.
    pub level: Option<u32>,
}

/// Whether the globs are such.
pub fn check(place: &Place, packing: &Packing) -> std::result::Result<(), BadGlob> {
    selection(&place.path, &packing.globs).map(drop)
}

/// Fails when a place cannot be read, as long as that can be told in other words than by a broken stream.
pub fn require_readable(view: &View, place: &Place) -> Result<()> {
    let found = place.require("pack")?;
    if found.kind.is_directory() {
        let opened = place.open_directory("pack")?;
        return view.list(&opened, None, 1).map(drop);
    }
    if found.kind == EntryKind::File {
        return open_at(place).map(drop);
    }
    Ok(())
}

/// Writes an archive of a directory's contents, or of several places, each below its own name. Gives how many entries were left
/// out because they are neither file, directory nor link. It fails when a file becomes shorter while it is read: half a file is
/// never taken for a whole one.
pub fn pack(
    view: &View,
    places: &[Place],
    packing: &Packing,
    out: &mut (dyn Write + Send),
    wanted: &Wanted,
) -> Result<u64> {
    let out = BufWriter::with_capacity(CHUNK, out);
    let level = packing.level.unwrap_or(6);
    match packing.format {
        Format::Tar => {
            let mut writer = Writer::Tar(tar::Builder::new(out));
            let skipped = walk(view, places, packing, &mut writer, wanted)?;
            let Writer::Tar(tar) = writer else {
                unreachable!("it was one")
            };
            let mut out = tar.into_inner().map_err(failed)?;
            out.flush().map_err(failed)?;
            Ok(skipped)
        }
        Format::TarGz => {
            let mut writer = Writer::Tar(tar::Builder::new(GzEncoder::new(
                out,
                Compression::new(level),
            )));
            let skipped = walk(view, places, packing, &mut writer, wanted)?;
            let Writer::Tar(tar) = writer else {
                unreachable!("it was one")
            };
            let mut out = tar
                .into_inner()
                .and_then(GzEncoder::finish)
                .map_err(failed)?;
            out.flush().map_err(failed)?;
            Ok(skipped)
        }
        Format::Zip => {
            let mut writer =
                Writer::<BufWriter<_>>::Zip(Box::new(ZipWriter::new_stream(out)), level);
            let skipped = walk(view, places, packing, &mut writer, wanted)?;
            let Writer::Zip(zip, _) = writer else {
                unreachable!("it was one")
            };
            let mut out = zip
                .finish()
                .map_err(|error| failed(error.into()))?
                .into_inner();
            out.flush().map_err(failed)?;
            Ok(skipped)
        }
    }
}

fn failed(error: io::Error) -> Fault {
    Fault::from_io(error, "pack", b"")
}

fn walk<W: Write>(
    view: &View,
    places: &[Place],
    packing: &Packing,
    writer: &mut Writer<W>,
    wanted: &Wanted,
) -> Result<u64> {
    let mut skipped = 0;
    for place in places {
        let found = place.require("pack")?;
        let own = place
            .path
            .names()
            .last()
            .map(Name::as_bytes)
            .unwrap_or_default();
        if !found.kind.is_directory() {
            let name = place.require_name("pack")?;
            skipped += writer.entry(&*place.directory, name, found, own, wanted)?;
            continue;
        }
        let mut prefix = Vec::new();
        if places.len() > 1 && !own.is_empty() {
            writer.directory(own, found)?;
            prefix = [own, b"/"].concat();
        }
        let root = place.open_directory("pack")?;
        let selection = selection(&place.path, &packing.globs).map_err(|error| {
            Fault::new(Kind::NotSupported, "pack", b"").because(error.to_string())
        })?;
        let options = Options {
            ignore: packing.ignore,
            selection,
            attributes: true,
            ..Options::default()
        };
        let depth = place.path.names().len();
        for found in Traversal::new(view.clone(), root, options)? {
            wanted.check()?;
            let found = found?;
            // It went while it was looked at.
            let Some(attributes) = &found.attributes else {
                continue;
            };
            if !found.selected && !found.kind.is_directory() {
                continue;
            }
            let path = found.path();
            let below: Vec<_> = path.names()[depth..].iter().map(Name::as_bytes).collect();
            let name = [&prefix[..], &below.join(&b'/')].concat();
            skipped += writer.entry(
                &*found.parent.directory,
                &found.name,
                attributes,
                &name,
                wanted,
            )?;
        }
    }
    Ok(skipped)
}

enum Writer<W: Write> {
    Tar(tar::Builder<W>),
    Zip(Box<ZipWriter<zip::write::StreamWriter<W>>>, u32),
}

impl<W: Write> Writer<W> {
    /// Writes an entry; 1 when it is of a kind that archives do not carry.
    fn entry(
        &mut self,
        directory: &dyn Directory,
        name: &Name,
        attributes: &Attributes,
        path: &[u8],
        wanted: &Wanted,
    ) -> Result<u64> {
        match attributes.kind {
            EntryKind::Dir | EntryKind::Submodule => self.directory(path, attributes)?,
            EntryKind::Symlink => match attributes.target.as_deref() {
                Some(target) => self.link(path, target, attributes)?,
                None => return Ok(1),
            },
            EntryKind::File => match directory.open(name) {
                Ok(file) => self.file(path, &*file, wanted)?,
                // It went, or became something else.
                Err(fault) if matches!(fault.kind(), Kind::NotFound | Kind::Changed) => {}
                Err(fault) => return Err(fault.at(path)),
            },
            EntryKind::Fifo | EntryKind::Socket | EntryKind::Char | EntryKind::Block => {
                return Ok(1);
            }
        }
        Ok(0)
    }

    fn directory(&mut self, path: &[u8], attributes: &Attributes) -> Result<()> {
        match self {
            Self::Tar(tar) => {
                let mut header = header(attributes, tar::EntryType::Directory, 0);
                let path = [path, b"/"].concat();
                tar.append_data(&mut header, as_path(&path), io::empty())
                    .map_err(failed)
            }
            Self::Zip(zip, _) => {
                let options = options(attributes, 0).compression_method(CompressionMethod::Stored);
                zip.add_directory(text(path), options)
                    .map_err(|error| failed(error.into()))
            }
        }
    }

    fn link(&mut self, path: &[u8], target: &[u8], attributes: &Attributes) -> Result<()> {
        match self {
            Self::Tar(tar) => {
                let mut header = header(attributes, tar::EntryType::Symlink, 0);
                tar.append_link(&mut header, as_path(path), as_path(target))
                    .map_err(failed)
            }
            Self::Zip(zip, _) => {
                let options = options(attributes, 0).compression_method(CompressionMethod::Stored);
                zip.add_symlink(text(path), text(target), options)
                    .map_err(|error| failed(error.into()))
            }
        }
    }

    fn file(&mut self, path: &[u8], file: &dyn OpenFile, wanted: &Wanted) -> Result<()> {
        let attributes = file.attributes()?;
        let size = attributes.size;
        let mut whole = Whole::new(file, size, wanted);
        match self {
            Self::Tar(tar) => {
                let mut header = header(&attributes, tar::EntryType::Regular, size);
                tar.append_data(&mut header, as_path(path), &mut whole)
                    .map_err(failed)
            }
            Self::Zip(zip, level) => {
                let options = options(&attributes, size)
                    .compression_method(CompressionMethod::Deflated)
                    .compression_level(Some((*level).into()));
                zip.start_file(text(path), options)
                    .map_err(|error| failed(error.into()))?;
                io::copy(&mut whole, zip.as_mut()).map(drop).map_err(failed)
            }
        }
    }
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

fn header(attributes: &Attributes, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(attributes.mode);
    header.set_uid(attributes.uid.into());
    header.set_gid(attributes.gid.into());
    header.set_mtime(u64::try_from(attributes.mtime.seconds).unwrap_or(0));
    header
}

fn options(attributes: &Attributes, size: u64) -> SimpleFileOptions {
    let mtime = i64::clamp(attributes.mtime.seconds, 0, i64::from(u32::MAX));
    SimpleFileOptions::default()
        .unix_permissions(attributes.mode & 0o777)
        .last_modified_time(dos_time(mtime).unwrap_or_default())
        .large_file(size >= LARGE)
}

/// The time of a zip entry, which knows no zone: UTC. By the algorithm of days to dates in H. Hinnant, "chrono-Compatible Low-Level
/// Date Algorithms" (`civil_from_days`). None outside 1980 to 2107.
fn dos_time(seconds: i64) -> Option<DateTime> {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let part = |value: i64| u8::try_from(value).ok();
    DateTime::from_date_and_time(
        u16::try_from(year).ok()?,
        part(month)?,
        part(day)?,
        part(rest / 3600)?,
        part(rest / 60 % 60)?,
        part(rest % 60)?,
    )
    .ok()
}

/// A file, just as long as it was said to be; one that has become shorter is an error, what was added is not read.
struct Whole<'a> {
    file: &'a dyn OpenFile,
    wanted: &'a Wanted,
    offset: u64,
    left: u64,
    buffer: Vec<u8>,
    taken: usize,
}

impl<'a> Whole<'a> {
    fn new(file: &'a dyn OpenFile, size: u64, wanted: &'a Wanted) -> Self {
        Self {
            file,
            wanted,
            offset: 0,
            left: size,
            buffer: Vec::new(),
            taken: 0,
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.wanted.check().map_err(io::Error::other)?;
        let size = usize::try_from(self.left).unwrap_or(CHUNK).min(CHUNK);
        self.buffer.resize(size, 0);
        let count = self
            .file
            .read_at(&mut self.buffer, self.offset)
            .map_err(io::Error::other)?;
        if count == 0 {
            let message = "the file became shorter while it was read";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        self.buffer.truncate(count);
        self.taken = 0;
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(())
    }
}

impl Read for Whole<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.buffer.len() {
            if self.left == 0 {
                return Ok(0);
            }
            self.fill()?;
        }
        let count = buffer.len().min(self.buffer.len() - self.taken);
        buffer[..count].copy_from_slice(&self.buffer[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_zip_are_utc() {
        let time = dos_time(1_795_276_799).expect("in range");
        assert_eq!(
            (
                time.year(),
                time.month(),
                time.day(),
                time.hour(),
                time.minute()
            ),
            (2026, 11, 21, 15, 59)
        );
        assert!(dos_time(0).is_none());
        let leap = dos_time(1_709_208_000).expect("in range");
        assert_eq!((leap.month(), leap.day()), (2, 29));
    }
}
