//! The staging directory: what is unpacked lies there until all is known to be good; then it is renamed into place, or it goes.

use std::{io::Read, sync::Arc};

use super::{UnpackError, merge};
use crate::vfs::{
    change::{enter, names_of},
    entry::{EntryKind, Time},
    fault::{Kind, Result},
    path::{Name, TreePath, quoted},
    provider::{CHUNK, Changes, Commit, Creation, Directory},
    view::Opened,
};

/// Attributes of an entry.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dress {
    pub(super) mode: Option<u32>,
    pub(super) mtime: Option<Time>,
}

/// A directory of ours beside or in the target, with one for what is new and one for what is replaced. Dropping it removes it
/// with all that is in it.
#[derive(Debug)]
pub(super) struct Stage {
    home: Arc<dyn Directory>,
    name: Name,
    /// Itself.
    root: Arc<dyn Directory>,
    /// Where what is unpacked lies.
    new: Arc<dyn Directory>,
    /// The directory in which the last entry was put.
    at_hand: (Vec<Name>, Arc<dyn Directory>),
    /// Attributes of directories, set when all is in them.
    dresses: Vec<(Vec<Name>, Dress)>,
    buffer: Vec<u8>,
    kept: bool,
}

fn unsafe_entry(path: &[Name], why: &'static str) -> UnpackError {
    let text: Vec<_> = path.iter().map(Name::as_bytes).collect();
    UnpackError::Unsafe {
        name: quoted(&text.join(&b'/')),
        why,
    }
}

impl Stage {
    /// Makes it under a name that the caller has recorded.
    pub(super) fn new(home: &Arc<dyn Directory>, name: Name) -> Result<Self> {
        home.make_dir(&name, Some(0o700))?;
        let made = |parent: &Arc<dyn Directory>, name: &Name| -> Result<Arc<dyn Directory>> {
            Ok(parent.descend(std::slice::from_ref(name))?.0)
        };
        let root = made(home, &name)?;
        let mut stage = Self {
            home: Arc::clone(home),
            name,
            new: Arc::clone(&root),
            at_hand: (Vec::new(), Arc::clone(&root)),
            root,
            dresses: Vec::new(),
            buffer: vec![0; CHUNK],
            kept: false,
        };
        stage.root.make_dir(&new_name(), Some(0o700))?;
        stage.new = made(&stage.root, &new_name())?;
        stage.at_hand.1 = Arc::clone(&stage.new);
        Ok(stage)
    }

    /// The directory of a path's last name; those on the way are made. Never through a link: what is there is ours.
    fn parent(&mut self, path: &[Name]) -> Result<Arc<dyn Directory>, UnpackError> {
        let parents = &path[..path.len() - 1];
        if self.at_hand.0 == parents {
            return Ok(Arc::clone(&self.at_hand.1));
        }
        let mut directory = Arc::clone(&self.new);
        for (depth, name) in parents.iter().enumerate() {
            let (next, taken) = directory.descend(std::slice::from_ref(name))?;
            if taken == 1 {
                directory = next;
                continue;
            }
            match directory.lookup(name) {
                Err(fault) if fault.kind() == Kind::NotFound => {
                    directory.make_dir(name, Some(0o700))?;
                    self.dresses.push((
                        parents[..=depth].to_vec(),
                        Dress {
                            mode: Some(0o755),
                            mtime: None,
                        },
                    ));
                    directory = directory.descend(std::slice::from_ref(name))?.0;
                }
                Err(fault) => return Err(fault.into()),
                Ok(found) if found.kind == EntryKind::Symlink => {
                    return Err(unsafe_entry(path, "it lies below an entry that is a link"));
                }
                Ok(_) => return Err(unsafe_entry(path, "it lies below an entry that is a file")),
            }
        }
        self.at_hand = (parents.to_vec(), Arc::clone(&directory));
        Ok(directory)
    }

    /// What was there under the name goes: the last one wins. A directory stays when another comes.
    fn clear(parent: &dyn Directory, path: &[Name], directory: bool) -> Result<bool, UnpackError> {
        let name = path.last().expect("an entry has a name");
        match parent.lookup(name) {
            Err(fault) if fault.kind() == Kind::NotFound => Ok(false),
            Err(fault) => Err(fault.into()),
            Ok(found) if found.kind.is_directory() && directory => Ok(true),
            Ok(found) if found.kind.is_directory() => {
                Err(unsafe_entry(path, "it was a directory before"))
            }
            Ok(_) => {
                parent.remove(name, false)?;
                Ok(false)
            }
        }
    }

    pub(super) fn directory(&mut self, path: &[Name], dress: Dress) -> Result<(), UnpackError> {
        let parent = self.parent(path)?;
        if !Self::clear(&*parent, path, true)? {
            parent.make_dir(path.last().expect("a name"), Some(0o700))?;
        }
        self.dresses.push((path.to_vec(), dress));
        Ok(())
    }

    pub(super) fn link(&mut self, path: &[Name], target: &[u8]) -> Result<(), UnpackError> {
        let parent = self.parent(path)?;
        Self::clear(&*parent, path, false)?;
        parent.make_link(path.last().expect("a name"), target)?;
        Ok(())
    }

    /// Writes a file from a reader; `count` is asked before each piece is kept.
    pub(super) fn file(
        &mut self,
        path: &[Name],
        dress: Dress,
        content: &mut dyn Read,
        count: &mut dyn FnMut(usize) -> Result<(), UnpackError>,
    ) -> Result<(), UnpackError> {
        let parent = self.parent(path)?;
        Self::clear(&*parent, path, false)?;
        let name = path.last().expect("a name");
        let creation = Creation {
            mode: dress.mode,
            unseen: true,
            ..Creation::default()
        };
        let mut draft = parent.create(name, &creation)?;
        loop {
            let read = content
                .read(&mut self.buffer)
                .map_err(|error| UnpackError::Bad(error.to_string()))?;
            if read == 0 {
                break;
            }
            count(read)?;
            draft.write(&self.buffer[..read])?;
        }
        let changes = Changes {
            mtime: dress.mtime,
            ..Changes::default()
        };
        let set = draft.set_attributes(&changes)?;
        draft.commit(&Commit::default())?;
        if !set && changes != Changes::default() {
            parent.set_attributes(Some(name), &changes)?;
        }
        Ok(())
    }

    /// Writes another name's content once more: the second name of a file.
    pub(super) fn copy(
        &mut self,
        path: &[Name],
        of: &[Name],
        dress: Dress,
        count: &mut dyn FnMut(usize) -> Result<(), UnpackError>,
    ) -> Result<(), UnpackError> {
        let refused = || {
            unsafe_entry(
                path,
                "it is a second name of what is no earlier file of the archive",
            )
        };
        let (parents, name) = of
            .split_last()
            .map(|(name, parents)| (parents, name))
            .ok_or_else(refused)?;
        let (directory, taken) = self.new.descend(parents)?;
        if taken < parents.len() {
            return Err(refused());
        }
        let file = directory.open(name).map_err(|_| refused())?;
        let mut reader = From {
            file: &*file,
            offset: 0,
        };
        self.file(path, dress, &mut reader, count)
    }

    /// Sets the attributes of the directories, the innermost first.
    fn dress(&mut self) -> Result<()> {
        for (path, dress) in self.dresses.drain(..).rev() {
            let (name, parents) = path.split_last().expect("a directory has a name");
            let (parent, taken) = self.new.descend(parents)?;
            if taken < parents.len() {
                continue;
            }
            let changes = Changes {
                mode: dress.mode,
                mtime: dress.mtime,
                owner: None,
            };
            parent.set_attributes(Some(name), &changes)?;
        }
        Ok(())
    }

    /// Becomes a directory that is not there yet.
    pub(super) fn become_new(mut self, name: &Name, mode: u32) -> Result<()> {
        self.dress()?;
        let new = new_name();
        let mode = Changes {
            mode: Some(mode),
            ..Changes::default()
        };
        self.root.set_attributes(Some(&new), &mode)?;
        self.root.rename(&new, &*self.home, name, false)
    }

    /// Makes all ready to go into a directory that is there, and looks whether something is in the way. Nothing has changed
    /// there yet, and nothing is left to be done but renames.
    pub(super) fn prepare(&mut self, target: &Opened, overwrite: bool) -> Result<(), UnpackError> {
        merge::look(&self.new, target, overwrite)?;
        self.dress()?;
        self.root.make_dir(&old_name(), Some(0o700))?;
        Ok(())
    }

    /// Goes into that directory, entry by entry; on a failure all is as it was.
    pub(super) fn merge(&mut self, target: &Opened, overwrite: bool) -> Result<(), UnpackError> {
        let old = enter(&*self.root, &old_name(), &target.path)?;
        let merged = merge::merge(&self.new, &old, target, overwrite);
        merged.map_err(|failed| {
            let Some(undoing) = failed.undoing else {
                return failed.error;
            };
            // What was replaced must not go with the stage.
            self.kept = true;
            let path = target.path.join(&self.name);
            undoing
                .because(format!("what it replaced is left in {path}"))
                .into()
        })
    }
}

/// Finishes what [`Stage::merge`] had begun when its daemon was killed. What somebody else put in the way since then stays.
pub(in crate::vfs) fn finish(
    home: &Arc<dyn Directory>,
    name: &Name,
    target: &Opened,
    overwrite: bool,
) -> Result<()> {
    let root = enter(&**home, name, &target.path)?;
    let new = enter(&*root, &new_name(), &target.path)?;
    let old = enter(&*root, &old_name(), &target.path)?;
    merge::go_on(&new, &old, target, overwrite)
}

fn new_name() -> Name {
    Name::new(b"new").expect("letters")
}

fn old_name() -> Name {
    Name::new(b"old").expect("letters")
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.kept
            && let Err(fault) = remove_all(&self.home, &self.name)
        {
            tracing::warn!(%fault, "a staging directory could not be removed");
        }
    }
}

/// Removes a directory of ours with all that is in it, without recursion.
fn remove_all(home: &Arc<dyn Directory>, name: &Name) -> Result<()> {
    let mut stack = vec![(Arc::clone(home), name.clone(), false)];
    while let Some((parent, name, emptied)) = stack.pop() {
        if emptied {
            parent.remove(&name, true)?;
            continue;
        }
        let own = Changes {
            mode: Some(0o700),
            ..Changes::default()
        };
        parent.set_attributes(Some(&name), &own)?;
        let (directory, _) = parent.descend(std::slice::from_ref(&name))?;
        stack.push((parent, name, true));
        for (name, kind) in names_of(&*directory, &TreePath::root())? {
            if kind.is_directory() {
                stack.push((Arc::clone(&directory), name, false));
            } else {
                directory.remove(&name, false)?;
            }
        }
    }
    Ok(())
}

struct From<'a> {
    file: &'a dyn crate::vfs::provider::OpenFile,
    offset: u64,
}

impl Read for From<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self
            .file
            .read_at(buffer, self.offset)
            .map_err(std::io::Error::other)?;
        self.offset += count as u64;
        Ok(count)
    }
}
