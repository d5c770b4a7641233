//! What one request sees: the tree of one mount table, which stays the same to the request's end.
//!
//! The walk starts at the root and takes one step after the other:
//!
//! ```text
//!   next step      what is there                       what happens
//!   name           a mount point                       enter that mount
//!   names          directories                         go on, many in one step where the provider can
//!   name           a link, more to come or followed    its target goes in front of what is left; absolute: from the root
//!   name           nothing, a mount below              a made-up directory
//!   name           nothing                             the rest is missing
//!   name           anything else, more to come         not a directory
//!   ..             -                                   back to the directory that the walk came from; at the root, nowhere
//! ```

use std::{collections::VecDeque, sync::Arc};

use super::{
    entry::{Attributes, EntryKind},
    fault::{Fault, Kind, Result},
    path::{ClientPath, Name, PathError, Step, TreePath, quoted, steps},
    provider::{Directory, Listing},
    table::{Mount, Table},
};

/// Links that are followed for one path.
pub const MAX_LINKS: usize = 40;

/// What becomes of a link at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// It is followed.
    Follow,
    /// It is the result.
    Keep,
}

/// The tree of one table.
#[derive(Clone, Debug)]
pub struct View {
    table: Arc<Table>,
}

/// An opened directory and where it lies.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its path, without links.
    pub path: TreePath,
    /// The mount that holds it.
    pub mount: Arc<Mount>,
    /// Itself.
    pub directory: Arc<dyn Directory>,
}

/// Where a path leads: everything after works on this, and never on the path again.
#[derive(Clone, Debug)]
pub struct Place {
    /// The path, without links, the missing names included.
    pub path: TreePath,
    /// The mount that holds it.
    pub mount: Arc<Mount>,
    /// The directory that holds the last name; or, without a name, the place itself: the top of a mount, or a made-up one.
    pub directory: Arc<dyn Directory>,
    /// The name in that directory.
    pub name: Option<Name>,
    /// What is there, when something is.
    pub found: Option<Attributes>,
    /// Names after `name` that are missing as well: the directories between have to be made first.
    pub missing: Vec<Name>,
}

impl Place {
    /// What is there; nothing is [`Kind::NotFound`].
    pub fn require(&self, operation: &'static str) -> Result<&Attributes> {
        self.found
            .as_ref()
            .ok_or_else(|| self.fault(Kind::NotFound, operation))
    }

    /// A failure here.
    pub fn fault(&self, kind: Kind, operation: &'static str) -> Fault {
        Fault::new(kind, operation, self.path.to_bytes())
    }

    /// The name; a root and a mount point have none and are [`Kind::RefusesRoot`].
    pub fn require_name(&self, operation: &'static str) -> Result<&Name> {
        self.name
            .as_ref()
            .ok_or_else(|| self.fault(Kind::RefusesRoot, operation))
    }

    /// Fails when the mount may not be written to.
    pub fn require_writable(&self, operation: &'static str) -> Result<()> {
        if self.mount.is_writable() {
            Ok(())
        } else {
            Err(self.fault(Kind::ReadOnly, operation))
        }
    }

    /// Opens the directory that is here.
    pub fn open_directory(&self, operation: &'static str) -> Result<Opened> {
        let found = self.require(operation)?;
        if !found.kind.is_directory() {
            return Err(self.fault(Kind::NotADirectory, operation));
        }
        let directory = match &self.name {
            None => Arc::clone(&self.directory),
            Some(name) => {
                let (directory, taken) = self
                    .directory
                    .descend(std::slice::from_ref(name))
                    .map_err(|fault| fault.at(self.path.to_bytes()))?;
                if taken == 0 {
                    return Err(
                        why_not_entered(&*self.directory, name, operation).at(self.path.to_bytes())
                    );
                }
                directory
            }
        };
        Ok(Opened {
            path: self.path.clone(),
            mount: Arc::clone(&self.mount),
            directory,
        })
    }
}

/// A directory was looked up and could not be entered: because of rights, or because it is none any more.
fn why_not_entered(parent: &dyn Directory, name: &Name, operation: &'static str) -> Fault {
    match parent.lookup(name) {
        Err(fault) => fault,
        Ok(now) if now.kind.is_directory() => {
            Fault::new(Kind::PermissionDenied, operation, name.as_bytes())
        }
        Ok(_) => Fault::new(Kind::Changed, operation, name.as_bytes()),
    }
}

impl View {
    /// The tree of a table.
    pub fn new(table: Arc<Table>) -> Self {
        Self { table }
    }

    /// The table.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// Follows a path. A missing end is no failure: see [`Place::missing`].
    pub fn resolve(&self, path: &ClientPath, last: Last) -> Result<Place> {
        Walk::new(&self.table)?.go(path, last)
    }

    /// Follows a path to a directory and opens it.
    pub fn open_directory(&self, path: &ClientPath, operation: &'static str) -> Result<Opened> {
        self.resolve(path, Last::Follow)?.open_directory(operation)
    }

    /// One name below a directory, a link not followed.
    pub fn child(&self, parent: &Opened, name: &Name) -> Result<Place> {
        let path = parent.path.join(name);
        let mounted = self.table.at(&path);
        if mounted.is_some() || self.table.holds_below(&path) {
            let real = parent
                .directory
                .lookup(name)
                .ok()
                .filter(|found| found.kind.is_directory());
            if mounted.is_some() || real.is_none() {
                let mount = mounted.unwrap_or_else(|| self.table.synthetic());
                return top_of(path, mount);
            }
        }
        let found = match parent.directory.lookup(name) {
            Ok(found) => Some(found),
            Err(fault) if fault.kind() == Kind::NotFound => None,
            Err(fault) => return Err(fault.at(path.to_bytes())),
        };
        Ok(Place {
            path,
            mount: Arc::clone(&parent.mount),
            directory: Arc::clone(&parent.directory),
            name: Some(name.clone()),
            found,
            missing: Vec::new(),
        })
    }

    /// Names of a directory, the mount points among them: as [`Directory::list`], sorted when the provider sorts.
    pub fn list(&self, opened: &Opened, after: Option<&Name>, limit: usize) -> Result<Listing> {
        let children = self.table.children(&opened.path);
        let mut listing = opened
            .directory
            .list(after, limit)
            .map_err(|fault| fault.at(opened.path.to_bytes()))?;
        if children.is_empty() {
            return Ok(listing);
        }
        let mounted = |name: &Name| self.table.at(&opened.path.join(name)).is_some();
        listing.entries.retain(|(name, kind)| {
            children.binary_search(name).is_err() || (kind.is_directory() && !mounted(name))
        });
        let end = listing
            .more
            .then(|| listing.entries.last().map(|(name, _)| name.clone()))
            .flatten();
        for name in children {
            let due = after.is_none_or(|after| name > *after)
                && end.as_ref().is_none_or(|end| name <= *end);
            if due && !listing.entries.iter().any(|(there, _)| *there == name) {
                listing.entries.push((name, EntryKind::Dir));
            }
        }
        if opened.mount.provider().capabilities().sorted_list {
            listing.entries.sort();
        }
        Ok(listing)
    }
}

/// The top of a mount, as a place.
fn top_of(path: TreePath, mount: &Arc<Mount>) -> Result<Place> {
    let at = |fault: Fault| fault.at(path.to_bytes());
    let directory = mount.provider().root().map_err(at)?;
    let found = Some(directory.attributes().map_err(at)?);
    Ok(Place {
        path,
        mount: Arc::clone(mount),
        directory,
        name: None,
        found,
        missing: Vec::new(),
    })
}

/// A directory that the walk has opened, and how many names led to it from the one before. No name: the root of the tree.
struct Level {
    mount: Arc<Mount>,
    directory: Arc<dyn Directory>,
    names: usize,
    top: bool,
}

struct Walk<'a> {
    table: &'a Table,
    path: TreePath,
    levels: Vec<Level>,
    missing: Vec<Name>,
    links: usize,
}

impl<'a> Walk<'a> {
    fn new(table: &'a Table) -> Result<Self> {
        let mut walk = Self {
            table,
            path: TreePath::root(),
            levels: Vec::new(),
            missing: Vec::new(),
            links: 0,
        };
        let mount = table.at(&walk.path).unwrap_or_else(|| table.synthetic());
        walk.enter(mount, 0)?;
        Ok(walk)
    }

    fn go(mut self, path: &ClientPath, last: Last) -> Result<Place> {
        let mut todo: VecDeque<Step> = path.steps().iter().cloned().collect();
        while let Some(step) = todo.pop_front() {
            match step {
                Step::Up => self.up()?,
                Step::Name(name) if !self.missing.is_empty() => self.missing.push(name),
                Step::Name(name) => {
                    if let Some(place) = self.name(name, &mut todo, last)? {
                        return Ok(place);
                    }
                }
            }
        }
        self.finish()
    }

    fn top(&self) -> &Level {
        self.levels.last().expect("the root is never left")
    }

    fn enter(&mut self, mount: &Arc<Mount>, names: usize) -> Result<()> {
        let directory = mount
            .provider()
            .root()
            .map_err(|fault| fault.at(self.path.to_bytes()))?;
        self.levels.push(Level {
            mount: Arc::clone(mount),
            directory,
            names,
            top: true,
        });
        Ok(())
    }

    fn up(&mut self) -> Result<()> {
        if self.missing.pop().is_some() || self.levels.len() == 1 {
            return Ok(());
        }
        let left = self.levels.pop().expect("more than the root");
        let kept = left.names - 1;
        if kept == 0 {
            self.path.pop();
            return Ok(());
        }
        // The directories between were passed in one step: they are opened again from the one before, never by the kernel's `..`.
        let all = self.path.names();
        let between = all[all.len() - left.names..all.len() - 1].to_vec();
        self.path.pop();
        let base = self.top();
        let (directory, taken) = base
            .directory
            .descend(&between)
            .map_err(|fault| fault.at(self.path.to_bytes()))?;
        if taken < kept {
            return Err(Fault::new(Kind::Changed, "walk", self.path.to_bytes()));
        }
        let mount = Arc::clone(&base.mount);
        self.levels.push(Level {
            mount,
            directory,
            names: kept,
            top: false,
        });
        Ok(())
    }

    /// Takes a name, and as many after it as can be taken in one step. Gives the result when the path ends here.
    fn name(&mut self, name: Name, todo: &mut VecDeque<Step>, last: Last) -> Result<Option<Place>> {
        let mut run = vec![name];
        while let Some(Step::Name(next)) = todo.front() {
            // The last name is looked up, not entered.
            if todo.len() == 1 || self.is_mount_point(&run) {
                break;
            }
            run.push(next.clone());
            todo.pop_front();
        }
        if self.is_mount_point(&run) {
            let point = run.pop().expect("at least one");
            return self.enter_mount_point(&run, point, todo);
        }
        if todo.is_empty() {
            return self.stopped(run.remove(0), todo, last);
        }
        if let Some(stopped) = self.descend(&run)? {
            put_back(todo, &run[stopped + 1..]);
            return self.stopped(run.swap_remove(stopped), todo, last);
        }
        Ok(None)
    }

    fn is_mount_point(&self, run: &[Name]) -> bool {
        if !self.table.holds_below(&self.path) {
            return false;
        }
        let mut path = self.path.clone();
        path.extend(run);
        self.table.at(&path).is_some()
    }

    fn enter_mount_point(
        &mut self,
        run: &[Name],
        point: Name,
        todo: &mut VecDeque<Step>,
    ) -> Result<Option<Place>> {
        if let Some(stopped) = self.descend(run)? {
            todo.push_front(Step::Name(point));
            put_back(todo, &run[stopped + 1..]);
            return self.stopped(run[stopped].clone(), todo, Last::Follow);
        }
        self.path.push(point);
        let mount = Arc::clone(self.table.at(&self.path).expect("it was looked for"));
        self.enter(&mount, 1)?;
        Ok(None)
    }

    /// Enters directories. Gives the index of the first name that could not be entered.
    fn descend(&mut self, run: &[Name]) -> Result<Option<usize>> {
        if run.is_empty() {
            return Ok(None);
        }
        let top = self.top();
        let (directory, taken) = top.directory.descend(run).map_err(|fault| {
            let mut path = self.path.clone();
            path.extend(run);
            fault.at(path.to_bytes())
        })?;
        if taken > 0 {
            let mount = Arc::clone(&top.mount);
            self.levels.push(Level {
                mount,
                directory,
                names: taken,
                top: false,
            });
            run[..taken]
                .iter()
                .for_each(|name| self.path.push(name.clone()));
        }
        Ok((taken < run.len()).then_some(taken))
    }

    /// A name that is the last, or was not entered: a link, a file, nothing.
    fn stopped(
        &mut self,
        name: Name,
        todo: &mut VecDeque<Step>,
        last: Last,
    ) -> Result<Option<Place>> {
        let path = self.path.join(&name);
        let made_up = self.top().mount.is_synthetic();
        let found = match self.top().directory.lookup(&name) {
            Ok(found) => Some(found),
            Err(fault) if fault.kind() == Kind::NotFound || made_up => None,
            Err(fault) => return Err(fault.at(path.to_bytes())),
        };
        let directory = found
            .as_ref()
            .is_some_and(|found| found.kind.is_directory());
        if !directory && self.table.holds_below(&path) {
            self.path = path;
            let synthetic = Arc::clone(self.table.synthetic());
            self.enter(&synthetic, 1)?;
            return Ok(None);
        }
        let Some(found) = found else {
            if made_up {
                return Err(self.outside(&path));
            }
            self.missing.push(name);
            return Ok(None);
        };
        let ends = todo.is_empty();
        match found.kind {
            EntryKind::Symlink if !ends || last == Last::Follow => {
                self.link(&path, &found, todo)?;
                Ok(None)
            }
            _ if ends => Ok(Some(self.place(path, Some(name), Some(found)))),
            _ if directory => {
                Err(why_not_entered(&*self.top().directory, &name, "enter").at(path.to_bytes()))
            }
            _ => Err(Fault::new(Kind::NotADirectory, "enter", path.to_bytes())),
        }
    }

    fn link(
        &mut self,
        path: &TreePath,
        found: &Attributes,
        todo: &mut VecDeque<Step>,
    ) -> Result<()> {
        if found.magic {
            return Err(Fault::new(Kind::MagicLink, "follow", path.to_bytes()));
        }
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Fault::new(Kind::Loop, "follow", path.to_bytes()));
        }
        let target = found.target.as_deref().unwrap_or_default();
        let steps = steps(target).map_err(|error| {
            let kind = match error {
                PathError::TooLong(_) | PathError::NameTooLong(_) => Kind::NameTooLong,
                _ => Kind::NotFound,
            };
            Fault::new(kind, "follow", path.to_bytes()).because(error.to_string())
        })?;
        if target.first() == Some(&b'/') {
            self.levels.truncate(1);
            self.path = TreePath::root();
        }
        steps
            .into_iter()
            .rev()
            .for_each(|step| todo.push_front(step));
        Ok(())
    }

    fn outside(&self, path: &TreePath) -> Fault {
        let points: Vec<_> = self
            .table
            .mounts()
            .map(|mount| quoted(&mount.at().to_bytes()))
            .collect();
        Fault::new(Kind::OutsideMount, "reach", path.to_bytes())
            .because(format!("the mount points are: {}", points.join(", ")))
    }

    fn place(&self, path: TreePath, name: Option<Name>, found: Option<Attributes>) -> Place {
        let top = self.top();
        Place {
            path,
            mount: Arc::clone(&top.mount),
            directory: Arc::clone(&top.directory),
            name,
            found,
            missing: Vec::new(),
        }
    }

    /// The path ended at a directory that was entered, or beyond what there is.
    fn finish(mut self) -> Result<Place> {
        if !self.missing.is_empty() {
            let mut path = self.path.clone();
            path.extend(&self.missing);
            let mut missing = std::mem::take(&mut self.missing);
            let name = missing.remove(0);
            let mut place = self.place(path, Some(name), None);
            place.missing = missing;
            return Ok(place);
        }
        if self.top().top {
            let found = self
                .top()
                .directory
                .attributes()
                .map_err(|fault| fault.at(self.path.to_bytes()))?;
            return Ok(self.place(self.path.clone(), None, Some(found)));
        }
        let path = self.path.clone();
        let name = path
            .names()
            .last()
            .expect("below a top there is a name")
            .clone();
        self.up()?;
        let found = self
            .top()
            .directory
            .lookup(&name)
            .map_err(|fault| fault.at(path.to_bytes()))?;
        Ok(self.place(path, Some(name), Some(found)))
    }
}

fn put_back(todo: &mut VecDeque<Step>, names: &[Name]) {
    for name in names.iter().rev() {
        todo.push_front(Step::Name(name.clone()));
    }
}

#[cfg(test)]
mod tests;
