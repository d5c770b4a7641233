//! Mounts of clients that are made again at the next start: a record of each in the state directory, whole or not there.
//!
//! ```text
//!   made ──▶ record ──▶ next start ──▶ made again under its id
//!              │            └ cannot be ──▶ there, failed, with the reason; tried again at the start after
//!              └ taken away: the record goes
//! ```

use std::{
    any::Any,
    ffi::OsStr,
    fs::{self, File},
    io,
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use uuid::Uuid;

use super::{
    entry::Attributes,
    fault::{Fault, Kind, Result},
    order::{MountOrder, Source},
    path::{Name, TreePath},
    provider::{Capabilities, Directory, Listing, OpenFile, Provider, Usage},
    setup::{self, Mounter},
    synthetic::Synthetic,
    table::{Label, Mode, Mount, Origin, Table},
    view::View,
};

const HEAD: &str = "deskd mount 1";

/// Where records lie; nowhere without a state directory. Clones are the same place.
#[derive(Clone, Debug, Default)]
pub struct Remembered(Option<Arc<PathBuf>>);

/// A mount as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Memory {
    id: Uuid,
    order: MountOrder,
    created_at: SystemTime,
}

impl Remembered {
    /// Opens the place in the state directory.
    pub fn open(state: &Path) -> io::Result<Self> {
        let directory = state.join("mounts");
        fs::create_dir_all(&directory)?;
        Ok(Self(Some(Arc::new(directory))))
    }

    /// Remembers a mount that was made for an order. A commit stays the one that it was.
    pub(super) fn add(&self, mount: &Mount, order: &MountOrder) -> io::Result<()> {
        let Some(directory) = &self.0 else {
            return Ok(());
        };
        let mut order = order.clone();
        if let Source::Git { revision, .. } = &mut order.source {
            let told = mount.label().options.iter();
            let commit = told.clone().find(|(name, _)| *name == "commit");
            if let Some((_, commit)) = commit {
                revision.clone_from(commit);
            }
        }
        let memory = Memory {
            id: mount.id(),
            order,
            created_at: mount.created_at(),
        };
        let path = directory.join(mount.id().to_string());
        let draft = path.with_extension("new");
        let mut options = File::options();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&draft)?;
        io::Write::write_all(&mut file, memory.to_text().as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        File::open(&**directory)?.sync_all()
    }

    /// Forgets a mount.
    pub(super) fn forget(&self, id: Uuid) {
        let Some(directory) = &self.0 else { return };
        match fs::remove_file(directory.join(id.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!(%error, %id, "could not forget a mount");
            }
            _ => {}
        }
    }

    /// Makes all of them again, those above first. One that cannot be made is there as failed; one whose place was taken by the
    /// configuration is left out.
    pub(super) fn restore(&self, table: Table, mounter: &Mounter) -> io::Result<Table> {
        let mut memories = self.read()?;
        memories.sort_by_key(|memory| (memory.order.at.names().len(), memory.created_at));
        Ok(memories.into_iter().fold(table, |table, memory| {
            let at = memory.order.at.clone();
            match table.with(Arc::new(memory.mount(&table, mounter))) {
                Ok(table) => table,
                Err(error) => {
                    tracing::warn!(%error, %at, "a mount of the last run is left out");
                    table
                }
            }
        }))
    }

    fn read(&self) -> io::Result<Vec<Memory>> {
        let Some(directory) = &self.0 else {
            return Ok(Vec::new());
        };
        let mut memories = Vec::new();
        for entry in fs::read_dir(&**directory)? {
            let path = entry?.path();
            if path.extension().is_some() {
                fs::remove_file(&path)?; // never became a record
                continue;
            }
            if let Some(memory) = Memory::from_text(&fs::read_to_string(&path)?) {
                memories.push(memory);
            } else {
                tracing::error!(path = %path.display(), "this is no record of a mount");
            }
        }
        Ok(memories)
    }
}

impl Memory {
    fn mount(self, table: &Table, mounter: &Mounter) -> Mount {
        let Self {
            id,
            order,
            created_at,
        } = self;
        let view = View::new(Arc::new(table.clone()));
        let made =
            setup::check_point(&view, &order.at).and_then(|()| mounter.make(&view, &order, true));
        match made {
            Ok(mount) => mount.again(id, created_at, Origin::Restored),
            Err(error) => {
                let reason = error.to_string();
                tracing::warn!(at = %order.at, reason, "a mount of the last run could not be made");
                let failed = Arc::new(Failed(reason.as_str().into()));
                let mount = Mount::new(id, order.at.clone(), label(&order), failed);
                mount.again(id, created_at, Origin::Failed(reason))
            }
        }
    }

    fn to_text(&self) -> String {
        let bytes = |bytes: &[u8]| STANDARD.encode(bytes);
        let source = match &self.order.source {
            Source::Host {
                directory,
                one_file_system,
            } => format!(
                "host {} {one_file_system}",
                bytes(directory.as_os_str().as_bytes())
            ),
            Source::Memory {
                quota_bytes,
                max_entries,
            } => format!("memory {quota_bytes} {max_entries}"),
            Source::Git {
                repository,
                revision,
                subdirectory,
            } => {
                let subdirectory = subdirectory.as_ref().map(|name| bytes(name.as_bytes()));
                format!(
                    "git {} {} {}",
                    bytes(repository),
                    bytes(revision.as_bytes()),
                    subdirectory.as_deref().unwrap_or("-")
                )
            }
        };
        let since = self.created_at.duration_since(UNIX_EPOCH);
        let since = since.unwrap_or_default();
        format!(
            "{HEAD}\n{}\n{}\n{}\n{} {}\n{source}\nend\n",
            self.id,
            bytes(&self.order.at.to_bytes()),
            if self.order.read_only { "ro" } else { "rw" },
            since.as_secs(),
            since.subsec_nanos(),
        )
    }

    fn from_text(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().collect();
        let [HEAD, id, at, mode, created, source, "end"] = lines[..] else {
            return None;
        };
        let bytes = |text: &str| STANDARD.decode(text).ok();
        let string = |text: &str| String::from_utf8(STANDARD.decode(text).ok()?).ok();
        let source = match source.split(' ').collect::<Vec<_>>()[..] {
            ["host", directory, one_file_system] => Source::Host {
                directory: PathBuf::from(OsStr::from_bytes(&bytes(directory)?)),
                one_file_system: one_file_system.parse().ok()?,
            },
            ["memory", quota_bytes, max_entries] => Source::Memory {
                quota_bytes: quota_bytes.parse().ok()?,
                max_entries: max_entries.parse().ok()?,
            },
            ["git", repository, revision, subdirectory] => Source::Git {
                repository: bytes(repository)?,
                revision: string(revision)?,
                subdirectory: match subdirectory {
                    "-" => None,
                    name => Some(string(name)?),
                },
            },
            _ => return None,
        };
        let (seconds, nanos) = created.split_once(' ')?;
        let since = Duration::new(seconds.parse().ok()?, nanos.parse().ok()?);
        Some(Self {
            id: Uuid::parse_str(id).ok()?,
            order: MountOrder {
                at: TreePath::parse(&bytes(at)?).ok()?,
                source,
                read_only: mode == "ro",
            },
            created_at: UNIX_EPOCH.checked_add(since)?,
        })
    }
}

/// What is told of a mount that could not be made.
fn label(order: &MountOrder) -> Label {
    let (provider, source) = match &order.source {
        Source::Host { directory, .. } => ("host", directory.display().to_string()),
        Source::Memory { .. } => ("memory", String::new()),
        Source::Git { repository, .. } => ("git", super::path::quoted(repository)),
    };
    Label {
        provider,
        source,
        options: Vec::new(),
        mode: if order.read_only {
            Mode::ReadOnly
        } else {
            Mode::ReadWrite
        },
        keep: true,
        fixed: false,
    }
}

/// What serves a mount that could not be made: a directory of which nothing can be learned.
#[derive(Clone, Debug)]
struct Failed(Arc<str>);

impl Failed {
    fn fault(&self, operation: &'static str, name: &[u8]) -> Fault {
        Fault::new(Kind::Io, operation, name).because(format!("the mount failed: {}", self.0))
    }
}

impl Provider for Failed {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn root(&self) -> Result<Arc<dyn Directory>> {
        Ok(Arc::new(self.clone()))
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }
}

impl Directory for Failed {
    fn attributes(&self) -> Result<Attributes> {
        Synthetic.attributes()
    }

    fn descend(&self, names: &[Name]) -> Result<(Arc<dyn Directory>, usize)> {
        let name = names.first().map_or(&b"."[..], Name::as_bytes);
        Err(self.fault("enter", name))
    }

    fn lookup(&self, name: &Name) -> Result<Attributes> {
        Err(self.fault("look up", name.as_bytes()))
    }

    fn open(&self, name: &Name) -> Result<Arc<dyn OpenFile>> {
        Err(self.fault("open", name.as_bytes()))
    }

    fn list(&self, _: Option<&Name>, _: usize) -> Result<Listing> {
        Err(self.fault("list", b"."))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(source: Source) -> Memory {
        Memory {
            id: Uuid::from_u128(7),
            order: MountOrder {
                at: TreePath::parse(b"/a/\xff\n").expect("a path"),
                source,
                read_only: true,
            },
            created_at: UNIX_EPOCH + Duration::new(1_700_000_000, 5),
        }
    }

    #[test]
    fn records_are_read_as_they_were_written_and_torn_ones_not_at_all() {
        for source in [
            Source::Host {
                directory: PathBuf::from("/a b/\n"),
                one_file_system: true,
            },
            Source::Memory {
                quota_bytes: 1,
                max_entries: 2,
            },
            Source::Git {
                repository: b"/r".to_vec(),
                revision: "HEAD~1 x".to_owned(),
                subdirectory: None,
            },
            Source::Git {
                repository: b"/r".to_vec(),
                revision: "v1".to_owned(),
                subdirectory: Some("a".to_owned()),
            },
        ] {
            let memory = memory(source);
            let text = memory.to_text();
            assert_eq!(Memory::from_text(&text).as_ref(), Some(&memory));
            for end in 0..text.len() - 1 {
                assert_eq!(Memory::from_text(&text[..end]), None, "{end}");
            }
        }
    }

    #[test]
    fn what_could_not_be_made_is_there_and_says_why() {
        let state = tempfile::tempdir().expect("a directory");
        let remembered = Remembered::open(state.path()).expect("opened");
        let order = memory(Source::Host {
            directory: PathBuf::from("/nowhere/at/all"),
            one_file_system: false,
        })
        .order;
        let failed = Arc::new(Failed("".into()));
        let mount = Mount::new(Uuid::from_u128(7), order.at.clone(), label(&order), failed);
        remembered.add(&mount, &order).expect("written");
        let restored = |remembered: &Remembered| {
            let table = remembered.restore(Table::default(), &Mounter::default());
            table.expect("read")
        };
        let table = restored(&remembered);
        let mount = table.by_id(Uuid::from_u128(7)).expect("there");
        assert!(matches!(mount.origin(), Origin::Failed(_)), "{mount:?}");
        let name = Name::new(b"x").expect("a name");
        let root = mount.provider().root().expect("a directory");
        assert_eq!(root.lookup(&name).expect_err("unknown").kind(), Kind::Io);
        remembered.forget(mount.id());
        assert_eq!(restored(&remembered).mounts().count(), 0);
    }
}
