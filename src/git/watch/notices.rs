//! Notifications of the system for the directories of all repositories: one inotify instance for the daemon. It is used without
//! a library between, because what is asked for matters here: no access is reported, so that a scan does not wake itself.

use std::{
    collections::HashMap,
    io,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use tokio::io::unix::AsyncFd;

use super::mailbox::Mailbox;
use crate::{shutdown::Shutdown, sys::descriptor::readable, telemetry::Metrics};

/// What changes contents, names or modes; nothing that only reads.
const EVENTS: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::DONT_FOLLOW)
    .union(WatchFlags::EXCL_UNLINK);
/// Bytes of events that are read at a time.
const BUFFER: usize = 64 * 1024;

/// What a watched directory is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// Of the work tree, by its path below the root.
    Tree(Vec<u8>),
    /// A git directory, of which few names count.
    Git(Vec<u8>),
    /// References, of which all names count but those of locks.
    Refs(Vec<u8>),
    /// A git directory or references of a submodule: its path below the root, and where they lie.
    Inner(Vec<u8>, Vec<u8>),
}

/// What came of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// It is watched.
    Done,
    /// There is no such directory.
    Gone,
    /// No more can be set.
    Full,
}

/// The watches of all repositories. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Notices(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// None: the system has none for us.
    queue: Option<AsyncFd<OwnedFd>>,
    most: usize,
    /// The cure for an overflow was logged.
    told: AtomicBool,
    metrics: Arc<Metrics>,
    /// Held for a glance.
    watches: Mutex<Watches>,
}

#[derive(Debug, Default)]
struct Watches {
    next: u64,
    by_number: HashMap<i32, Vec<(u64, Place)>>,
    repositories: HashMap<u64, Repository>,
}

#[derive(Debug)]
struct Repository {
    mailbox: Arc<Mailbox>,
    places: HashMap<Place, i32>,
}

impl Notices {
    /// Starts to listen. Needs a runtime.
    pub(super) fn start(most: usize, shutdown: &Shutdown, metrics: Arc<Metrics>) -> Self {
        let queue =
            inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(io::Error::from);
        let queue = queue.and_then(readable);
        if let Err(error) = &queue {
            tracing::warn!(%error, "no notifications of files: repositories are looked at every 5 s; raise fs.inotify.max_user_instances");
        }
        let notices = Self(Arc::new(Inner {
            queue: queue.ok(),
            most,
            told: AtomicBool::new(false),
            metrics,
            watches: Mutex::default(),
        }));
        let (listening, stop) = (notices.clone(), shutdown.clone());
        shutdown.spawn_shared(async move {
            tokio::select! {
                biased;
                () = stop.stopped() => {}
                () = listening.listen() => {}
            }
        });
        notices
    }

    fn with<T>(&self, work: impl FnOnce(&mut Watches) -> T) -> T {
        let mut watches = self
            .0
            .watches
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let done = work(&mut watches);
        let count = i64::try_from(watches.by_number.len()).unwrap_or(i64::MAX);
        self.0.metrics.git_watches.set(count);
        done
    }

    /// Takes up a repository; gives its number.
    pub(super) fn enter(&self, mailbox: Arc<Mailbox>) -> u64 {
        self.with(|watches| {
            watches.next += 1;
            let repository = Repository {
                mailbox,
                places: HashMap::new(),
            };
            watches.repositories.insert(watches.next, repository);
            watches.next
        })
    }

    /// Gives back all watches of a repository.
    pub(super) fn leave(&self, number: u64) {
        self.clear(number);
        self.with(|watches| watches.repositories.remove(&number));
    }

    /// Gives back all watches of a repository, which may get others.
    pub(super) fn clear(&self, number: u64) {
        self.forget(number, |_| true);
    }

    /// Watches a directory for a repository.
    pub(super) fn watch(&self, number: u64, path: &Path, place: Place) -> Set {
        let Some(queue) = &self.0.queue else {
            return Set::Full;
        };
        let (known, count) = self.with(|watches| {
            let repository = watches.repositories.get(&number);
            let known = repository.is_some_and(|repository| repository.places.contains_key(&place));
            (known, watches.by_number.len())
        });
        if known {
            return Set::Done;
        }
        if count >= self.0.most {
            return Set::Full;
        }
        // The lock is held over the call, so that no event of it comes before it is known.
        self.with(
            |watches| match inotify::add_watch(queue.get_ref(), path, EVENTS) {
                Ok(watch) => {
                    watches
                        .by_number
                        .entry(watch)
                        .or_default()
                        .push((number, place.clone()));
                    if let Some(repository) = watches.repositories.get_mut(&number) {
                        repository.places.insert(place, watch);
                    }
                    Set::Done
                }
                Err(
                    rustix::io::Errno::NOENT
                    | rustix::io::Errno::NOTDIR
                    | rustix::io::Errno::ACCESS,
                ) => Set::Gone,
                Err(_) => Set::Full,
            },
        )
    }

    /// Gives back watches of a repository.
    pub(super) fn forget(&self, number: u64, which: impl Fn(&Place) -> bool) {
        self.with(|watches| {
            let Some(repository) = watches.repositories.get_mut(&number) else {
                return;
            };
            let gone: Vec<_> = repository
                .places
                .extract_if(|place, _| which(place))
                .collect();
            for (place, watch) in gone {
                let Some(users) = watches.by_number.get_mut(&watch) else {
                    continue;
                };
                users.retain(|user| *user != (number, place.clone()));
                if users.is_empty() {
                    watches.by_number.remove(&watch);
                    if let Some(queue) = &self.0.queue {
                        let _ = inotify::remove_watch(queue.get_ref(), watch);
                    }
                }
            }
        });
    }

    async fn listen(&self) {
        let Some(queue) = &self.0.queue else {
            return;
        };
        let mut buffer = vec![MaybeUninit::<u8>::uninit(); BUFFER];
        loop {
            let Ok(mut ready) = queue.readable().await else {
                return;
            };
            let mut reader = Reader::new(queue.get_ref(), &mut buffer);
            loop {
                match reader.next() {
                    Ok(event) => {
                        let name = event.file_name().map(|name| name.to_bytes().to_vec());
                        self.heard(event.wd(), event.events(), name.as_deref());
                        // The task shares its thread with others.
                        if reader.is_buffer_empty() {
                            break;
                        }
                    }
                    Err(rustix::io::Errno::INTR) => {}
                    Err(_) => {
                        ready.clear_ready();
                        break;
                    }
                }
            }
            tokio::task::yield_now().await;
        }
    }

    fn overflowed(&self) {
        if self.0.told.swap(true, Ordering::Relaxed) {
            tracing::debug!("notifications of repositories were lost again");
        } else {
            tracing::warn!(
                "notifications were lost: for a minute watched repositories are looked at every 5 s; raise fs.inotify.max_queued_events"
            );
        }
        self.with(|watches| {
            let all = watches.repositories.values();
            all.for_each(|repository| repository.mailbox.lost());
        });
    }

    fn heard(&self, watch: i32, events: ReadFlags, name: Option<&[u8]>) {
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.overflowed();
            return;
        }
        let moved = self.with(|watches| {
            let users = if events.contains(ReadFlags::IGNORED) {
                watches.by_number.remove(&watch).unwrap_or_default()
            } else {
                watches.by_number.get(&watch).cloned().unwrap_or_default()
            };
            let mut moved = Vec::new();
            for (number, place) in users {
                let Some(repository) = watches.repositories.get_mut(&number) else {
                    continue;
                };
                if events.contains(ReadFlags::IGNORED) {
                    repository.places.remove(&place);
                    continue;
                }
                if let Some(path) = tell(&repository.mailbox, &place, name)
                    && events.contains(ReadFlags::MOVED_FROM | ReadFlags::ISDIR)
                {
                    moved.push((number, path));
                }
            }
            moved
        });
        // Watches go with a directory that is moved, but would speak of its old path.
        for (number, path) in moved {
            self.forget(number, |place| match place {
                Place::Tree(other) => other
                    .strip_prefix(&path[..])
                    .is_some_and(|rest| rest.is_empty() || rest[0] == b'/'),
                Place::Git(_) | Place::Refs(_) | Place::Inner(..) => false,
            });
        }
    }
}

/// Tells a repository of an event; gives the path in the work tree.
fn tell(mailbox: &Mailbox, place: &Place, name: Option<&[u8]>) -> Option<Vec<u8>> {
    match (place, name) {
        (Place::Tree(directory), Some(b".git")) if directory.is_empty() => mailbox.git(),
        (Place::Tree(directory), Some(name)) => {
            let path = if directory.is_empty() {
                name.to_vec()
            } else {
                [directory, &b"/"[..], name].concat()
            };
            mailbox.path(path.clone());
            return Some(path);
        }
        (Place::Tree(directory), None) => {
            if directory.is_empty() {
                mailbox.git();
            } else {
                mailbox.path(directory.clone());
            }
        }
        (Place::Git(_), Some(name)) if !counts(name) => {}
        (Place::Refs(_), Some(name)) if name.ends_with(b".lock") => {}
        (Place::Git(_) | Place::Refs(_), _) => mailbox.git(),
        (Place::Inner(_, _), Some(name)) if name.ends_with(b".lock") || !counts_inside(name) => {}
        (Place::Inner(submodule, _), _) => mailbox.path(submodule.clone()),
    }
    None
}

/// Names in a git directory that say something of the work tree.
fn counts(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 16] = [
        b"HEAD",
        b"index",
        b"packed-refs",
        b"config",
        b"config.worktree",
        b"commondir",
        b"exclude",
        b"attributes",
        b"MERGE_HEAD",
        b"CHERRY_PICK_HEAD",
        b"REVERT_HEAD",
        b"BISECT_LOG",
        b"rebase-merge",
        b"rebase-apply",
        b"refs",
        b"info",
    ];
    NAMES.contains(&name)
}

/// Names in a git directory or among references that may say something of a submodule: not what every commit brings.
fn counts_inside(name: &[u8]) -> bool {
    ![&b"objects"[..], b"logs", b"COMMIT_EDITMSG", b"ORIG_HEAD"].contains(&name)
}

/// The directories of references, for [`Place::Refs`].
pub(super) fn directories_of_refs(common: &Path) -> Vec<std::path::PathBuf> {
    const MOST: usize = 2000;
    let mut all = vec![common.join("refs")];
    let mut at = 0;
    while at < all.len() && all.len() < MOST {
        let entries = std::fs::read_dir(&all[at]).into_iter().flatten().flatten();
        let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let below: Vec<_> = below.map(|entry| entry.path()).collect();
        all.extend(below);
        at += 1;
    }
    all
}

/// The bytes of a path.
pub(super) fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}
