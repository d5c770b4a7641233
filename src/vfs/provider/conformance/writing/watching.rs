//! What watchers tell.

use super::{
    super::{name, reading::enter},
    Root, kind, put,
};
use crate::vfs::{
    fault::Kind,
    provider::{
        Capabilities, Changes, Creation, Provider,
        watcher::{Happened, Notice, WatchKey, Watcher},
    },
};

/// What a watcher told of a name since it was last asked: appeared, changed, attributes, gone.
fn told_of(watcher: &dyn Watcher, key: WatchKey, file: &str) -> Vec<&'static str> {
    let mut notices = Vec::new();
    let mut words = Vec::new();
    watcher.take(&mut notices).expect("take");
    for notice in notices {
        match notice {
            Notice::Overflow => panic!("so few are kept"),
            Notice::Entry {
                key: of,
                name: found,
                happened,
            } if of == key => {
                let word = match happened {
                    Happened::Created { .. } | Happened::MovedTo { .. } => "appeared",
                    Happened::Modified => "changed",
                    Happened::Attributes => "attributes",
                    Happened::Removed | Happened::MovedFrom(_) => "gone",
                    Happened::Gone => "itself gone",
                };
                let ours = found
                    .as_ref()
                    .map_or(happened == Happened::Gone, |found| *found == name(file));
                if ours && words.last() != Some(&word) {
                    words.push(word);
                }
            }
            Notice::Entry { .. } => {}
        }
    }
    words
}

/// What is done by our own verbs is told at once.
pub(super) fn watching(provider: &dyn Provider, root: &Root) {
    let told = provider.capabilities();
    if !told.watch {
        assert_eq!(kind(provider.watcher()), Kind::NotSupported);
        return;
    }
    let watcher = provider
        .watcher()
        .expect("it is told")
        .expect("it can be written to");
    root.make_dir(&name("d"), None).expect("make");
    let directory = enter(root, "d");
    let key = watcher.add(&*directory).expect("add");
    assert_eq!(
        watcher.add(&*enter(root, "d")).expect("again"),
        key,
        "one directory has one key"
    );
    files(root, &directory, told, &|file| {
        told_of(&*watcher, key, file)
    });
    put(root, "elsewhere", b"");
    directory.make_dir(&name("below"), None).expect("make");
    put(&enter(root, "d/below"), "f", b"");
    let next = |file| told_of(&*watcher, key, file);
    assert_eq!(next("f"), [""; 0], "what is below is not told");
    watcher.forget(key);
    put(&directory, "f", b"");
    // The machine says that the watch itself is gone.
    let told = next("f");
    assert!(
        told.iter().all(|word| *word == "itself gone"),
        "it is forgotten: {told:?}"
    );
    enter(root, "d/below")
        .remove(&name("f"), false)
        .expect("remove");
    directory.remove(&name("f"), false).expect("remove");
    directory.remove(&name("below"), true).expect("remove");
    let key = watcher.add(&*directory).expect("add");
    // On the machine a directory that is held open is not gone.
    drop(directory);
    root.remove(&name("d"), true).expect("remove");
    assert!(told_of(&*watcher, key, "d").contains(&"itself gone"));
}

/// What is told of the files of a directory.
fn files(
    root: &Root,
    directory: &Root,
    told: Capabilities,
    next: &dyn Fn(&str) -> Vec<&'static str>,
) {
    put(directory, "f", b"one");
    assert_eq!(next("f"), ["appeared"]);
    put(directory, "f", b"two");
    let words = next("f");
    assert!(
        words == ["changed"] || words == ["appeared"],
        "replaced by either way: {words:?}"
    );
    let append = Creation {
        append: true,
        ..Creation::default()
    };
    directory
        .create(&name("f"), &append)
        .expect("open")
        .write(b"more")
        .expect("write");
    assert!(next("f").contains(&"changed"));
    if told.modes {
        let mode = Changes {
            mode: Some(0o600),
            ..Changes::default()
        };
        directory
            .set_attributes(Some(&name("f")), &mode)
            .expect("chmod");
        assert_eq!(next("f"), ["attributes"]);
    }
    directory
        .rename(&name("f"), &**root, &name("g"), false)
        .expect("rename");
    assert_eq!(next("f"), ["gone"]);
    root.rename(&name("g"), &**directory, &name("f"), false)
        .expect("rename");
    directory.remove(&name("f"), false).expect("remove");
    assert_eq!(next("f"), ["appeared", "gone"]);
}
