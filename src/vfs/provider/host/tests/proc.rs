//! `/proc`: links that are none, files without size, and our own entry.

use std::fs;

use super::*;
use crate::{
    sys::fs::{PROC, file_system},
    vfs::entry::EntryKind,
};

fn own() -> String {
    std::process::id().to_string()
}

fn at(top: &Arc<dyn Directory>, path: &str) -> Arc<dyn Directory> {
    let (reached, taken) = top.descend(&names(path)).expect("descended");
    assert_eq!(taken, names(path).len(), "{path}");
    reached
}

/// From `/`, where `/proc` is a mount below, and from `/proc` itself.
fn each(mut check: impl FnMut(&Arc<dyn Directory>, &str)) {
    for resolver in BOTH {
        let root = top_with(Path::new("/"), Reserved::default(), resolver);
        check(&root, "proc/");
        check(
            &top_with(Path::new("/proc"), Reserved::default(), resolver),
            "",
        );
    }
}

#[test]
fn links_of_processes_are_magic_and_never_followed() {
    each(|top, proc| {
        let parent = std::os::unix::process::parent_id();
        let process = at(top, &format!("{proc}{parent}"));
        for link in ["cwd", "exe", "root"] {
            let found = process.lookup(&name(link)).expect("looked up");
            assert!(found.magic && found.target.is_none(), "{link}");
            assert_eq!(kind(process.open(&name(link))), Kind::MagicLink, "{link}");
            assert_eq!(process.descend(&names(link)).expect("asked").1, 0, "{link}");
        }
        let namespaces = at(top, &format!("{proc}{parent}/ns"));
        assert!(namespaces.lookup(&name("mnt")).expect("looked up").magic);
    });
}

#[test]
fn links_in_its_root_are_links() {
    each(|top, proc| {
        let root = at(top, proc);
        let link = root.lookup(&name("self")).expect("looked up");
        assert_eq!(link.target.as_deref(), Some(own().as_bytes()));
        assert_eq!((link.magic, link.size), (false, own().len() as u64));
        let mounts = root.lookup(&name("mounts")).expect("looked up");
        assert_eq!(mounts.target.as_deref(), Some(&b"self/mounts"[..]));
    });
}

#[test]
fn our_own_entry_shows_what_is_harmless() {
    each(|top, proc| {
        let root = at(top, proc);
        assert_eq!(kind(root.lookup(&name(own()))), Kind::Reserved);
        let entry = at(top, &format!("{proc}{}", own()));
        assert_eq!(kind(entry.list(None, usize::MAX)), Kind::Reserved);
        for secret in ["environ", "mem", "maps", "ns", "cmdline", "task", "missing"] {
            assert_eq!(
                kind(entry.lookup(&name(secret))),
                Kind::Reserved,
                "{secret}"
            );
            assert_eq!(kind(entry.open(&name(secret))), Kind::Reserved, "{secret}");
        }
        for magic in ["fd", "cwd", "exe", "root"] {
            assert_eq!(kind(entry.lookup(&name(magic))), Kind::MagicLink, "{magic}");
            assert_eq!(kind(entry.open(&name(magic))), Kind::MagicLink, "{magic}");
            assert_eq!(
                kind(entry.descend(&names(magic))),
                Kind::MagicLink,
                "{magic}"
            );
        }
        assert_eq!(kind(entry.descend(&names("ns"))), Kind::Reserved);
        for open in ["mounts", "mountinfo", "status", "limits"] {
            assert!(!read(&*entry, open).expect("read").is_empty(), "{open}");
        }
        assert!(!read(&*at(&entry, "net"), "dev").expect("read").is_empty());
    });
}

#[test]
fn our_threads_are_ourselves() {
    let thread = fs::read_link("/proc/thread-self").expect("a link");
    let thread = thread
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    each(|top, proc| {
        let root = at(top, proc);
        assert_eq!(kind(root.lookup(&name(&thread))), Kind::Reserved);
        for path in [
            format!("{proc}{thread}"),
            format!("{proc}{}/task/{thread}", own()),
        ] {
            let entry = at(top, &path);
            assert_eq!(kind(entry.open(&name("environ"))), Kind::Reserved, "{path}");
            assert_eq!(kind(entry.descend(&names("fd"))), Kind::MagicLink, "{path}");
            assert!(!read(&*entry, "status").expect("read").is_empty(), "{path}");
        }
        let threads = at(top, &format!("{proc}{}/task", own()));
        assert_eq!(kind(threads.list(None, usize::MAX)), Kind::Reserved);
        assert_eq!(kind(threads.lookup(&name(&thread))), Kind::Reserved);
    });
}

#[test]
fn a_mount_inside_our_own_entry_is_ours() {
    for path in [
        format!("/proc/{}", own()),
        "/proc/self/fd".to_owned(),
        "/proc/thread-self".to_owned(),
    ] {
        let top = top(Path::new(&path));
        assert_eq!(kind(top.lookup(&name("environ"))), Kind::Reserved, "{path}");
        assert_eq!(kind(top.list(None, usize::MAX)), Kind::Reserved, "{path}");
    }
}

#[test]
fn files_without_size_are_read_to_their_end() {
    each(|top, proc| {
        let root = at(top, proc);
        let file = root.open(&name("version")).expect("opened");
        assert!(file.is_endless());
        assert_eq!(file.attributes().expect("looked up").size, 0);
        let bytes = read(&*root, "version").expect("read");
        assert_eq!(bytes, fs::read("/proc/version").expect("read"));
        let kernel = at(&root, "sys/kernel");
        assert!(!read(&*kernel, "ostype").expect("read").is_empty());
    });
    let top = top(Path::new("/"));
    if file_system(fs::File::open("/sys").expect("opened")).expect("asked") != PROC {
        let system = at(&top, "sys/kernel");
        assert_eq!(system.attributes().expect("looked up").kind, EntryKind::Dir);
    }
}

#[test]
fn one_file_system_ends_where_another_begins() {
    for resolver in BOTH {
        let root = HostRoot::Path("/".into());
        let options = Options {
            one_file_system: true,
        };
        let host =
            Host::open(root, options, Arc::default(), resolver, Notes::none()).expect("opened");
        let top = host.root().expect("a root");
        assert_eq!(kind(top.descend(&names("proc/sys"))), Kind::OutsideMount);
        assert_eq!(
            top.lookup(&name("proc")).expect("looked up").kind,
            EntryKind::Dir
        );
        assert_eq!(top.descend(&names("usr/bin")).expect("descended").1, 2);
    }
}
