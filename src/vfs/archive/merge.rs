//! From the staging directory into a directory that is there, by renames alone: each can be undone, and what a killed daemon has
//! left of them can be done later.
//!
//! ```text
//!   name in the target     what happens
//!   free                   new entry ──▶ target
//!   a file or a link       old entry ──▶ aside, new entry ──▶ target
//!   a directory            of a directory: its entries one by one; else refused
//! ```

use std::sync::Arc;

use super::UnpackError;
use crate::vfs::{
    change::names_of,
    entry::EntryKind,
    fault::{Fault, Kind, Result},
    path::{Name, TreePath},
    provider::Directory,
    view::Opened,
};

/// Why entries were not put in place. They are not, unless undoing failed, too.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: UnpackError,
    /// Why not all of it could be undone.
    pub(super) undoing: Option<Fault>,
}

/// One rename that was made.
struct Move {
    from: Arc<dyn Directory>,
    from_name: Name,
    to: Arc<dyn Directory>,
    to_name: Name,
}

/// Entries that change places.
struct Step<'a> {
    from: &'a Arc<dyn Directory>,
    to: &'a Arc<dyn Directory>,
    name: &'a Name,
    /// Whether something is there.
    there: bool,
    at: &'a TreePath,
}

/// Whether something is in the way.
pub(super) fn look(
    new: &Arc<dyn Directory>,
    target: &Opened,
    overwrite: bool,
) -> Result<(), UnpackError> {
    each(new, target, overwrite, &mut Err, &mut |_| Ok(()))
}

/// Puts everything in place; what is replaced goes aside, into an empty directory.
pub(super) fn merge(
    new: &Arc<dyn Directory>,
    aside: &Arc<dyn Directory>,
    target: &Opened,
    overwrite: bool,
) -> Result<(), Failed> {
    let mut done = Vec::new();
    let result = each(new, target, overwrite, &mut Err, &mut |step| {
        put(step, aside, 0, &mut done)
    });
    result.map_err(|error| Failed {
        error,
        undoing: undo(done).err(),
    })
}

/// Puts in place what is left of it. What somebody put in the way since then stays.
pub(super) fn go_on(
    new: &Arc<dyn Directory>,
    aside: &Arc<dyn Directory>,
    target: &Opened,
    overwrite: bool,
) -> Result<()> {
    let first = free_number(&**aside, target)?;
    let mut done = Vec::new();
    let mut leave = |error: UnpackError| {
        tracing::warn!(%error, "an entry of an archive of the last run is left out");
        Ok(())
    };
    let result = each(new, target, overwrite, &mut leave, &mut |step| {
        put(step, aside, first, &mut done)
    });
    result.map_err(|error| match error {
        UnpackError::Fault(fault) => fault,
        other => Fault::new(Kind::Io, "finish", target.path.to_bytes()).because(other.to_string()),
    })
}

/// A number above all that something has in the directory aside.
fn free_number(aside: &dyn Directory, target: &Opened) -> Result<usize> {
    let names = names_of(aside, &target.path)?;
    let numbers = names.iter().filter_map(|(name, _)| {
        let text = str::from_utf8(name.as_bytes()).ok()?;
        text.parse::<usize>().ok()
    });
    Ok(numbers.max().map_or(0, |number| number + 1))
}

/// Makes the one rename or both. What goes aside is named by a number that nothing there has.
fn put(
    step: &Step<'_>,
    aside: &Arc<dyn Directory>,
    first: usize,
    done: &mut Vec<Move>,
) -> Result<(), UnpackError> {
    let at = |fault: Fault| fault.at(step.at.to_bytes());
    if step.there {
        let number = (first + done.len()).to_string();
        let number = Name::new(number.as_bytes()).expect("digits");
        rename(step.to, step.name, aside, &number).map_err(at)?;
        done.push(Move {
            from: Arc::clone(step.to),
            from_name: step.name.clone(),
            to: Arc::clone(aside),
            to_name: number,
        });
    }
    rename(step.from, step.name, step.to, step.name).map_err(at)?;
    done.push(Move {
        from: Arc::clone(step.from),
        from_name: step.name.clone(),
        to: Arc::clone(step.to),
        to_name: step.name.clone(),
    });
    Ok(())
}

fn undo(done: Vec<Move>) -> Result<()> {
    for step in done.into_iter().rev() {
        rename(&step.to, &step.to_name, &step.from, &step.from_name)?;
    }
    Ok(())
}

fn rename(
    from: &Arc<dyn Directory>,
    name: &Name,
    to: &Arc<dyn Directory>,
    as_name: &Name,
) -> Result<()> {
    from.rename(name, &**to, as_name, false)
}

/// Visits what is to be renamed: entries whose name is free, and files over files and links. What else is there is blocked.
fn each(
    new: &Arc<dyn Directory>,
    target: &Opened,
    overwrite: bool,
    blocked: &mut dyn FnMut(UnpackError) -> Result<(), UnpackError>,
    visit: &mut dyn FnMut(&Step<'_>) -> Result<(), UnpackError>,
) -> Result<(), UnpackError> {
    let top = (
        Arc::clone(new),
        Arc::clone(&target.directory),
        target.path.clone(),
    );
    let mut due = vec![top];
    while let Some((from, to, path)) = due.pop() {
        for (name, kind) in names_of(&*from, &path)? {
            let at = path.join(&name);
            let mut step = Step {
                from: &from,
                to: &to,
                name: &name,
                there: false,
                at: &at,
            };
            let there = match to.lookup(&name) {
                Err(fault) if fault.kind() == Kind::NotFound => {
                    visit(&step)?;
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
                (true, EntryKind::Symlink) => blocked(UnpackError::LinkInTheWay(at))?,
                (false, EntryKind::File | EntryKind::Symlink) if overwrite => {
                    step.there = true;
                    visit(&step)?;
                }
                _ => blocked(UnpackError::Exists(at))?,
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::vfs::{
        path::ClientPath,
        provider::host::{self, Host, HostRoot, Notes, Reserved, Resolver},
        record::{Record, Records},
        table::{Label, Mode, Mount, Table},
        view::View,
    };

    /// The tree of the machine below a directory.
    fn view(root: &Path) -> View {
        let host = Host::open(
            HostRoot::Path(root.to_owned()),
            host::Options::default(),
            Arc::new(Reserved::default()),
            Resolver::Auto,
            Notes::none(),
        );
        let label = Label {
            provider: "host",
            source: String::new(),
            options: Vec::new(),
            mode: Mode::ReadWrite,
            keep: false,
            fixed: true,
        };
        let host = Arc::new(host.expect("opened"));
        let mount = Mount::new(uuid::Uuid::now_v7(), TreePath::root(), label, host);
        let table = Table::default().with(Arc::new(mount)).expect("the first");
        View::new(Arc::new(table))
    }

    fn write(path: &Path, content: &str) {
        fs::create_dir_all(path.parent().expect("it has one")).expect("made");
        fs::write(path, content).expect("written");
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).expect("there")
    }

    #[test]
    fn what_a_kill_left_to_be_renamed_is_renamed_by_the_next_start() {
        let (state, work) = (
            tempfile::tempdir().expect("a directory"),
            tempfile::tempdir().expect("a directory"),
        );
        let into = work.path().join("into");
        let stage = into.join(".deskd-0123456789abcdef");
        // The first was done, the second had been put aside, the third was still to come, in its directory.
        write(&stage.join("old/0"), "old");
        write(&stage.join("old/2"), "old");
        write(&into.join("a"), "new");
        write(&stage.join("new/b"), "new");
        write(&into.join("d/c"), "old");
        write(&stage.join("new/d/c"), "new");
        write(&stage.join("new/e/f"), "new");
        // Somebody made a directory where a file is to come.
        write(&into.join("g/h"), "theirs");
        write(&stage.join("new/g"), "new");
        let records = Records::open(Some(state.path())).expect("opened");
        let path = |text: &[u8]| TreePath::parse(text).expect("a path");
        let record = Record {
            copy: path(b"/into/.deskd-0123456789abcdef"),
            to: path(b"/into"),
            merge: Some(true),
            ..Record::default()
        };
        let kept = records.write(&record).expect("written");
        let _killed = std::mem::ManuallyDrop::new(kept);
        assert_eq!(records.recover(&view(work.path())).expect("read"), 1);
        for name in ["a", "b", "d/c", "e/f"] {
            assert_eq!(read(&into.join(name)), "new", "{name}");
        }
        assert_eq!(read(&into.join("g/h")), "theirs");
        assert!(!stage.exists(), "the stage is gone");
        assert_eq!(records.recover(&view(work.path())).expect("read"), 0);
    }

    #[test]
    fn what_fails_half_way_is_undone() {
        let work = tempfile::tempdir().expect("a directory");
        let root = work.path();
        write(&root.join("into/a"), "old");
        write(&root.join("into/b"), "old");
        write(&root.join("new/a"), "new");
        write(&root.join("new/b"), "new");
        // What would go aside second finds its name taken.
        write(&root.join("old/2"), "in the way");
        let view = view(root);
        let open = |path: &[u8]| {
            let path = ClientPath::parse(path).expect("a path");
            view.open_directory(&path, "test").expect("opened")
        };
        let (new, old, into) = (open(b"/new"), open(b"/old"), open(b"/into"));
        let failed = merge(&new.directory, &old.directory, &into, true).expect_err("in the way");
        assert!(failed.undoing.is_none());
        for (name, content) in [
            ("into/a", "old"),
            ("into/b", "old"),
            ("new/a", "new"),
            ("new/b", "new"),
        ] {
            assert_eq!(read(&root.join(name)), content, "{name}");
        }
    }
}
