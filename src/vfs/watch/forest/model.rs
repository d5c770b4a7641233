//! The watched tree as it was told: what somebody knows who applied every record. Pure.
//!
//! A directory is a *node*: it is known by what watches it, not by its name, and keeps its identity when it is renamed. Notices
//! are of nodes, so they stay right whatever becomes of the names above.

use std::collections::{BTreeMap, HashMap};

use crate::vfs::{
    entry::{Attributes, EntryKind, Identity, Time},
    path::{Name, TreePath},
    provider::watcher::WatchKey,
};

/// Number of a node. Never used again.
pub(super) type NodeId = u64;
/// A watched directory: which watcher, and its key there.
pub(super) type Place = (usize, WatchKey);

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Spot {
    pub(super) node: NodeId,
    pub(super) name: Name,
}

/// By what a directory is known, and how its changes come to light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// Its watcher tells.
    Told(Place),
    /// It is looked at from time to time.
    Polled(Identity),
    /// Nothing ever changes in it.
    Still,
}

/// What is compared of an entry in a polled directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) identity: Identity,
    pub(super) content: Option<(u64, Time)>,
    pub(super) rights: (u32, u32, u32),
}

impl Stamp {
    pub(super) fn of(found: &Attributes) -> Self {
        Self {
            identity: found.identity,
            // Size and time of a directory change with what is in it, which is told by itself.
            content: (!found.kind.is_directory()).then_some((found.size, found.mtime)),
            rights: (found.mode, found.uid, found.gid),
        }
    }
}

/// What is at a spot.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) kind: EntryKind,
    /// Of a directory that is entered.
    pub(super) node: Option<NodeId>,
    /// How many times notices had been taken when it was looked at.
    pub(super) since: u64,
    pub(super) stamp: Option<Stamp>,
}

/// A directory.
#[derive(Debug)]
pub(super) struct Node {
    /// Where it is. None: the root.
    pub(super) above: Option<Spot>,
    pub(super) guard: Guard,
    /// It may not be read: nothing is known of its entries.
    pub(super) shut: bool,
    pub(super) entries: BTreeMap<Name, Entry>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Model {
    root: TreePath,
    nodes: HashMap<NodeId, Node>,
    /// More than one node: the directory is mounted at several places.
    keys: HashMap<Place, Vec<NodeId>>,
    /// How many nodes are looked at from time to time.
    polled: usize,
    next: NodeId,
    pub(super) top: NodeId,
}

impl Model {
    /// Nothing, not even the root.
    pub(super) fn new(root: TreePath) -> Self {
        Self {
            root,
            nodes: HashMap::new(),
            keys: HashMap::new(),
            polled: 0,
            next: 0,
            top: 0,
        }
    }

    pub(super) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        self.nodes.get_mut(&id)
    }

    pub(super) fn entry(&self, spot: &Spot) -> Option<&Entry> {
        self.nodes.get(&spot.node)?.entries.get(&spot.name)
    }

    pub(super) fn entry_mut(&mut self, spot: &Spot) -> Option<&mut Entry> {
        self.nodes.get_mut(&spot.node)?.entries.get_mut(&spot.name)
    }

    /// Nodes of a watched directory.
    pub(super) fn at(&self, place: Place) -> &[NodeId] {
        self.keys.get(&place).map_or(&[], Vec::as_slice)
    }

    /// Whether there is a node that is looked at from time to time.
    pub(super) fn has_polled(&self) -> bool {
        self.polled > 0
    }

    /// Nodes that are looked at from time to time.
    pub(super) fn polled(&self) -> Vec<NodeId> {
        let polled = |node: &Node| matches!(node.guard, Guard::Polled(_));
        let ids = self.nodes.iter().filter(|(_, node)| polled(node));
        ids.map(|(id, _)| *id).collect()
    }

    pub(super) fn path(&self, id: NodeId) -> TreePath {
        let mut names = Vec::new();
        let mut next = self.nodes.get(&id);
        while let Some(spot) = next.and_then(|node| node.above.as_ref()) {
            names.push(spot.name.clone());
            next = self.nodes.get(&spot.node);
        }
        names.reverse();
        let mut path = self.root.clone();
        path.extend(&names);
        path
    }

    pub(super) fn path_of(&self, spot: &Spot) -> TreePath {
        self.path(spot.node).join(&spot.name)
    }

    /// Whether a directory is another, or holds it at any depth.
    pub(super) fn holds(&self, upper: NodeId, lower: NodeId) -> bool {
        let mut next = Some(lower);
        while let Some(id) = next {
            if id == upper {
                return true;
            }
            let above = self.nodes.get(&id).and_then(|node| node.above.as_ref());
            next = above.map(|spot| spot.node);
        }
        false
    }

    /// A directory more; without `above` it is the root. Its entry has to be there.
    pub(super) fn add(&mut self, above: Option<Spot>, guard: Guard) -> NodeId {
        let id = self.next;
        self.next += 1;
        match &above {
            None => self.top = id,
            Some(spot) => {
                let entry = self.entry_mut(spot).expect("the entry comes first");
                entry.node = Some(id);
            }
        }
        match guard {
            Guard::Told(place) => self.keys.entry(place).or_default().push(id),
            Guard::Polled(_) => self.polled += 1,
            Guard::Still => {}
        }
        let node = Node {
            above,
            guard,
            shut: false,
            entries: BTreeMap::new(),
        };
        self.nodes.insert(id, node);
        id
    }

    /// Puts something at a spot that has nothing, a directory with all below it.
    pub(super) fn put(&mut self, spot: &Spot, entry: Entry) {
        if let Some(below) = entry.node.and_then(|id| self.nodes.get_mut(&id)) {
            below.above = Some(spot.clone());
        }
        if let Some(node) = self.nodes.get_mut(&spot.node) {
            node.entries.insert(spot.name.clone(), entry);
        }
    }

    /// Takes what is at a spot, to be put elsewhere.
    pub(super) fn take(&mut self, spot: &Spot) -> Option<Entry> {
        self.nodes.get_mut(&spot.node)?.entries.remove(&spot.name)
    }

    /// Forgets a directory and all below it. Gives what need not be watched any more.
    pub(super) fn prune(&mut self, top: NodeId) -> Vec<Place> {
        let mut free = Vec::new();
        let mut due = vec![top];
        while let Some(id) = due.pop() {
            let Some(node) = self.nodes.remove(&id) else {
                continue;
            };
            due.extend(node.entries.values().filter_map(|entry| entry.node));
            let place = match node.guard {
                Guard::Told(place) => place,
                Guard::Polled(_) => {
                    self.polled -= 1;
                    continue;
                }
                Guard::Still => continue,
            };
            if let Some(ids) = self.keys.get_mut(&place) {
                ids.retain(|other| *other != id);
                if ids.is_empty() {
                    self.keys.remove(&place);
                    free.push(place);
                }
            }
        }
        free
    }

    /// Forgets what is below a directory. Gives what need not be watched any more.
    pub(super) fn empty(&mut self, id: NodeId) -> Vec<Place> {
        let Some(node) = self.nodes.get_mut(&id) else {
            return Vec::new();
        };
        let below: Vec<_> = std::mem::take(&mut node.entries)
            .into_values()
            .filter_map(|entry| entry.node)
            .collect();
        below.into_iter().flat_map(|id| self.prune(id)).collect()
    }

    /// A watch has ended. Gives the nodes that it was of.
    pub(super) fn unwatched(&mut self, place: Place) -> Vec<NodeId> {
        self.keys.remove(&place).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes()).expect("a name")
    }

    fn guard(key: u64) -> Guard {
        Guard::Told((0, WatchKey(key)))
    }

    fn directory(model: &mut Model, node: NodeId, text: &str, key: u64) -> NodeId {
        let spot = Spot {
            node,
            name: name(text),
        };
        let entry = Entry {
            kind: EntryKind::Dir,
            node: None,
            since: 0,
            stamp: None,
        };
        model.put(&spot, entry);
        model.add(Some(spot), guard(key))
    }

    #[test]
    fn a_directory_takes_along_what_is_in_it() {
        let mut model = Model::new(TreePath::parse(b"/r").expect("a path"));
        let top = model.add(None, guard(1));
        let a = directory(&mut model, top, "a", 2);
        let inner = directory(&mut model, a, "x", 3);
        let b = directory(&mut model, top, "b", 4);
        assert_eq!(model.path(inner).to_string(), "/r/a/x");
        assert!(model.holds(a, inner) && !model.holds(b, inner));
        let from = model
            .node(a)
            .and_then(|node| node.above.clone())
            .expect("not the root");
        let entry = model.take(&from).expect("it is there");
        let to = Spot {
            node: b,
            name: name("c"),
        };
        model.put(&to, entry);
        assert_eq!(model.path(inner).to_string(), "/r/b/c/x");
        assert!(model.holds(b, inner));
        let mut free: Vec<_> = model.prune(b).into_iter().map(|(_, key)| key.0).collect();
        free.sort_unstable();
        assert_eq!(free, [2, 3, 4]);
        assert!(model.node(inner).is_none());
    }

    #[test]
    fn a_directory_that_is_at_two_places_is_watched_until_it_is_at_none() {
        let mut model = Model::new(TreePath::root());
        let top = model.add(None, guard(1));
        let one = directory(&mut model, top, "one", 2);
        let two = directory(&mut model, top, "two", 2);
        assert_eq!(model.at((0, WatchKey(2))), [one, two]);
        assert_eq!(model.prune(one), []);
        assert_eq!(model.prune(two), [(0, WatchKey(2))]);
    }
}
