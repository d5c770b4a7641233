//! What is true of memory beyond what is true of every provider: quotas, versions, what is given back.

use std::sync::Arc;

use super::{
    super::{
        Changes, Commit, Committed, Condition, Creation, Directory, Draft, Provider,
        watcher::{Happened, Notice},
    },
    Budget, Config, Memory,
};
use crate::vfs::{
    entry::Version,
    fault::{Kind, Result},
    path::Name,
};

fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).expect("a name")
}

fn memory(quota_bytes: u64, max_entries: u64) -> (Memory, Arc<dyn Directory>) {
    let config = Config {
        quota_bytes,
        max_entries,
        ..Config::default()
    };
    let memory = Memory::new(config, Budget::new(1 << 30));
    let root = memory.root().expect("open");
    (memory, root)
}

fn draft(at: &Arc<dyn Directory>, file: &str, bytes: &[u8]) -> Result<Box<dyn Draft>> {
    let mut draft = at.create(&name(file), &Creation::default())?;
    draft.write(bytes)?;
    Ok(draft)
}

fn put(at: &Arc<dyn Directory>, file: &str, bytes: &[u8]) -> Result<Committed> {
    draft(at, file, bytes)?.commit(&Commit::default())
}

fn append(at: &Arc<dyn Directory>, file: &str, bytes: &[u8]) -> Result<Box<dyn Draft>> {
    let mut draft = at.create(
        &name(file),
        &Creation {
            append: true,
            ..Creation::default()
        },
    )?;
    draft.write(bytes)?;
    Ok(draft)
}

fn read(at: &Arc<dyn Directory>, file: &str) -> Vec<u8> {
    let file = at.open(&name(file)).expect("open");
    let mut bytes = vec![0; usize::try_from(file.attributes().expect("stat").size).expect("small")];
    let count = file.read_at(&mut bytes, 0).expect("read");
    assert_eq!(count, bytes.len());
    bytes
}

fn kind<T>(result: Result<T>) -> Kind {
    result.err().expect("refused").kind()
}

fn used(memory: &Memory) -> u64 {
    memory.usage().bytes.expect("counted")
}

#[test]
fn the_quota_holds_to_the_byte_in_content_and_in_names() {
    let (memory, root) = memory(10, 100);
    put(&root, "abc", b"1234567").expect("ten bytes");
    assert_eq!(used(&memory), 10);
    assert_eq!(kind(put(&root, "d", b"")), Kind::QuotaExceeded);
    assert_eq!(kind(root.make_dir(&name("d"), None)), Kind::QuotaExceeded);
    assert_eq!(kind(root.make_link(&name("d"), b"x")), Kind::QuotaExceeded);
    assert_eq!(kind(append(&root, "abc", b"8")), Kind::QuotaExceeded);
    assert_eq!(
        kind(root.rename(&name("abc"), &*root, &name("abcd"), true)),
        Kind::QuotaExceeded
    );
    root.rename(&name("abc"), &*root, &name("xyz"), true)
        .expect("as long as before");
    root.rename(&name("xyz"), &*root, &name("a"), true)
        .expect("shorter");
    assert_eq!(used(&memory), 8);
    append(&root, "a", b"89").expect("just fits");
    assert_eq!(
        (read(&root, "a"), used(&memory)),
        (b"123456789".to_vec(), 10)
    );
    root.remove(&name("a"), false).expect("remove");
    assert_eq!((used(&memory), memory.usage().files), (0, Some(0)));
    root.make_link(&name("l"), b"123456789").expect("just fits");
    assert_eq!(used(&memory), 10);
}

#[test]
fn a_draft_counts_as_it_grows_and_its_failure_leaves_the_old_content() {
    let (memory, root) = memory(10, 100);
    put(&root, "f", b"old").expect("put");
    let mut draft = draft(&root, "f", b"123456").expect("just fits");
    assert_eq!(kind(draft.write(b"7")), Kind::QuotaExceeded);
    assert_eq!(kind(put(&root, "g", b"")), Kind::QuotaExceeded);
    drop(draft);
    assert_eq!((read(&root, "f"), used(&memory)), (b"old".to_vec(), 4));
    let creation = Creation {
        size: Some(7),
        ..Creation::default()
    };
    assert_eq!(
        kind(root.create(&name("g"), &creation)),
        Kind::QuotaExceeded
    );
    put(&root, "f", b"123456").expect("fits beside the old content");
    assert_eq!(used(&memory), 7);
}

#[test]
fn the_root_is_not_counted_among_the_entries() {
    let (memory, root) = memory(1000, 2);
    root.make_dir(&name("a"), None).expect("one");
    put(&root, "b", b"").expect("two");
    assert_eq!(kind(put(&root, "c", b"")), Kind::QuotaExceeded);
    assert_eq!(kind(append(&root, "c", b"")), Kind::QuotaExceeded);
    put(&root, "b", b"again").expect("no entry more");
    root.rename(&name("a"), &*root, &name("c"), true)
        .expect("no entry more");
    root.remove(&name("c"), true).expect("remove");
    put(&root, "c", b"").expect("room again");
    assert_eq!(memory.usage().files, Some(2));
}

#[test]
fn a_reader_keeps_its_version_which_counts_until_it_is_closed() {
    let (memory, root) = memory(100, 10);
    put(&root, "f", b"old").expect("put");
    let file = root.open(&name("f")).expect("open");
    put(&root, "f", b"newer").expect("put");
    append(&root, "f", b"!").expect("append");
    root.remove(&name("f"), false).expect("remove");
    let mut bytes = [0; 10];
    assert_eq!(file.read_at(&mut bytes, 0).expect("read"), 3);
    assert_eq!((&bytes[..3], used(&memory)), (&b"old"[..], 3));
    drop(file);
    assert_eq!(used(&memory), 0);
}

#[test]
fn an_appended_file_keeps_its_older_versions_for_their_readers() {
    let (_memory, root) = memory(100, 10);
    put(&root, "f", b"one").expect("put");
    let first = root.open(&name("f")).expect("open");
    drop(append(&root, "f", b" two").expect("append"));
    let second = root.open(&name("f")).expect("open");
    drop(append(&root, "f", b" three").expect("append"));
    let text = |file: &Arc<dyn super::super::OpenFile>| {
        let mut bytes = [0; 100];
        let count = file.read_at(&mut bytes, 0).expect("read");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    assert_eq!(
        (text(&first), text(&second)),
        ("one".into(), "one two".into())
    );
    assert_eq!(read(&root, "f"), b"one two three");
}

#[test]
fn what_is_put_back_is_the_very_same_file() {
    let (memory, root) = memory(100, 10);
    let hold = Commit {
        hold: true,
        ..Commit::default()
    };
    put(&root, "f", b"old").expect("put");
    let before = root.lookup(&name("f")).expect("stat");

    let committed = draft(&root, "f", b"new")
        .expect("draft")
        .commit(&hold)
        .expect("commit");
    assert_ne!(committed.attributes.identity, before.identity);
    committed
        .previous
        .expect("held")
        .restore()
        .expect("restore");
    assert_eq!(root.lookup(&name("f")).expect("stat"), before);

    let committed = append(&root, "f", b" and new")
        .expect("append")
        .commit(&hold)
        .expect("commit");
    committed
        .previous
        .expect("held")
        .restore()
        .expect("restore");
    assert_eq!(
        (root.lookup(&name("f")).expect("stat"), read(&root, "f")),
        (before, b"old".to_vec())
    );

    let committed = draft(&root, "g", b"made")
        .expect("draft")
        .commit(&hold)
        .expect("commit");
    assert!(committed.created);
    committed
        .previous
        .expect("held")
        .restore()
        .expect("restore");
    assert_eq!(kind(root.lookup(&name("g"))), Kind::NotFound);

    let committed = draft(&root, "f", b"new")
        .expect("draft")
        .commit(&hold)
        .expect("commit");
    put(&root, "f", b"someone else").expect("put");
    assert_eq!(
        kind(committed.previous.expect("held").restore()),
        Kind::Changed
    );
    assert_eq!(
        (read(&root, "f"), used(&memory)),
        (b"someone else".to_vec(), 13)
    );
}

#[test]
fn the_version_is_checked_in_the_step_itself() {
    let (_memory, root) = memory(1 << 20, 10);
    put(&root, "f", b"0").expect("put");
    let at_once = |number: u8, version: Version| {
        let condition = Condition::Is(version);
        draft(&root, "f", &[number])?.commit(&Commit {
            condition,
            ..Commit::default()
        })
    };
    for round in 0..50 {
        let version = root.lookup(&name("f")).expect("stat").version;
        let won = std::thread::scope(|scope| {
            let writers = [1, 2, 3, 4].map(|number| {
                let version = version.clone();
                scope.spawn(move || at_once(number, version).is_ok())
            });
            writers
                .map(|writer| writer.join().expect("no panic"))
                .into_iter()
                .filter(|won| *won)
                .count()
        });
        assert_eq!(won, 1, "round {round}");
    }
    let mode = Changes {
        mode: Some(0o600),
        ..Changes::default()
    };
    let before = root.lookup(&name("f")).expect("stat").version;
    root.set_attributes(Some(&name("f")), &mode).expect("chmod");
    assert_eq!(
        root.lookup(&name("f")).expect("stat").version,
        before,
        "the content is the same"
    );
}

#[test]
fn all_mounts_share_one_budget_and_give_it_back() {
    let budget = Budget::new(10);
    let one = Memory::new(Config::default(), budget.clone());
    let other = Memory::new(Config::default(), budget.clone());
    let (root, elsewhere) = (one.root().expect("open"), other.root().expect("open"));
    put(&root, "f", b"12345").expect("put");
    let refused = put(&elsewhere, "f", b"12345").expect_err("over");
    assert_eq!(refused.kind(), Kind::QuotaExceeded);
    assert!(
        refused
            .detail()
            .is_some_and(|detail| detail.contains("all memory mounts"))
    );
    assert_eq!(
        kind(root.rename(&name("f"), &*elsewhere, &name("f"), true)),
        Kind::NotSupported
    );
    one.close();
    one.close();
    assert_eq!(kind(one.root()), Kind::NotFound);
    assert_eq!(read(&root, "f"), b"12345", "what was handed out goes on");
    drop(root);
    assert_eq!(budget.used(), 0);
    put(&elsewhere, "f", b"123456789").expect("there is room again");
}

#[test]
fn ten_thousand_small_files() {
    let (memory, root) = memory(64 << 20, 100_000);
    for number in 0..10_000 {
        put(&root, &format!("{number:05}"), b"content").expect("put");
    }
    assert_eq!(
        (memory.usage().files, used(&memory)),
        (Some(10_000), 120_000)
    );
    let listing = root.list(Some(&name("04999")), 2).expect("list");
    let names: Vec<_> = listing.entries.into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        (names, listing.more),
        (vec![name("05000"), name("05001")], true)
    );
    for number in 0..10_000 {
        root.remove(&name(&format!("{number:05}")), false)
            .expect("remove");
    }
    assert_eq!((memory.usage().files, used(&memory)), (Some(0), 0));
}

#[test]
fn a_removed_directory_takes_nothing_more() {
    let (_memory, root) = memory(100, 10);
    root.make_dir(&name("d"), None).expect("make");
    let (inside, taken) = root
        .descend(&[name("d"), name("missing")])
        .expect("descend");
    assert_eq!(taken, 1);
    let late = draft(&inside, "f", b"x").expect("draft");
    root.remove(&name("d"), true).expect("remove");
    assert_eq!(kind(late.commit(&Commit::default())), Kind::NotFound);
    assert_eq!(kind(put(&inside, "f", b"x")), Kind::NotFound);
    assert_eq!(kind(inside.make_dir(&name("e"), None)), Kind::NotFound);
    root.make_dir(&name("d"), None).expect("make");
    assert_eq!(
        kind(inside.attributes()),
        Kind::NotFound,
        "the new one is another"
    );
}

#[test]
fn who_does_not_listen_is_told_that_there_was_more() {
    let (memory, root) = memory(1 << 20, 10);
    let watcher = memory.watcher().expect("told").expect("it changes");
    let key = watcher.add(&*root).expect("add");
    for _ in 0..20_000 {
        put(&root, "f", b"x").expect("put");
    }
    let mut notices = Vec::new();
    watcher.take(&mut notices).expect("take");
    assert_eq!(notices, [Notice::Overflow]);
    notices.clear();
    root.remove(&name("f"), false).expect("remove");
    watcher.take(&mut notices).expect("take");
    let removed = Notice::Entry {
        key,
        name: Some(name("f")),
        happened: Happened::Removed,
    };
    assert_eq!(notices, [removed], "from there on it is told again");
    memory.close();
    drop(root);
    assert_eq!(used(&memory), 0, "a watcher does not keep what it watches");
    drop(watcher);
}
