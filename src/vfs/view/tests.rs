//! The walk over trees of memory and host mounts.

mod escapes;

use std::{fs, os::unix::fs::symlink, path::Path};

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::vfs::{
    provider::{
        Provider,
        host::{Host, HostRoot, Notes, Options, Reserved, Resolver},
        memory::{Budget, Config, Memory},
    },
    table::{Label, Mode, TableError},
};

fn memory() -> Arc<dyn Provider> {
    Arc::new(Memory::new(Config::default(), Budget::new(1 << 20)))
}

fn host(root: &Path, resolver: Resolver) -> Arc<dyn Provider> {
    let reserved = Arc::new(Reserved::default());
    let root = HostRoot::Path(root.to_owned());
    let host = Host::open(root, Options::default(), reserved, resolver, Notes::none());
    Arc::new(host.expect("a directory"))
}

fn mount(at: &str, provider: &Arc<dyn Provider>) -> Arc<Mount> {
    let label = Label {
        provider: "test",
        source: String::new(),
        options: Vec::new(),
        mode: Mode::ReadWrite,
        keep: false,
        fixed: false,
    };
    let at = TreePath::parse(at.as_bytes()).expect("a path");
    Arc::new(Mount::new(Uuid::now_v7(), at, label, Arc::clone(provider)))
}

fn tree(mounts: &[(&str, &Arc<dyn Provider>)]) -> View {
    let table = mounts
        .iter()
        .fold(Table::default(), |table, (at, provider)| {
            table.with(mount(at, provider)).expect("a place")
        });
    View::new(Arc::new(table))
}

fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).expect("a name")
}

/// Directories end with a slash, links have an arrow, the rest are files.
fn fill(provider: &Arc<dyn Provider>, entries: &[&str]) {
    for entry in entries {
        let (path, target) = match entry.split_once(" -> ") {
            Some((path, target)) => (path, Some(target)),
            None => (*entry, None),
        };
        let directory = path.ends_with('/');
        let mut names: Vec<Name> = path.trim_matches('/').split('/').map(name).collect();
        let last = names.pop().expect("a name");
        let (parent, taken) = provider
            .root()
            .expect("a root")
            .descend(&names)
            .expect("there");
        assert_eq!(taken, names.len(), "{entry}");
        match target {
            Some(target) => parent.make_link(&last, target.as_bytes()),
            None if directory => parent.make_dir(&last, None),
            None => parent
                .create(&last, &crate::vfs::provider::Creation::default())
                .and_then(|draft| draft.commit(&crate::vfs::provider::Commit::default()))
                .map(drop),
        }
        .expect("made");
    }
}

/// Where a path leads: its resolved path, with `?` when nothing is there; or the kind of failure.
fn leads(view: &View, path: &str) -> Result<String, Kind> {
    let path = ClientPath::parse(path.as_bytes()).expect("a path");
    match view.resolve(&path, Last::Follow) {
        Ok(place) => {
            let missing = if place.found.is_none() { "?" } else { "" };
            Ok(format!("{}{missing}", place.path))
        }
        Err(fault) => Err(fault.kind()),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as what it is compared with")]
fn at(path: &str) -> Result<String, Kind> {
    Ok(path.to_owned())
}

#[test]
fn the_longest_prefix_by_whole_names_serves() {
    let (root, inner) = (memory(), memory());
    fill(&root, &["a/", "a/bc/", "a/b/", "a/b/hidden"]);
    fill(&inner, &["own"]);
    let view = tree(&[("/", &root), ("/a/b", &inner)]);
    let mount = |path: &str| {
        let path = ClientPath::parse(path.as_bytes()).expect("a path");
        view.resolve(&path, Last::Keep)
            .expect("resolved")
            .mount
            .at()
            .to_bytes()
    };
    assert_eq!(mount("/a/bc"), b"/");
    assert_eq!(mount("/a/b"), b"/a/b");
    assert_eq!(mount("/a/b/own"), b"/a/b");
    assert_eq!(leads(&view, "/a/b/hidden"), at("/a/b/hidden?"));
}

#[test]
fn links_lead_from_every_mount_into_every_other() {
    let (root, inner, deep) = (memory(), memory(), memory());
    fill(
        &root,
        &["d/", "d/file", "in -> /m/file", "deep -> m/n/x/../file"],
    );
    fill(
        &inner,
        &[
            "file",
            "up -> ../d/file",
            "abs -> /d/file",
            "n/",
            "down -> n/file",
        ],
    );
    fill(
        &deep,
        &[
            "file",
            "x/",
            "out -> ../../d",
            "mid -> ../file",
            "self -> /m/n/file",
        ],
    );
    let view = tree(&[("/", &root), ("/m", &inner), ("/m/n", &deep)]);
    for (path, due) in [
        ("/in", "/m/file"),
        ("/deep", "/m/n/file"),
        ("/m/up", "/d/file"),
        ("/m/abs", "/d/file"),
        ("/m/down", "/m/n/file"),
        ("/m/n/out/file", "/d/file"),
        ("/m/n/mid", "/m/file"),
        ("/m/n/self", "/m/n/file"),
    ] {
        assert_eq!(leads(&view, path), at(due), "{path}");
    }
}

#[test]
fn up_leads_to_the_parent_in_the_tree_and_stops_at_the_root() {
    let (root, inner) = (memory(), memory());
    fill(&root, &["a/", "a/b/", "a/side", "l -> a/b", "f"]);
    fill(&inner, &["c/", "c/d/"]);
    let view = tree(&[("/", &root), ("/a/b/m", &inner)]);
    for (path, due) in [
        ("/..", at("/")),
        ("/../../a/../a", at("/a")),
        ("/a/b/m/..", at("/a/b")),
        ("/a/b/m/../../side", at("/a/side")),
        ("/a/b/m/c/d/../../..", at("/a/b")),
        ("/a/b/m/c/d/../../../../..", at("/")),
        // After the link, not before it.
        ("/l/../side", at("/a/side")),
        ("/l/m/../../side", at("/a/side")),
        // What is missing is cancelled.
        ("/a/none/../side", at("/a/side")),
        ("/a/none/x/../y", at("/a/none/y?")),
        ("/f/../a", Err(Kind::NotADirectory)),
    ] {
        assert_eq!(leads(&view, path), due, "{path}");
    }
}

#[test]
fn forty_links_are_followed_and_no_more_across_mounts_too() {
    let (root, inner) = (memory(), memory());
    let chain = |there: &str, count: usize| -> Vec<String> {
        let link = |number| match number {
            1 => format!("l{number} -> {there}"),
            _ => format!("l{number} -> l{}", number - 1),
        };
        (1..=count).map(link).collect()
    };
    fill(&root, &["file", "me -> me"]);
    let first = chain("/m/l20", 21);
    fill(&root, &first.iter().map(String::as_str).collect::<Vec<_>>());
    let second = chain("/file", 20);
    fill(
        &inner,
        &second.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    let view = tree(&[("/", &root), ("/m", &inner)]);
    assert_eq!(leads(&view, "/l20"), at("/file"));
    assert_eq!(leads(&view, "/l21"), Err(Kind::Loop));
    assert_eq!(leads(&view, "/me"), Err(Kind::Loop));
    assert_eq!(leads(&view, "/me/x"), Err(Kind::Loop));
}

#[test]
fn what_must_exist_above_a_mount_point_is_made_up() {
    let inner = memory();
    fill(&inner, &["f"]);
    let view = tree(&[("/a/b", &inner)]);
    assert_eq!(leads(&view, "/a/b/f"), at("/a/b/f"));
    assert_eq!(leads(&view, "/a/b/../b/f"), at("/a/b/f"));
    for outside in ["/x", "/a/x", "/a/bc", "/a/b/../../etc/passwd"] {
        assert_eq!(leads(&view, outside), Err(Kind::OutsideMount), "{outside}");
    }
    let path = ClientPath::parse(b"/a").expect("a path");
    let place = view.resolve(&path, Last::Keep).expect("made up");
    assert_eq!(place.found.as_ref().expect("there").mode, 0o555);
    assert!(!place.mount.is_writable());
    let opened = place.open_directory("list").expect("opened");
    let listing = view.list(&opened, None, usize::MAX).expect("listed");
    assert_eq!(listing.entries, [(name("b"), EntryKind::Dir)]);
}

#[test]
fn what_a_mount_covers_is_hidden_a_file_and_a_link_too() {
    let (root, inner) = (memory(), memory());
    fill(
        &root,
        &[
            "file",
            "link -> /other",
            "other/",
            "other/x",
            "dir/",
            "dir/x",
        ],
    );
    fill(&inner, &["own"]);
    let view = tree(&[
        ("/", &root),
        ("/file", &inner),
        ("/link", &inner),
        ("/dir/x/y", &inner),
    ]);
    assert_eq!(leads(&view, "/file/own"), at("/file/own"));
    assert_eq!(leads(&view, "/link/own"), at("/link/own"));
    assert_eq!(leads(&view, "/link/x"), at("/link/x?"));
    // A file on the way to a mount point is hidden by the directory that must be there.
    assert_eq!(leads(&view, "/dir/x/y/own"), at("/dir/x/y/own"));
    let top = view.open_directory(&ClientPath::parse(b"/").expect("a path"), "list");
    let listing = view
        .list(&top.expect("the root"), None, usize::MAX)
        .expect("listed");
    let kind = |wanted: &str| {
        let mut all = listing
            .entries
            .iter()
            .filter(|(there, _)| *there == name(wanted));
        let first = all.next().expect("listed").1;
        assert!(all.next().is_none(), "{wanted} once");
        first
    };
    assert_eq!(kind("file"), EntryKind::Dir);
    assert_eq!(kind("link"), EntryKind::Dir);
}

#[test]
fn the_last_link_is_kept_when_it_is_asked_for() {
    let root = memory();
    fill(&root, &["d/", "l -> d", "dangling -> no/such"]);
    let view = tree(&[("/", &root)]);
    let keep = |path: &[u8]| {
        let path = ClientPath::parse(path).expect("a path");
        let place = view.resolve(&path, Last::Keep).expect("resolved");
        place.found.expect("there").kind
    };
    assert_eq!(keep(b"/l"), EntryKind::Symlink);
    assert_eq!(keep(b"/l/"), EntryKind::Symlink);
    assert_eq!(keep(b"/dangling"), EntryKind::Symlink);
    assert_eq!(leads(&view, "/dangling"), at("/no/such?"));
    assert_eq!(leads(&view, "/l/new"), at("/d/new?"));
}

#[test]
fn a_table_refuses_what_is_taken_and_what_is_too_much() {
    let provider = memory();
    let table = (0..64).fold(Table::default(), |table, number| {
        table
            .with(mount(&format!("/{number}"), &provider))
            .expect("a place")
    });
    assert!(matches!(
        table.with(mount("/7", &provider)),
        Err(TableError::Taken(_))
    ));
    assert_eq!(
        table.with(mount("/x", &provider)).map(drop),
        Err(TableError::Full)
    );
}

/// What a forest is made of: kind, name, and what a link says.
fn forest() -> impl Strategy<Value = Vec<(u8, u8, u8, String)>> {
    let target =
        prop::collection::vec("(a|b|c|\\.\\.|m|\\.)", 1..5).prop_map(|parts| parts.join("/"));
    let target = (any::<bool>(), target)
        .prop_map(|(root, text)| if root { format!("/{text}") } else { text });
    prop::collection::vec((0_u8..3, 0_u8..3, 0_u8..4, target), 0..24)
}

fn plant(root: &Path, forest: &[(u8, u8, u8, String)]) {
    let mut directories = vec![root.to_owned()];
    for (kind, letter, parent, target) in forest {
        let parent = directories[usize::from(*parent) % directories.len()].clone();
        let path = parent.join(["a", "b", "c"][usize::from(*letter)]);
        if path.symlink_metadata().is_ok() {
            continue;
        }
        match kind {
            0 => {
                fs::create_dir(&path).expect("made");
                directories.push(path);
            }
            1 => fs::write(&path, "x").expect("written"),
            _ => symlink(target, &path).expect("linked"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn both_resolvers_agree_on_every_forest(
        outer in forest(),
        inner in forest(),
        paths in prop::collection::vec("(/(a|b|c|m|\\.\\.)){1,7}", 1..24),
    ) {
        let (first, second) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        plant(first.path(), &outer);
        plant(second.path(), &inner);
        let view = |resolver| {
            let (outer, inner) = (host(first.path(), resolver), host(second.path(), resolver));
            tree(&[("/", &outer), ("/a/m", &inner), ("/m", &inner)])
        };
        let (one_step, walk) = (view(Resolver::Auto), view(Resolver::Walk));
        for path in &paths {
            prop_assert_eq!(leads(&one_step, path), leads(&walk, path), "{}", path);
        }
    }

    #[test]
    fn one_mount_leads_where_the_kernel_leads(forest in forest(), paths in prop::collection::vec("(/(a|b|c|\\.\\.)){1,7}", 1..24)) {
        let root = tempfile::tempdir().expect("a directory");
        plant(root.path(), &forest);
        let provider = host(root.path(), Resolver::Auto);
        let view = tree(&[("/", &provider)]);
        let root = fs::File::open(root.path()).expect("opened");
        for path in &paths {
            // What the tree finds besides lies behind names that are missing, which `..` cancels there.
            let Some(kernel) = in_root(&root, path) else { continue };
            let path = ClientPath::parse(path.as_bytes()).expect("a path");
            let place = view.resolve(&path, Last::Follow).expect("resolved");
            prop_assert_eq!(place.found.expect("there").identity.inode, kernel, "{:?}", path);
        }
    }
}

/// What the kernel finds at a path in a root of its own.
fn in_root(root: &fs::File, path: &str) -> Option<u64> {
    use rustix::fs::{Mode, OFlags, ResolveFlags};
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let found =
        rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT).ok()?;
    Some(rustix::fs::fstat(&found).ok()?.st_ino)
}
