//! Records of moves and copies that are at work, in the state directory: what a killed daemon left is undone or finished by the
//! next one. A record is a file of lines, each a path in base64; it is made before anything is staged and removed afterwards.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use uuid::Uuid;

use super::{
    archive::finish,
    copy::discard,
    entry::Identity,
    fault::{Fault, Result},
    path::{ClientPath, TreePath},
    view::{Last, Place, View},
};

const HEAD: &str = "deskd move 1";
const MERGE: &str = "deskd merge 1";

/// What is at work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Where the copy is made.
    pub copy: TreePath,
    /// Where it will be.
    pub to: TreePath,
    /// Of a move: the source, and what it is called while it leaves.
    pub from: Option<(TreePath, TreePath)>,
    /// The copy itself, once it is whole.
    pub identity: Option<Identity>,
    /// Of an archive that is unpacked and ready: its entries go into the directory `to`, over what is there or not.
    pub merge: Option<bool>,
}

/// Where records lie.
#[derive(Clone, Debug, Default)]
pub struct Records(Option<Arc<PathBuf>>);

/// A record that is on disk until it is dropped.
#[derive(Debug)]
pub struct Kept(Option<PathBuf>);

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(error) = fs::remove_file(path)
        {
            tracing::warn!(%error, "failed to remove the record of a move");
        }
    }
}

impl Records {
    /// In this directory, which is made; nowhere without one.
    pub fn open(directory: Option<&Path>) -> io::Result<Self> {
        let Some(directory) = directory else {
            return Ok(Self(None));
        };
        fs::create_dir_all(directory)?;
        Ok(Self(Some(Arc::new(directory.to_owned()))))
    }

    /// Writes one, to disk.
    pub fn write(&self, record: &Record) -> Result<Kept> {
        let Some(directory) = &self.0 else {
            return Ok(Kept(None));
        };
        let path = directory.join(Uuid::now_v7().to_string());
        let write = || -> io::Result<()> {
            let mut options = fs::File::options();
            let mut file = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            io::Write::write_all(&mut file, record.to_text().as_bytes())?;
            file.sync_all()
        };
        write()
            .map_err(|error| Fault::from_io(error, "record a change of", record.to.to_bytes()))?;
        Ok(Kept(Some(path)))
    }

    /// Undoes or finishes what the last daemon left, in a tree that is like its own. Gives how many there were.
    pub fn recover(&self, view: &View) -> io::Result<usize> {
        let Some(directory) = &self.0 else {
            return Ok(0);
        };
        let mut count = 0;
        for entry in fs::read_dir(&**directory)? {
            let path = entry?.path();
            let text = fs::read_to_string(&path).unwrap_or_default();
            if let Some(record) = Record::from_text(&text) {
                count += 1;
                if let Err(fault) = record.settle(view) {
                    tracing::error!(%fault, "could not settle a move of the last run");
                }
            }
            fs::remove_file(&path)?;
        }
        Ok(count)
    }
}

impl Record {
    fn to_text(&self) -> String {
        let encode = |path: &TreePath| STANDARD.encode(path.to_bytes());
        let (copy, to) = (encode(&self.copy), encode(&self.to));
        if let Some(overwrite) = self.merge {
            return format!("{MERGE}\n{copy}\n{to}\n{overwrite}\nend\n");
        }
        let (from, leaving) = match &self.from {
            Some((from, leaving)) => (encode(from), encode(leaving)),
            None => Default::default(),
        };
        let identity = self.identity.map_or_else(String::new, |identity| {
            format!("{} {}", identity.device, identity.inode)
        });
        format!("{HEAD}\n{copy}\n{to}\n{from}\n{leaving}\n{identity}\nend\n")
    }

    fn from_text(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().collect();
        let decode = |text: &str| TreePath::parse(&STANDARD.decode(text).ok()?).ok();
        if let [MERGE, copy, to, overwrite, "end"] = lines[..] {
            return Some(Self {
                copy: decode(copy)?,
                to: decode(to)?,
                merge: Some(overwrite.parse().ok()?),
                ..Self::default()
            });
        }
        let [HEAD, copy, to, from, leaving, identity, "end"] = lines[..] else {
            return None;
        };
        let from = if from.is_empty() {
            None
        } else {
            Some((decode(from)?, decode(leaving)?))
        };
        let identity = identity.split_once(' ').and_then(|(device, inode)| {
            Some(Identity {
                device: device.parse().ok()?,
                inode: inode.parse().ok()?,
            })
        });
        Some(Self {
            copy: decode(copy)?,
            to: decode(to)?,
            from,
            identity,
            merge: None,
        })
    }

    /// A source that was about to leave goes if the copy is at its place, and comes back if not. An archive that was ready goes in.
    fn settle(&self, view: &View) -> Result<()> {
        let at = |path: &TreePath| view.resolve(&ClientPath::of(path), Last::Keep);
        let copy = at(&self.copy)?;
        let arrived = copy.found.is_none()
            && self.identity.is_some()
            && at(&self.to)?.found.map(|found| found.identity) == self.identity;
        if let Some((from, leaving)) = &self.from {
            let leaving = at(leaving)?;
            if leaving.found.is_some() && arrived {
                gone(&leaving);
            } else if let (Some(name), true) = (&leaving.name, leaving.found.is_some()) {
                let back = from.names().last().expect("a source has a name");
                let directory = &*leaving.directory;
                directory.rename(name, directory, back, false)?;
            }
        }
        if let (Some(overwrite), Some(name), true) = (self.merge, &copy.name, copy.found.is_some())
        {
            let target = view.open_directory(&ClientPath::of(&self.to), "unpack")?;
            finish(&copy.directory, name, &target, overwrite)?;
        }
        gone(&copy);
        Ok(())
    }
}

fn gone(place: &Place) {
    if let (Some(name), true, true) = (&place.name, place.found.is_some(), place.missing.is_empty())
    {
        discard(&place.directory, name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written_and_torn_ones_not_at_all() {
        let path = |bytes: &[u8]| TreePath::parse(bytes).expect("a path");
        let record = Record {
            copy: path(b"/a/.x\xff"),
            to: path(b"/a/b\n"),
            from: Some((path(b"/c"), path(b"/.y"))),
            identity: Some(Identity {
                device: 1,
                inode: 2,
            }),
            merge: None,
        };
        let text = record.to_text();
        assert_eq!(Record::from_text(&text), Some(record));
        assert_eq!(Record::from_text(&text[..text.len() - 5]), None);
        let plain = Record {
            copy: path(b"/a"),
            ..Record::default()
        };
        assert_eq!(Record::from_text(&plain.to_text()), Some(plain.clone()));
        let merge = Record {
            merge: Some(true),
            ..plain
        };
        assert_eq!(Record::from_text(&merge.to_text()), Some(merge));
    }
}
