//! The staging directory: what is unpacked lies there until all is known to be good; then it is renamed into place, or it goes.

use std::{io::Read, sync::Arc};

use super::UnpackError;
use crate::vfs::{
    entry::{EntryKind, Time},
    fault::{Fault, Kind, Result},
    path::{Name, TreePath, quoted},
    provider::{CHUNK, Changes, Commit, Creation, Directory, staging_name},
};

/// Attributes of an entry.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dress {
    pub(super) mode: Option<u32>,
    pub(super) mtime: Option<Time>,
}

/// A directory of ours beside or in the target. Dropping it removes it with all that is in it.
#[derive(Debug)]
pub(super) struct Stage {
    home: Arc<dyn Directory>,
    name: Name,
    root: Arc<dyn Directory>,
    /// The directory in which the last entry was put.
    at_hand: (Vec<Name>, Arc<dyn Directory>),
    /// Attributes of directories, set when all is in them.
    dresses: Vec<(Vec<Name>, Dress)>,
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
    pub(super) fn new(home: &Arc<dyn Directory>) -> Result<Self> {
        let name = staging_name().map_err(|error| Fault::from_io(error, "unpack", b""))?;
        home.make_dir(&name, Some(0o700))?;
        let (root, _) = home.descend(std::slice::from_ref(&name))?;
        let at_hand = (Vec::new(), Arc::clone(&root));
        Ok(Self {
            home: Arc::clone(home),
            name,
            root,
            at_hand,
            dresses: Vec::new(),
            kept: false,
        })
    }

    /// The directory of a path's last name; those on the way are made. Never through a link: what is there is ours.
    fn parent(&mut self, path: &[Name]) -> Result<Arc<dyn Directory>, UnpackError> {
        let parents = &path[..path.len() - 1];
        if self.at_hand.0 == parents {
            return Ok(Arc::clone(&self.at_hand.1));
        }
        let mut directory = Arc::clone(&self.root);
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
            ..Creation::default()
        };
        let mut draft = parent.create(name, &creation)?;
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = content
                .read(&mut buffer)
                .map_err(|error| UnpackError::Bad(error.to_string()))?;
            if read == 0 {
                break;
            }
            count(read)?;
            draft.write(&buffer[..read])?;
        }
        draft.commit(&Commit::default())?;
        if let Some(mtime) = dress.mtime {
            parent.set_attributes(
                Some(name),
                &Changes {
                    mtime: Some(mtime),
                    ..Changes::default()
                },
            )?;
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
        let (directory, taken) = self.root.descend(parents)?;
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
            let (parent, taken) = self.root.descend(parents)?;
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
        self.home.set_attributes(
            Some(&self.name),
            &Changes {
                mode: Some(mode),
                ..Changes::default()
            },
        )?;
        self.home.rename(&self.name, &*self.home, name, false)?;
        self.kept = true;
        Ok(())
    }

    /// Goes into a directory that is there, entry by entry; on a failure all is as it was.
    pub(super) fn merge(
        mut self,
        target: &Arc<dyn Directory>,
        path: &TreePath,
        overwrite: bool,
    ) -> Result<(), UnpackError> {
        let name = staging_name().map_err(|error| Fault::from_io(error, "unpack", b""))?;
        let mut merge = Merge {
            overwrite,
            done: Vec::new(),
            aside: None,
        };
        merge.look(&self.root, target, path)?;
        self.dress()?;
        self.root.make_dir(&name, Some(0o700))?;
        merge.aside = Some((
            name.clone(),
            self.root.descend(std::slice::from_ref(&name))?.0,
        ));
        match merge.walk(&self.root, target, path) {
            Ok(()) => Ok(()),
            Err(error) => {
                merge.undo()?;
                Err(error)
            }
        }
    }
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
        for (name, kind) in list_all(&*directory)? {
            if kind.is_directory() {
                stack.push((Arc::clone(&directory), name, false));
            } else {
                directory.remove(&name, false)?;
            }
        }
    }
    Ok(())
}

fn list_all(directory: &dyn Directory) -> Result<Vec<(Name, EntryKind)>> {
    let (mut entries, mut after) = (Vec::new(), None);
    loop {
        let listing = directory.list(after.as_ref(), usize::MAX)?;
        entries.extend(listing.entries);
        after = entries.last().map(|(name, _): &(Name, _)| name.clone());
        if !listing.more {
            return Ok(entries);
        }
    }
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

/// One rename that was made.
struct Move {
    from: Arc<dyn Directory>,
    from_name: Name,
    to: Arc<dyn Directory>,
    to_name: Name,
}

struct Merge {
    overwrite: bool,
    done: Vec<Move>,
    /// Where what is replaced waits until all is done, by number.
    aside: Option<(Name, Arc<dyn Directory>)>,
}

impl Merge {
    /// What is in the way, before anything is changed.
    fn look(
        &self,
        from: &Arc<dyn Directory>,
        to: &Arc<dyn Directory>,
        path: &TreePath,
    ) -> Result<(), UnpackError> {
        self.each(from, to, path, &mut |_, _, _, _, _| Ok(()))
    }

    fn walk(
        &mut self,
        from: &Arc<dyn Directory>,
        to: &Arc<dyn Directory>,
        path: &TreePath,
    ) -> Result<(), UnpackError> {
        let (own, aside) = self.aside.clone().expect("it was made before");
        let mut done = Vec::new();
        let result = self.each(from, to, path, &mut |from, to, name, there, at| {
            if *name == own {
                return Ok(());
            }
            if there {
                let number = format!("{}", done.len());
                let number = Name::new(number.as_bytes()).expect("digits");
                rename(to, name, &aside, &number).map_err(|fault| fault.at(at.to_bytes()))?;
                done.push(Move {
                    from: Arc::clone(to),
                    from_name: name.clone(),
                    to: Arc::clone(&aside),
                    to_name: number,
                });
            }
            rename(from, name, to, name).map_err(|fault| fault.at(at.to_bytes()))?;
            done.push(Move {
                from: Arc::clone(from),
                from_name: name.clone(),
                to: Arc::clone(to),
                to_name: name.clone(),
            });
            Ok(())
        });
        self.done = done;
        result
    }

    /// Visits what is to be renamed: entries whose name is free, and files over files and links.
    fn each(
        &self,
        from: &Arc<dyn Directory>,
        to: &Arc<dyn Directory>,
        path: &TreePath,
        visit: &mut Visit<'_>,
    ) -> Result<(), UnpackError> {
        let mut due = vec![(Arc::clone(from), Arc::clone(to), path.clone())];
        while let Some((from, to, path)) = due.pop() {
            for (name, kind) in list_all(&*from)? {
                let at = path.join(&name);
                let there = match to.lookup(&name) {
                    Err(fault) if fault.kind() == Kind::NotFound => {
                        visit(&from, &to, &name, false, &at)?;
                        continue;
                    }
                    Err(fault) => return Err(fault.at(at.to_bytes()).into()),
                    Ok(there) => there.kind,
                };
                match (kind.is_directory(), there) {
                    (true, EntryKind::Dir) => {
                        let one = std::slice::from_ref(&name);
                        due.push((from.descend(one)?.0, to.descend(one)?.0, at));
                    }
                    (true, EntryKind::Symlink) => return Err(UnpackError::LinkInTheWay(at)),
                    (false, EntryKind::File | EntryKind::Symlink) if self.overwrite => {
                        visit(&from, &to, &name, true, &at)?;
                    }
                    _ => return Err(UnpackError::Exists(at)),
                }
            }
        }
        Ok(())
    }

    fn undo(&mut self) -> Result<()> {
        while let Some(step) = self.done.pop() {
            rename(&step.to, &step.to_name, &step.from, &step.from_name)?;
        }
        Ok(())
    }
}

/// Source, destination, name, whether something is there, and where that is.
type Visit<'a> = dyn FnMut(
        &Arc<dyn Directory>,
        &Arc<dyn Directory>,
        &Name,
        bool,
        &TreePath,
    ) -> Result<(), UnpackError>
    + 'a;

fn rename(
    from: &Arc<dyn Directory>,
    name: &Name,
    to: &Arc<dyn Directory>,
    as_name: &Name,
) -> Result<()> {
    from.rename(name, &**to, as_name, false)
}
