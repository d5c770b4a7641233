//! The tree by example, and its rules under random operations.

use std::collections::HashSet;

use proptest::prelude::*;
use uuid::Uuid;

use super::{Begun, Change, ChatInfo, Edit, Registry, Said, Which};
use crate::chat::{MAX_CHATS, MAX_LEVELS, error::ChatError};

const A: Uuid = Uuid::from_u128(1);
const B: Uuid = Uuid::from_u128(2);
const C: Uuid = Uuid::from_u128(3);
const D: Uuid = Uuid::from_u128(4);

const ALL_GO: &dyn Fn(Uuid) -> bool = &|_| true;

fn see(registry: &mut Registry, chat: Uuid, claimed: &[Uuid], now: u64) {
    registry.see(chat, claimed, now, ALL_GO);
}

fn parent(registry: &mut Registry, id: Uuid) -> Option<Uuid> {
    registry
        .describe(id, Which::All)
        .expect("it is known")
        .parent
}

fn under(parent: Option<Uuid>) -> Change {
    Change {
        parent: parent.map_or(Edit::Clear, Edit::Set),
        title: Edit::Leave,
    }
}

fn put(registry: &mut Registry, id: Uuid, change: Change) -> Result<(), ChatError> {
    registry.put(id, change, 1, ALL_GO)
}

fn archived(registry: &mut Registry, id: Uuid) -> bool {
    let info = registry.describe(id, Which::All);
    info.expect("it is known").archived_at.is_some()
}

fn archive(registry: &mut Registry, id: Uuid, archived: bool) -> Result<(), ChatError> {
    registry.archive(id, archived, 9, Uuid::now_v7())
}

#[test]
fn the_parent_follows_from_what_headers_said() {
    let mut registry = Registry::default();
    see(&mut registry, B, &[A], 1);
    assert_eq!(parent(&mut registry, B), Some(A), "the only one");
    see(&mut registry, C, &[A, B], 2);
    assert_eq!(
        parent(&mut registry, C),
        Some(B),
        "the one that has the others above it"
    );
    assert_eq!(registry.ancestors(C), [A, B].into());
    assert_eq!(registry.below(A), [B, C].into());
    assert!(registry.is_above(A, C) && !registry.is_above(C, A));
}

#[test]
fn what_cannot_be_told_is_told_later() {
    let mut registry = Registry::default();
    see(&mut registry, C, &[A, B], 1);
    assert_eq!(parent(&mut registry, C), None);
    assert_eq!(
        registry.ancestors(C),
        [A, B].into(),
        "they are known all the same"
    );
    see(&mut registry, B, &[A], 2);
    assert_eq!(parent(&mut registry, C), Some(B));
}

#[test]
fn what_was_said_goes_before_what_follows() {
    let mut registry = Registry::default();
    see(&mut registry, B, &[A], 1);
    put(&mut registry, B, under(Some(D))).expect("a parent");
    assert_eq!(parent(&mut registry, B), Some(D));
    put(&mut registry, B, under(None)).expect("none");
    assert_eq!(parent(&mut registry, B), None);
    see(&mut registry, B, &[A], 2);
    assert_eq!(parent(&mut registry, B), None);
    put(&mut registry, B, Change::default()).expect("nothing");
    let title = |title: Option<&str>| Change {
        title: title.map_or(Edit::Clear, |title| Edit::Set(title.to_owned())),
        parent: Edit::Leave,
    };
    put(&mut registry, B, title(Some("x"))).expect("a title");
    let info = registry.describe(B, Which::All).expect("known");
    assert_eq!(info.title.as_deref(), Some("x"));
    put(&mut registry, B, title(None)).expect("no title");
    assert_eq!(registry.describe(B, Which::All).expect("known").title, None);
}

#[test]
fn there_is_no_cycle_and_no_endless_depth() {
    let mut registry = Registry::default();
    see(&mut registry, B, &[A], 1);
    see(&mut registry, A, &[B], 2);
    assert_eq!(parent(&mut registry, A), None, "headers cannot make one");
    assert_eq!(put(&mut registry, A, under(Some(A))), Err(ChatError::Cycle));
    assert_eq!(put(&mut registry, A, under(Some(B))), Err(ChatError::Cycle));
    let level = |number: usize| Uuid::from_u128(100 + number as u128);
    for number in 1..MAX_LEVELS {
        put(&mut registry, level(number), under(Some(level(number - 1)))).expect("not too deep");
    }
    let last = level(MAX_LEVELS);
    assert_eq!(
        put(&mut registry, last, under(Some(level(MAX_LEVELS - 1)))),
        Err(ChatError::TooDeep)
    );
    assert!(!registry.knows(last), "a refusal makes nothing");
    assert_eq!(
        put(&mut registry, level(0), under(Some(D))),
        Err(ChatError::TooDeep)
    );
    see(&mut registry, last, &[level(MAX_LEVELS - 1)], 3);
    assert_eq!(
        parent(&mut registry, last),
        None,
        "a header is never refused"
    );
}

#[test]
fn archiving_takes_all_below_and_brings_back_what_went_along() {
    let mut registry = Registry::default();
    see(&mut registry, B, &[A], 1);
    see(&mut registry, C, &[A, B], 2);
    see(&mut registry, D, &[A], 3);
    archive(&mut registry, D, true).expect("alone");
    archive(&mut registry, A, true).expect("with all");
    assert!(
        [A, B, C, D]
            .into_iter()
            .all(|id| archived(&mut registry, id))
    );
    assert_eq!(
        archive(&mut registry, C, false),
        Err(ChatError::ParentArchived)
    );
    see(&mut registry, Uuid::from_u128(5), &[A], 4);
    assert!(
        archived(&mut registry, Uuid::from_u128(5)),
        "a new one below an archived one"
    );
    see(&mut registry, A, &[], 5);
    assert!(archived(&mut registry, A), "a request brings nothing back");
    archive(&mut registry, A, false).expect("back");
    let back: Vec<_> = [A, B, C, D]
        .into_iter()
        .map(|id| archived(&mut registry, id))
        .collect();
    assert_eq!(back, [false, false, false, true]);
    archive(&mut registry, D, false).expect("back");
    archive(&mut registry, A, true).expect("again");
    let other = Uuid::from_u128(6);
    put(&mut registry, other, Change::default()).expect("made");
    assert_eq!(
        put(&mut registry, other, under(Some(B))),
        Err(ChatError::ParentArchived)
    );
    put(&mut registry, Uuid::from_u128(7), under(Some(B))).expect("a new one is archived at once");
    assert!(archived(&mut registry, Uuid::from_u128(7)));
    assert_eq!(
        archive(&mut registry, Uuid::from_u128(99), true),
        Err(ChatError::NotFound)
    );
}

#[test]
fn lists_have_roots_with_children_and_pages() {
    let mut registry = Registry::default();
    see(&mut registry, B, &[A], 1);
    see(&mut registry, C, &[], 2);
    see(&mut registry, D, &[], 3);
    archive(&mut registry, D, true).expect("known");
    let ids = |page: &[ChatInfo]| page.iter().map(|chat| chat.id).collect::<Vec<_>>();
    let (page, total) = registry.list(Which::Current, 10, 0);
    assert_eq!((ids(&page), total), (vec![C, A], 2));
    assert_eq!(ids(&page[1].children), [B]);
    let (page, total) = registry.list(Which::Archived, 10, 0);
    assert_eq!((ids(&page), total), (vec![D], 1));
    let (page, total) = registry.list(Which::All, 1, 1);
    assert_eq!((ids(&page), total), (vec![C], 3));
    archive(&mut registry, B, true).expect("known");
    assert!(registry.list(Which::Current, 1, 1).0[0].children.is_empty());
    assert_eq!(registry.list(Which::All, 9, 0).0[2].children.len(), 1);
}

#[test]
fn the_one_seen_longest_ago_goes_unless_something_holds_it() {
    let mut registry = Registry::default();
    let id = |number: usize| Uuid::from_u128(1000 + number as u128);
    for number in 0..MAX_CHATS {
        see(&mut registry, id(number), &[], number as u64);
    }
    assert!(registry.lacks_room(A, &[]) && !registry.lacks_room(id(1), &[id(2)]));
    put(
        &mut registry,
        id(0),
        Change {
            title: Edit::Set("x".to_owned()),
            parent: Edit::Leave,
        },
    )
    .expect("known");
    put(&mut registry, id(2), under(Some(id(1)))).expect("known");
    registry
        .connect(id(2))
        .expect("not deleted")
        .expect("known");
    let live = |chat: Uuid| chat != id(3);
    registry.see(A, &[id(4)], 99_999, &live);
    assert!(
        registry.knows(A) && registry.knows(id(4)),
        "not those that it names"
    );
    for held in 0..5 {
        assert!(registry.knows(id(held)), "{held}");
    }
    assert!(!registry.knows(id(5)));
    assert_eq!(registry.chats.len(), MAX_CHATS);
    let nobody: &dyn Fn(Uuid) -> bool = &|_| false;
    registry.see(B, &[], 1, nobody);
    assert!(!registry.knows(B), "served without an entry");
    assert_eq!(
        registry.put(B, Change::default(), 1, nobody),
        Err(ChatError::Full)
    );
}

#[test]
fn deleting_marks_first_and_forgets_last() {
    let mut registry = Registry::default();
    see(&mut registry, B, &[A], 1);
    see(&mut registry, C, &[A, B, D], 2);
    assert_eq!(
        registry.begin_delete(A, false).expect_err("refused"),
        ChatError::HasChildren
    );
    let Ok(Begun::Marked(mut marked)) = registry.begin_delete(A, true) else {
        panic!("it is marked");
    };
    marked.sort();
    assert_eq!(marked, [A, B]);
    assert_eq!(
        registry.connect(B).expect_err("refused"),
        ChatError::Deleting
    );
    assert_eq!(
        put(&mut registry, B, Change::default()),
        Err(ChatError::Deleting)
    );
    let Ok(Begun::Underway(done)) = registry.begin_delete(B, false) else {
        panic!("another one is under way");
    };
    registry.finish_delete(&marked);
    assert!(done.is_cancelled());
    assert_eq!(
        registry.begin_delete(A, true).expect_err("gone"),
        ChatError::NotFound
    );
    assert_eq!(
        parent(&mut registry, C),
        Some(D),
        "what it claimed is looked at again"
    );
    see(&mut registry, A, &[], 3);
    assert!(registry.connect(A).expect("a new chat").is_some());
}

#[test]
fn what_is_kept_comes_back() {
    let mut registry = Registry::default();
    see(&mut registry, B, &[A], 1);
    see(&mut registry, C, &[A, B], 2);
    put(&mut registry, D, under(Some(C))).expect("a parent");
    archive(&mut registry, C, true).expect("known");
    let mut again = Registry::restored(&registry.kept());
    check(&again);
    let (all, total) = again.list(Which::All, 9, 0);
    assert_eq!((all, total), registry.list(Which::All, 9, 0));
    archive(&mut again, C, false).expect("known");
    assert!(!archived(&mut again, D), "what went along is remembered");
}

#[test]
fn a_file_that_contradicts_itself_is_taken_as_far_as_it_goes() {
    let mut registry = Registry::default();
    for (id, parent) in [(A, B), (B, C), (C, A)] {
        see(&mut registry, id, &[parent], 1);
    }
    let mut kept = registry.kept();
    for chat in &mut kept {
        chat.said = Said::Parent(chat.claims[0]);
        chat.claims.push(D); // nobody knows this one
    }
    let again = Registry::restored(&kept);
    check(&again);
    assert_eq!(again.chats.len(), 3);
}

/// The rules that hold at any time.
fn check(registry: &Registry) {
    for (id, chat) in &registry.chats {
        let chain: Vec<_> = registry.chain(*id).take(MAX_LEVELS + 1).collect();
        assert!(chain.len() < MAX_LEVELS, "too deep, or a cycle");
        assert!(!chain.contains(id));
        if let Some(parent) = chat.parent {
            let parent = &registry.chats[&parent];
            assert!(parent.children.contains(id));
            assert!(parent.archived.is_none() || chat.archived.is_some());
        }
        for child in &chat.children {
            assert_eq!(registry.chats[child].parent, Some(*id));
        }
        assert!(!chat.claims.contains(id));
        for claimed in &chat.claims {
            assert!(registry.chats[claimed].claimants.contains(id));
        }
        for claimant in &chat.claimants {
            assert!(registry.chats[claimant].claims.contains(id));
        }
        assert!(registry.seen.contains(&(chat.seen, *id)));
    }
    assert_eq!(registry.seen.len(), registry.chats.len());
    assert!(
        registry
            .undecided
            .iter()
            .all(|id| registry.chats.contains_key(id))
    );
}

#[derive(Clone, Debug)]
enum Step {
    See(u128, Vec<u128>),
    Put(u128, Edit<u128>),
    Archive(u128, bool),
    Delete(u128, bool),
    Restore,
}

fn edit() -> impl Strategy<Value = Edit<u128>> {
    prop_oneof![
        Just(Edit::Leave),
        Just(Edit::Clear),
        (1..9_u128).prop_map(Edit::Set),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let id = || 1..9_u128;
    prop_oneof![
        4 => (id(), prop::collection::vec(id(), 0..4)).prop_map(|(chat, claimed)| Step::See(chat, claimed)),
        3 => (id(), edit()).prop_map(|(chat, parent)| Step::Put(chat, parent)),
        2 => (id(), any::<bool>()).prop_map(|(chat, archived)| Step::Archive(chat, archived)),
        1 => (id(), any::<bool>()).prop_map(|(chat, recursive)| Step::Delete(chat, recursive)),
        1 => Just(Step::Restore),
    ]
}

proptest! {
    #[test]
    fn the_rules_hold_whatever_happens(steps in prop::collection::vec(step(), 0..60)) {
        let (mut registry, id) = (Registry::default(), Uuid::from_u128);
        for (now, step) in steps.into_iter().enumerate() {
            let now = now as u64;
            match step {
                Step::See(chat, claimed) => {
                    let claimed: Vec<_> = claimed.into_iter().map(id).collect();
                    registry.see(id(chat), &claimed, now, ALL_GO);
                    prop_assert!(claimed.iter().all(|ancestor| *ancestor == id(chat) || registry.is_above(*ancestor, id(chat))));
                }
                Step::Put(chat, parent) => {
                    let (due, parent) = match parent {
                        Edit::Leave => (None, Edit::Leave),
                        Edit::Clear => (Some(None), Edit::Clear),
                        Edit::Set(parent) => (Some(Some(id(parent))), Edit::Set(id(parent))),
                    };
                    let change = Change { parent, title: Edit::Leave };
                    if registry.put(id(chat), change, now, ALL_GO).is_ok() && let Some(due) = due {
                        prop_assert_eq!(parent_of(&registry, id(chat)), due);
                    }
                }
                Step::Archive(chat, archived) => {
                    if archive(&mut registry, id(chat), archived).is_ok() {
                        prop_assert_eq!(registry.chats[&id(chat)].archived.is_some(), archived);
                    }
                }
                Step::Delete(chat, recursive) => {
                    if let Ok(Begun::Marked(marked)) = registry.begin_delete(id(chat), recursive) {
                        registry.finish_delete(&marked);
                        prop_assert!(!registry.knows(id(chat)));
                    }
                }
                Step::Restore => registry = Registry::restored(&registry.kept()),
            }
            registry.settle();
            check(&registry);
        }
        let all: HashSet<_> = registry.chats.keys().copied().collect();
        let mut listed = HashSet::new();
        let mut next = registry.list(Which::All, 99, 0).0;
        while let Some(chat) = next.pop() {
            prop_assert!(listed.insert(chat.id), "listed once");
            next.extend(chat.children);
        }
        prop_assert_eq!(listed, all);
    }
}

fn parent_of(registry: &Registry, id: Uuid) -> Option<Uuid> {
    registry.chats[&id].parent
}
