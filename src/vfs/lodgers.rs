//! Directories of the machine that the daemon named itself for trees that were materialized: they go with the mount that they
//! came from, and a day after they were used last, by a route or as a running program's working directory.
//!
//! ```text
//!   recorded, then made ──▶ used, used, ... ──▶ mount taken away, or a day without use ──▶ removed, then forgotten
//! ```
//!
//! A record is a file in the state directory; its own time is that of the last use. It names device and inode, so nothing but
//! the directory that was made is ever removed.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use uuid::Uuid;

use super::{Vfs, entry::Identity, path::TreePath};
use crate::{shutdown::Shutdown, sys::procfs};

const HEAD: &str = "deskd directory 1";
/// How long a directory stays without being used.
pub const UNUSED: Duration = Duration::from_hours(24);
/// How often is looked.
const SWEEP: Duration = Duration::from_mins(10);

/// A directory of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lodger {
    /// Where it lies in the tree.
    pub(super) path: TreePath,
    /// Where it lies on the machine.
    pub(super) host: PathBuf,
    pub(super) identity: Identity,
    /// The mount that it came from.
    pub(super) source: Uuid,
}

#[derive(Debug)]
struct Known {
    lodger: Lodger,
    record: PathBuf,
    used: SystemTime,
}

/// All of them. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Lodgers(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Where records lie; without one nothing is known of a directory after its daemon.
    directory: Option<PathBuf>,
    /// Held to look and to change, never while a directory is removed.
    known: Mutex<Vec<Known>>,
    /// How many are known: mostly none, and then nobody has to look.
    count: AtomicUsize,
}

impl Lodgers {
    /// Those that the records in the state directory name and that are still there.
    pub fn open(state: &Path) -> io::Result<Self> {
        let directory = state.join("materialized");
        fs::create_dir_all(&directory)?;
        let mut known = Vec::new();
        for entry in fs::read_dir(&directory)? {
            let record = entry?.path();
            let text = fs::read_to_string(&record).unwrap_or_default();
            match Lodger::from_text(&text).filter(Lodger::is_there) {
                Some(lodger) => {
                    let used = fs::metadata(&record)?.modified()?;
                    known.push(Known {
                        lodger,
                        record,
                        used,
                    });
                }
                None => fs::remove_file(&record)?,
            }
        }
        Ok(Self(Arc::new(Inner {
            directory: Some(directory),
            count: AtomicUsize::new(known.len()),
            known: Mutex::new(known),
        })))
    }

    fn known(&self) -> MutexGuard<'_, Vec<Known>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one in. It may still have another name: only its record must be there before it has the right one.
    pub(super) fn add(&self, lodger: Lodger) -> io::Result<()> {
        let mut record = PathBuf::new();
        if let Some(directory) = &self.0.directory {
            record = directory.join(Uuid::now_v7().to_string());
            let mut options = File::options();
            let options = options.write(true).create_new(true).mode(0o600);
            let mut file = options.open(&record)?;
            io::Write::write_all(&mut file, lodger.to_text().as_bytes())?;
        }
        let mut known = self.known();
        known.push(Known {
            lodger,
            record,
            used: SystemTime::now(),
        });
        self.0.count.store(known.len(), Ordering::Relaxed);
        Ok(())
    }

    /// A route works at a path.
    pub(super) fn used(&self, path: impl FnOnce() -> TreePath) {
        if self.0.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let path = path();
        for known in self.known().iter_mut() {
            if path.starts_with(&known.lodger.path) {
                known.touch(SystemTime::now());
            }
        }
    }

    /// A mount was taken away. Blocks.
    pub(super) fn leave_with(&self, mount: Uuid) {
        self.evict(|known| known.lodger.source == mount);
    }

    /// Removes those that nobody has used for long, and in which no program works. Blocks.
    fn sweep(&self, now: SystemTime, places: impl FnOnce() -> Vec<PathBuf>) {
        let old = |known: &Known| {
            let unused = now.duration_since(known.used).unwrap_or_default();
            unused >= UNUSED
        };
        if !self.known().iter().any(old) {
            return;
        }
        let places = places();
        for known in self.known().iter_mut().filter(|known| old(known)) {
            if places
                .iter()
                .any(|place| place.starts_with(&known.lodger.host))
            {
                known.touch(now);
            }
        }
        self.evict(old);
    }

    fn evict(&self, goes: impl Fn(&Known) -> bool) {
        let gone: Vec<Known> = {
            let mut known = self.known();
            let gone = known.extract_if(.., |known| goes(known)).collect();
            self.0.count.store(known.len(), Ordering::Relaxed);
            gone
        };
        gone.iter().for_each(Known::remove);
    }
}

impl Known {
    fn touch(&mut self, now: SystemTime) {
        let since = now.duration_since(self.used).unwrap_or_default();
        self.used = now;
        // Often enough for the next daemon.
        if since > SWEEP
            && let Ok(file) = File::options().write(true).open(&self.record)
        {
            let _ = file.set_modified(now);
        }
    }

    /// The record goes last: whoever is killed in between has the next one go on.
    fn remove(&self) {
        let path = &self.lodger.host;
        if self.lodger.is_there()
            && let Err(error) = fs::remove_dir_all(path)
        {
            tracing::warn!(%error, path = %path.display(), "could not remove a materialized directory");
        }
        let _ = fs::remove_file(&self.record);
    }
}

impl Lodger {
    fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.host).is_ok_and(|found| {
            let identity = Identity {
                device: found.dev(),
                inode: found.ino(),
            };
            found.is_dir() && identity == self.identity
        })
    }

    fn to_text(&self) -> String {
        let path = STANDARD.encode(self.path.to_bytes());
        let host = STANDARD.encode(self.host.as_os_str().as_bytes());
        let Identity { device, inode } = self.identity;
        format!(
            "{HEAD}\n{path}\n{host}\n{device} {inode}\n{}\nend\n",
            self.source
        )
    }

    fn from_text(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().collect();
        let [HEAD, path, host, identity, source, "end"] = lines[..] else {
            return None;
        };
        let (device, inode) = identity.split_once(' ')?;
        Some(Self {
            path: TreePath::parse(&STANDARD.decode(path).ok()?).ok()?,
            host: PathBuf::from(OsStr::from_bytes(&STANDARD.decode(host).ok()?)),
            identity: Identity {
                device: device.parse().ok()?,
                inode: inode.parse().ok()?,
            },
            source: Uuid::parse_str(source).ok()?,
        })
    }
}

impl Vfs {
    /// Removes directories of ours that nobody has used for long, until the daemon stops.
    pub async fn keep_swept(self, shutdown: Shutdown) {
        loop {
            tokio::select! {
                biased;
                () = shutdown.stopped() => return,
                () = tokio::time::sleep(SWEEP) => {}
            }
            let lodgers = self.surroundings().lodgers.clone();
            let swept = tokio::task::spawn_blocking(move || {
                lodgers.sweep(SystemTime::now(), procfs::working_directories);
            });
            if swept.await.is_err() {
                tracing::error!("looking for unused directories failed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Case {
        state: tempfile::TempDir,
        work: tempfile::TempDir,
        lodgers: Lodgers,
    }

    impl Case {
        fn new() -> Self {
            let state = tempfile::tempdir().expect("a directory");
            let work = tempfile::tempdir().expect("a directory");
            let lodgers = Lodgers::open(state.path()).expect("opened");
            Self {
                state,
                work,
                lodgers,
            }
        }

        /// Makes a directory of ours that came from a mount.
        fn add(&self, name: &str, source: u128) -> PathBuf {
            let host = self.work.path().join(name);
            fs::create_dir_all(host.join("below")).expect("made");
            fs::write(host.join("below/file"), "text").expect("written");
            let found = fs::metadata(&host).expect("there");
            let lodger = Lodger {
                path: TreePath::parse(host.as_os_str().as_bytes()).expect("a path"),
                host: host.clone(),
                identity: Identity {
                    device: found.dev(),
                    inode: found.ino(),
                },
                source: Uuid::from_u128(source),
            };
            self.lodgers.add(lodger).expect("recorded");
            host
        }

        fn records(&self) -> usize {
            let records = fs::read_dir(self.state.path().join("materialized"));
            records.expect("there").count()
        }
    }

    fn later(hours: u64) -> SystemTime {
        SystemTime::now() + Duration::from_hours(hours)
    }

    #[test]
    fn they_go_with_their_mount() {
        let case = Case::new();
        let (one, two) = (case.add("one", 1), case.add("two", 2));
        case.lodgers.leave_with(Uuid::from_u128(1));
        assert!(!one.exists() && two.exists());
        assert_eq!(case.records(), 1);
    }

    #[test]
    fn they_go_a_day_after_they_were_used() {
        let case = Case::new();
        let (one, two) = (case.add("one", 1), case.add("two", 1));
        case.lodgers.sweep(later(23), Vec::new);
        assert!(one.exists() && two.exists());
        let below = two.join("below/file");
        for known in case.lodgers.known().iter_mut() {
            known.used = SystemTime::now() - Duration::from_hours(20);
        }
        let path = || TreePath::parse(below.as_os_str().as_bytes()).expect("a path");
        case.lodgers.used(path);
        case.lodgers.sweep(later(5), Vec::new);
        assert!(!one.exists() && two.exists());
        case.lodgers.sweep(later(25), Vec::new);
        assert!(!two.exists());
        assert_eq!(case.records(), 0);
    }

    #[test]
    fn one_in_which_a_program_works_stays() {
        let case = Case::new();
        let one = case.add("one", 1);
        let place = one.join("below");
        case.lodgers.sweep(later(25), || vec![place]);
        assert!(one.exists());
        case.lodgers.sweep(later(50), Vec::new);
        assert!(!one.exists());
    }

    #[test]
    fn the_next_daemon_knows_them_and_takes_nothing_else_for_them() {
        let case = Case::new();
        let (one, two) = (case.add("one", 1), case.add("two", 1));
        // Not removed: its number would be free for the next.
        fs::rename(&two, case.work.path().join("moved")).expect("renamed");
        fs::create_dir(&two).expect("somebody else's");
        let next = Lodgers::open(case.state.path()).expect("opened");
        assert_eq!(next.known().len(), 1);
        next.sweep(later(25), Vec::new);
        assert!(!one.exists() && two.exists());
        assert_eq!(case.records(), 0);
    }
}
