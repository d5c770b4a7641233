//! The paths that were worked on for each chat, and who wants to hear of them: decisions without lock, clock or I/O.
//!
//! A path that is added again stays where it is in the order. Each chat has its paths in the order in which they came; one
//! more list has the order of all. An entry of that list whose path went by the bound of its chat is left where it is, and
//! skipped later.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::watch;
use uuid::Uuid;

/// Longest path, in bytes.
pub(super) const MAX_PATH: usize = 4096;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Paths of one chat.
    pub(super) of_chat: usize,
    /// Paths of all chats, each counted for each chat.
    pub(super) all: usize,
    /// Repositories of one chat.
    pub(super) repositories: usize,
}

/// All paths.
#[derive(Debug)]
pub(super) struct PathStore {
    bounds: Bounds,
    chats: HashMap<Uuid, Worked>,
    /// Who came when; some have gone already.
    order: VecDeque<(u64, Uuid)>,
    next: u64,
    total: usize,
    /// Who is told; an entry goes with its last subscriber.
    subscribers: HashMap<Uuid, watch::Sender<u64>>,
}

/// What was worked on for one chat.
#[derive(Debug, Default)]
struct Worked {
    paths: HashSet<Arc<[u8]>>,
    order: VecDeque<(u64, Arc<[u8]>)>,
    /// The one touched longest ago first.
    repositories: VecDeque<PathBuf>,
}

/// A chat with its paths in the order in which they came, and its repositories, as they are written down.
pub(super) type Kept = (Uuid, Vec<Arc<[u8]>>, Vec<PathBuf>);

impl PathStore {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            chats: HashMap::new(),
            order: VecDeque::new(),
            next: 0,
            total: 0,
            subscribers: HashMap::new(),
        }
    }

    /// Adds a path, which is clean, to a chat and tells its subscribers. Whether it is new there.
    pub(super) fn add(&mut self, chat: Uuid, path: &Arc<[u8]>) -> bool {
        let added = self.insert(chat, path);
        self.tell(chat);
        added
    }

    fn insert(&mut self, chat: Uuid, path: &Arc<[u8]>) -> bool {
        let worked = self.chats.entry(chat).or_default();
        if !worked.paths.insert(Arc::clone(path)) {
            return false;
        }
        let number = self.next;
        self.next += 1;
        worked.order.push_back((number, Arc::clone(path)));
        self.order.push_back((number, chat));
        self.total += 1;
        if worked.order.len() > self.bounds.of_chat {
            self.drop_oldest(chat);
        }
        while self.total > self.bounds.all {
            let Some((number, chat)) = self.order.pop_front() else {
                break;
            };
            self.drop_if(chat, number);
        }
        self.compact();
        true
    }

    fn drop_oldest(&mut self, chat: Uuid) {
        if let Some(worked) = self.chats.get_mut(&chat)
            && let Some((_, path)) = worked.order.pop_front()
        {
            worked.paths.remove(&path);
            self.total -= 1;
        }
    }

    fn drop_if(&mut self, chat: Uuid, number: u64) {
        let worked = self.chats.get(&chat);
        let oldest = worked.and_then(|worked| worked.order.front());
        if oldest.is_some_and(|(oldest, _)| *oldest == number) {
            self.drop_oldest(chat);
        }
    }

    /// Takes out of the order what is not there any more, when that is more than half of it.
    fn compact(&mut self) {
        if self.order.len() < 1024 || self.order.len() < 2 * self.total {
            return;
        }
        let chats = &self.chats;
        // The paths of a chat go in their order, so what is older than its oldest has gone.
        self.order.retain(|(number, chat)| {
            let worked = chats.get(chat);
            let oldest = worked.and_then(|worked| worked.order.front());
            oldest.is_some_and(|(oldest, _)| oldest <= number)
        });
    }

    /// Tells the subscribers of a chat. What they have not taken yet is one signal.
    pub(super) fn tell(&self, chat: Uuid) {
        if let Some(subscribers) = self.subscribers.get(&chat) {
            subscribers.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Signals from now on.
    pub(super) fn subscribe(&mut self, chat: Uuid) -> watch::Receiver<u64> {
        let sender = self.subscribers.entry(chat);
        sender.or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// A subscriber of the chat goes, which still counts: with the last one, what tells them goes, too.
    pub(super) fn unsubscribe(&mut self, chat: Uuid) {
        if let Some(sender) = self.subscribers.get(&chat)
            && sender.receiver_count() <= 1
        {
            self.subscribers.remove(&chat);
        }
    }

    /// The paths of a chat, sorted by their bytes.
    pub(super) fn of(&self, chat: Uuid) -> Vec<PathBuf> {
        let Some(worked) = self.chats.get(&chat) else {
            return Vec::new();
        };
        let mut paths: Vec<_> = worked.paths.iter().collect();
        paths.sort_unstable();
        let paths = paths.into_iter();
        paths
            .map(|path| Path::new(OsStr::from_bytes(path)).to_owned())
            .collect()
    }

    /// Keeps the roots of repositories that were found from paths of the chat. Whether one of them is new.
    pub(super) fn note_repositories(&mut self, chat: Uuid, roots: &[PathBuf]) -> bool {
        if roots.is_empty() {
            return false;
        }
        let (worked, limit) = (
            self.chats.entry(chat).or_default(),
            self.bounds.repositories,
        );
        let mut new = false;
        for root in roots {
            let known = worked.repositories.iter().position(|known| known == root);
            let known = known.and_then(|at| worked.repositories.remove(at));
            new |= known.is_none();
            worked
                .repositories
                .push_back(known.unwrap_or_else(|| root.clone()));
        }
        while worked.repositories.len() > limit {
            worked.repositories.pop_front();
        }
        new
    }

    /// The repositories of a chat, the one touched longest ago first.
    pub(super) fn repositories(&self, chat: Uuid) -> Vec<PathBuf> {
        let worked = self.chats.get(&chat);
        worked
            .map(|worked| worked.repositories.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// How many there are.
    pub(super) fn repository_count(&self, chat: Uuid) -> usize {
        self.chats
            .get(&chat)
            .map_or(0, |worked| worked.repositories.len())
    }

    /// Forgets the paths of a chat; how many there were.
    pub(super) fn forget(&mut self, chat: Uuid) -> usize {
        let count = self
            .chats
            .remove(&chat)
            .map_or(0, |worked| worked.order.len());
        self.total -= count;
        count
    }

    /// Everything, for the file.
    pub(super) fn kept(&self) -> Vec<Kept> {
        let all = self.chats.iter();
        all.map(|(chat, worked)| {
            let paths = worked.order.iter().map(|(_, path)| Arc::clone(path));
            (
                *chat,
                paths.collect(),
                worked.repositories.iter().cloned().collect(),
            )
        })
        .collect()
    }

    /// Takes in what the file has.
    pub(super) fn restore(&mut self, kept: Vec<Kept>) {
        for (chat, paths, repositories) in kept {
            for path in &paths {
                self.insert(chat, path);
            }
            self.note_repositories(chat, &repositories);
        }
    }
}

/// A path as it is kept: repeated `/`, `.` and a trailing `/` are dropped. `..` stays, because what it means depends on
/// links. `None` for what is relative, too long, or has a NUL.
pub(super) fn clean(path: &[u8]) -> Option<Arc<[u8]>> {
    if path.first() != Some(&b'/') || path.contains(&0) {
        return None;
    }
    let mut clean = Vec::with_capacity(path.len());
    let names = path.split(|byte| *byte == b'/');
    for name in names.filter(|name| !name.is_empty() && *name != b".") {
        clean.push(b'/');
        clean.extend_from_slice(name);
    }
    if clean.is_empty() {
        clean.push(b'/');
    }
    (clean.len() <= MAX_PATH).then(|| clean.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: Uuid = Uuid::from_u128(1);
    const B: Uuid = Uuid::from_u128(2);

    fn store(of_chat: usize, all: usize) -> PathStore {
        PathStore::new(Bounds {
            of_chat,
            all,
            repositories: 3,
        })
    }

    fn path(number: usize) -> Arc<[u8]> {
        format!("/{number}").into_bytes().into()
    }

    fn texts(paths: &[PathBuf]) -> Vec<&str> {
        paths.iter().filter_map(|path| path.to_str()).collect()
    }

    #[test]
    fn paths_are_cleaned_and_bounded() {
        let text =
            |path: &str| clean(path.as_bytes()).map(|p| String::from_utf8_lossy(&p).into_owned());
        assert_eq!(text("//a/./b//c/.").as_deref(), Some("/a/b/c"));
        assert_eq!(text("/a/../b").as_deref(), Some("/a/../b"));
        assert_eq!(text("/").as_deref(), Some("/"));
        assert_eq!(text("a"), None);
        assert_eq!(text(""), None);
        assert_eq!(text("/a\0"), None);
        assert!(text(&format!("/{}", "x".repeat(4095))).is_some());
        assert!(text(&format!("/{}", "x".repeat(4096))).is_none());
    }

    #[test]
    fn the_one_added_longest_ago_goes_first() {
        let mut store = store(3, 5);
        for number in [1, 2, 3, 1, 4] {
            store.add(A, &path(number));
        }
        assert_eq!(texts(&store.of(A)), ["/2", "/3", "/4"]);
        for number in [7, 8, 9] {
            store.add(B, &path(number));
        }
        assert_eq!(texts(&store.of(A)), ["/3", "/4"], "of all");
        assert_eq!(texts(&store.of(B)), ["/7", "/8", "/9"]);
        assert_eq!(store.forget(B), 3);
        assert_eq!(store.total, 2);
    }

    #[test]
    fn signals_that_were_not_taken_are_one() {
        let mut store = store(9, 9);
        let mut signals = store.subscribe(A);
        store.add(A, &path(1));
        store.add(A, &path(1));
        store.tell(A);
        assert!(signals.has_changed().expect("the sender is there"));
        signals.mark_unchanged();
        store.add(B, &path(1));
        assert!(!signals.has_changed().expect("the sender is there"));
        store.unsubscribe(A);
        assert!(store.subscribers.is_empty());
    }

    #[test]
    fn repositories_are_kept_by_their_last_touch() {
        let mut store = store(9, 9);
        let roots = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert!(store.note_repositories(A, &roots(&["/a", "/b", "/c"])));
        assert!(!store.note_repositories(A, &roots(&["/a"])));
        assert!(store.note_repositories(A, &roots(&["/d"])));
        assert_eq!(store.repositories(A), roots(&["/c", "/a", "/d"]));
    }

    proptest! {
        /// A second, simpler store: a list of all, cut from its front.
        #[test]
        fn it_is_as_a_plain_list(steps in prop::collection::vec((0..4_u8, 0..12_usize, 0..20_u8), 0..400)) {
            let (mut store, mut model) = (store(4, 9), Vec::<(Uuid, usize)>::new());
            for (chat, number, kind) in steps {
                let chat = Uuid::from_u128(u128::from(chat));
                if kind == 0 {
                    store.forget(chat);
                    model.retain(|(owner, _)| *owner != chat);
                    continue;
                }
                store.add(chat, &path(number));
                if !model.contains(&(chat, number)) {
                    model.push((chat, number));
                    if model.iter().filter(|(owner, _)| *owner == chat).count() > 4 {
                        let first = model.iter().position(|(owner, _)| *owner == chat);
                        model.remove(first.expect("there are five"));
                    }
                    if model.len() > 9 {
                        model.remove(0);
                    }
                }
                prop_assert_eq!(store.total, model.len());
            }
            for chat in (0..4).map(Uuid::from_u128) {
                let mut due: Vec<_> = model.iter().filter(|(owner, _)| *owner == chat)
                    .map(|(_, number)| PathBuf::from(format!("/{number}"))).collect();
                due.sort();
                prop_assert_eq!(store.of(chat), due);
            }
        }
    }
}
