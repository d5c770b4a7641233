//! Random operations, done to a provider and to a plain directory of the machine: the same answers, the same tree.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::{Fixture, Node, Snapshot, name, snapshot, whole};
use crate::vfs::{
    entry::EntryKind,
    fault::{Fault, Kind},
    path::Name,
    provider::{Changes, Commit, Condition, Creation, Directory},
};

/// A path of one to three names.
type Path3 = Vec<&'static str>;

#[derive(Clone, Debug)]
enum Operation {
    Put {
        at: Path3,
        bytes: Vec<u8>,
        new: bool,
    },
    Append {
        at: Path3,
        bytes: Vec<u8>,
    },
    Drop {
        at: Path3,
    },
    MakeDir {
        at: Path3,
    },
    MakeLink {
        at: Path3,
        target: &'static str,
    },
    Remove {
        at: Path3,
        directory: bool,
    },
    Rename {
        from: Path3,
        to: Path3,
        replace: bool,
    },
    Chmod {
        at: Path3,
        executable: bool,
    },
    Read {
        at: Path3,
    },
    Look {
        at: Path3,
    },
}

/// What an operation gave: for reading, what was read.
type Answer = Result<Vec<u8>, Kind>;

fn path() -> impl Strategy<Value = Path3> {
    // Few names, so that operations meet.
    proptest::collection::vec(
        prop_oneof![4 => Just("a"), 2 => Just("b"), 1 => Just("a-")],
        1..4,
    )
}

fn operation() -> impl Strategy<Value = Operation> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..20);
    prop_oneof![
        3 => (path(), bytes(), any::<bool>()).prop_map(|(at, bytes, new)| Operation::Put { at, bytes, new }),
        1 => (path(), bytes()).prop_map(|(at, bytes)| Operation::Append { at, bytes }),
        1 => path().prop_map(|at| Operation::Drop { at }),
        4 => path().prop_map(|at| Operation::MakeDir { at }),
        1 => (path(), prop_oneof![Just("a"), Just("nowhere"), Just("..")])
            .prop_map(|(at, target)| Operation::MakeLink { at, target }),
        2 => (path(), any::<bool>()).prop_map(|(at, directory)| Operation::Remove { at, directory }),
        4 => (path(), path(), any::<bool>()).prop_map(|(from, to, replace)| Operation::Rename { from, to, replace }),
        1 => (path(), any::<bool>()).prop_map(|(at, executable)| Operation::Chmod { at, executable }),
        1 => path().prop_map(|at| Operation::Read { at }),
        1 => path().prop_map(|at| Operation::Look { at }),
    ]
}

pub(super) fn run(make: &impl Fn(&Snapshot) -> Fixture) {
    let told = make(&Snapshot::default()).provider.capabilities();
    let mut runner = TestRunner::new(Config {
        cases: 100,
        ..Config::default()
    });
    let operations = proptest::collection::vec(operation(), 1..60);
    let outcome = runner.run(&operations, |operations| {
        let fixture = make(&Snapshot::default());
        let (root, plain) = (
            fixture.root(),
            tempfile::tempdir().expect("a temporary directory"),
        );
        for operation in operations {
            let left_out = match operation {
                Operation::MakeLink { .. } => !told.links,
                Operation::Chmod { .. } => !told.modes,
                _ => false,
            };
            if !left_out {
                let due = by_hand(plain.path(), &operation);
                prop_assert_eq!(by_provider(&root, &operation), due, "{:?}", operation);
            }
        }
        prop_assert_eq!(snapshot(&root), of_machine(plain.path()));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

fn by_provider(root: &Arc<dyn Directory>, operation: &Operation) -> Answer {
    let (at, last) = below(root, operation.path())?;
    let answer = match operation {
        Operation::Put { bytes, new, .. } => {
            let condition = if *new {
                Condition::Missing
            } else {
                Condition::None
            };
            write(&*at, &last, bytes, false)
                .and_then(|draft| {
                    draft.commit(&Commit {
                        condition,
                        ..Commit::default()
                    })
                })
                .map(drop)
        }
        Operation::Append { bytes, .. } => write(&*at, &last, bytes, true)
            .and_then(|draft| draft.commit(&Commit::default()))
            .map(drop),
        Operation::Drop { .. } => write(&*at, &last, b"never seen", false).map(drop),
        Operation::MakeDir { .. } => at.make_dir(&last, None),
        Operation::MakeLink { target, .. } => at.make_link(&last, target.as_bytes()),
        Operation::Remove { directory, .. } => at.remove(&last, *directory),
        Operation::Rename { to, replace, .. } => {
            let (to, name) = below(root, to)?;
            at.rename(&last, &*to, &name, *replace)
        }
        Operation::Chmod { executable, .. } => {
            let mode = Some(if *executable { 0o755 } else { 0o644 });
            at.set_attributes(
                Some(&last),
                &Changes {
                    mode,
                    ..Changes::default()
                },
            )
        }
        Operation::Read { .. } => {
            return at
                .open(&last)
                .map(|file| whole(&*file))
                .map_err(|fault| fault.kind());
        }
        Operation::Look { .. } => {
            let found = at.lookup(&last).map_err(|fault| fault.kind())?;
            return Ok(format!("{:?} {:?}", found.kind, found.target).into());
        }
    };
    answer.map(|()| Vec::new()).map_err(|fault| fault.kind())
}

fn write(
    at: &dyn Directory,
    name: &Name,
    bytes: &[u8],
    append: bool,
) -> Result<Box<dyn crate::vfs::provider::Draft>, Fault> {
    let mut draft = at.create(
        name,
        &Creation {
            append,
            ..Creation::default()
        },
    )?;
    draft.write(bytes)?;
    Ok(draft)
}

/// The directory that holds the last name. What is none on the way is told as the walk would without links.
fn below(root: &Arc<dyn Directory>, path: &Path3) -> Result<(Arc<dyn Directory>, Name), Kind> {
    let names: Vec<Name> = path.iter().map(name).collect();
    let (last, above) = names.split_last().expect("a path has a name");
    let (at, taken) = root.descend(above).map_err(|fault| fault.kind())?;
    match above.get(taken) {
        None => Ok((at, last.clone())),
        Some(stopped) => match at.lookup(stopped) {
            Ok(_) => Err(Kind::NotADirectory),
            Err(fault) => Err(fault.kind()),
        },
    }
}

impl Operation {
    fn path(&self) -> &Path3 {
        match self {
            Self::Put { at, .. }
            | Self::Append { at, .. }
            | Self::Drop { at }
            | Self::MakeDir { at }
            | Self::MakeLink { at, .. }
            | Self::Remove { at, .. }
            | Self::Chmod { at, .. }
            | Self::Read { at }
            | Self::Look { at } => at,
            Self::Rename { from, .. } => from,
        }
    }
}

fn by_hand(root: &Path, operation: &Operation) -> Answer {
    let path = plain(root, operation.path())?;
    let done = match operation {
        Operation::Put { bytes, new, .. } => {
            writable(&path)?;
            if *new && path.symlink_metadata().is_ok() {
                return Err(Kind::AlreadyExists);
            }
            fs::write(&path, bytes)
        }
        Operation::Append { bytes, .. } => {
            writable(&path)?;
            let before = fs::read(&path).unwrap_or_default();
            fs::write(&path, [&before, bytes.as_slice()].concat())
        }
        Operation::Drop { .. } => return writable(&path).map(|()| Vec::new()),
        Operation::MakeDir { .. } => fs::create_dir(&path),
        Operation::MakeLink { target, .. } => symlink(target, &path),
        Operation::Remove {
            directory: true, ..
        } => fs::remove_dir(&path),
        Operation::Remove {
            directory: false, ..
        } => fs::remove_file(&path),
        Operation::Rename { to, replace, .. } => {
            let to = plain(root, to)?;
            path.symlink_metadata().map_err(kind)?;
            if !replace && to.symlink_metadata().is_ok() {
                return Err(Kind::AlreadyExists);
            }
            match fs::rename(&path, &to) {
                // The kernel's word for a directory that would go into itself.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    return Err(Kind::NotSupported);
                }
                renamed => renamed,
            }
        }
        Operation::Chmod { executable, .. } => {
            let mode = if *executable { 0o755 } else { 0o644 };
            match path.symlink_metadata() {
                Ok(metadata) if metadata.is_symlink() => return Err(Kind::NotSupported),
                _ => fs::set_permissions(&path, fs::Permissions::from_mode(mode)),
            }
        }
        Operation::Read { .. } => return read_by_hand(&path),
        Operation::Look { .. } => return look_by_hand(&path),
    };
    done.map(|()| Vec::new()).map_err(kind)
}

fn kind(error: io::Error) -> Kind {
    Fault::from_io(error, "try", b"").kind()
}

fn read_by_hand(path: &Path) -> Answer {
    match path.symlink_metadata().map_err(kind)? {
        metadata if metadata.is_dir() => Err(Kind::IsADirectory),
        metadata if metadata.is_symlink() => Err(Kind::Changed),
        _ => fs::read(path).map_err(kind),
    }
}

fn look_by_hand(path: &Path) -> Answer {
    let kind = match path.symlink_metadata().map_err(kind)? {
        metadata if metadata.is_dir() => EntryKind::Dir,
        metadata if metadata.is_symlink() => EntryKind::Symlink,
        _ => EntryKind::File,
    };
    let target = path.read_link().ok();
    let target: Option<Box<[u8]>> = target.map(|target| target.as_os_str().as_bytes().into());
    Ok(format!("{kind:?} {target:?}").into())
}

fn writable(path: &Path) -> Result<(), Kind> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => Err(Kind::IsADirectory),
        Ok(metadata) if metadata.is_symlink() => Err(Kind::Changed),
        _ => Ok(()),
    }
}

fn plain(root: &Path, path: &Path3) -> Result<PathBuf, Kind> {
    let (last, above) = path.split_last().expect("a path has a name");
    let mut at = root.to_owned();
    for name in above {
        at.push(name);
        match at.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(Kind::NotADirectory),
            Err(_) => return Err(Kind::NotFound),
        }
    }
    Ok(at.join(last))
}

/// What a directory of the machine holds.
fn of_machine(root: &Path) -> Snapshot {
    let (mut found, mut left) = (Snapshot::new(), vec![root.to_owned()]);
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).expect("list") {
            let path = entry.expect("list").path();
            let metadata = path.symlink_metadata().expect("there");
            let node = if metadata.is_dir() {
                left.push(path.clone());
                Node::Dir
            } else if metadata.is_symlink() {
                Node::Link(
                    path.read_link()
                        .expect("a link")
                        .as_os_str()
                        .as_bytes()
                        .into(),
                )
            } else {
                let executable = metadata.permissions().mode() & 0o100 != 0;
                Node::File {
                    bytes: fs::read(&path).expect("read"),
                    executable,
                }
            };
            let below: &OsStr = path.strip_prefix(root).expect("below").as_os_str();
            found.insert(below.as_bytes().into(), node);
        }
    }
    found
}
