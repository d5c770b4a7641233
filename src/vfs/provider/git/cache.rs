//! The trees that were looked at last, up to a weight.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::tree::Tree;
use crate::git::Id;

/// Trees by their ids. The one that was not asked for longest goes first; who holds one keeps it.
#[derive(Debug)]
pub(super) struct Cache {
    limit: usize,
    weight: usize,
    clock: u64,
    trees: HashMap<Id, (u64, Arc<Tree>)>,
    order: BTreeMap<u64, Id>,
}

impl Cache {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            weight: 0,
            clock: 0,
            trees: HashMap::new(),
            order: BTreeMap::new(),
        }
    }

    pub(super) fn get(&mut self, id: Id) -> Option<Arc<Tree>> {
        let (used, tree) = self.trees.get_mut(&id)?;
        self.clock += 1;
        self.order.remove(used);
        *used = self.clock;
        self.order.insert(self.clock, id);
        Some(tree.clone())
    }

    /// Takes a tree in, unless it alone is too heavy.
    pub(super) fn insert(&mut self, id: Id, tree: Arc<Tree>) {
        let weight = tree.weight();
        if weight > self.limit || self.trees.contains_key(&id) {
            return;
        }
        self.clock += 1;
        self.weight += weight;
        self.trees.insert(id, (self.clock, tree));
        self.order.insert(self.clock, id);
        while self.weight > self.limit {
            let (_, oldest) = self.order.pop_first().expect("what weighs is there");
            let (_, tree) = self
                .trees
                .remove(&oldest)
                .expect("both have the same trees");
            self.weight -= tree.weight();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> Id {
        Id::from_bytes(&[number; 20])
    }

    fn tree() -> Arc<Tree> {
        let bytes = [&b"100644 a\0"[..], &[1; 20]].concat();
        Arc::new(Tree::parse(&bytes).expect("a tree"))
    }

    #[test]
    fn the_one_not_asked_for_longest_goes() {
        let mut cache = Cache::new(3 * tree().weight());
        for number in 0..3 {
            cache.insert(id(number), tree());
        }
        assert!(cache.get(id(0)).is_some());
        cache.insert(id(3), tree());
        let there = (0..4)
            .filter(|number| cache.get(id(*number)).is_some())
            .collect::<Vec<_>>();
        assert_eq!((there, cache.weight), (vec![0, 2, 3], 3 * tree().weight()));
    }

    #[test]
    fn what_is_too_heavy_alone_is_not_kept() {
        let mut cache = Cache::new(tree().weight() - 1);
        cache.insert(id(0), tree());
        assert!(cache.get(id(0)).is_none());
        assert_eq!(cache.weight, 0);
    }
}
