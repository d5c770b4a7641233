//! Walks through directories of the machine.

use std::{fs, path::Path};

use super::*;
use crate::vfs::{
    ignore::selection,
    path::ClientPath,
    provider::host::{Host, HostRoot, Notes, Options as HostOptions, Reserved, Resolver},
    table::{Label, Mode, Table},
};

fn view(root: &Path) -> View {
    let reserved = Arc::new(Reserved::default());
    let host = Host::open(
        HostRoot::Path(root.to_owned()),
        HostOptions::default(),
        reserved,
        Resolver::Auto,
        Notes::none(),
    );
    let label = Label {
        provider: "host",
        source: String::new(),
        options: Vec::new(),
        mode: Mode::ReadWrite,
        keep: false,
        fixed: true,
    };
    let host = Arc::new(host.expect("a directory"));
    let mount = Mount::new(uuid::Uuid::now_v7(), TreePath::root(), label, host);
    View::new(Arc::new(
        Table::default().with(Arc::new(mount)).expect("a place"),
    ))
}

fn open(view: &View, path: &str) -> Opened {
    let path = ClientPath::parse(path.as_bytes()).expect("a path");
    view.open_directory(&path, "open").expect("opened")
}

fn all(traversal: Traversal) -> Vec<String> {
    traversal
        .map(|found| found.expect("no failure"))
        .filter(|found| found.selected)
        .map(|found| found.path().to_string())
        .collect()
}

fn begin(view: &View, path: &str, options: Options) -> Traversal {
    Traversal::new(view.clone(), open(view, path), options).expect("begun")
}

fn plant(root: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("made");
        fs::write(path, text).expect("written");
    }
}

#[test]
fn each_directory_comes_before_its_contents_in_any_order() {
    let root = tempfile::tempdir().expect("a directory");
    plant(
        root.path(),
        &[("b/x", "1"), ("b/c/y", "22"), ("a", "333"), ("d", "")],
    );
    let view = view(root.path());
    let listed = |order, depth| {
        all(begin(
            &view,
            "/",
            Options {
                depth,
                order,
                ..Options::default()
            },
        ))
    };
    let order = |by, reverse, dirs_first| Order {
        by,
        reverse,
        dirs_first,
    };
    assert_eq!(
        listed(Order::default(), 9),
        ["/a", "/b", "/b/c", "/b/c/y", "/b/x", "/d"]
    );
    assert_eq!(
        listed(order(SortBy::Name, true, false), 1),
        ["/d", "/b", "/a"]
    );
    assert_eq!(
        listed(order(SortBy::Name, true, true), 2),
        ["/b", "/b/c", "/b/x", "/d", "/a"]
    );
    let by_size = listed(order(SortBy::Size, false, true), 1);
    assert_eq!(by_size, ["/b", "/d", "/a"]);
    assert_eq!(
        listed(order(SortBy::Type, false, false), 1),
        ["/a", "/d", "/b"]
    );
}

#[test]
fn it_goes_on_after_any_entry_also_when_that_is_gone() {
    let root = tempfile::tempdir().expect("a directory");
    plant(
        root.path(),
        &[
            ("a/1", ""),
            ("a/2/x", ""),
            ("a/3", ""),
            ("b", ""),
            ("c/d/e/f", ""),
            ("g", ""),
        ],
    );
    let view = view(root.path());
    for by in [SortBy::Name, SortBy::Size, SortBy::Mtime, SortBy::Type] {
        for reverse in [false, true] {
            let order = Order {
                by,
                reverse,
                dirs_first: reverse,
            };
            let options = Options {
                order,
                ..Options::default()
            };
            let whole = all(begin(&view, "/", options.clone()));
            for taken in 1..=whole.len() {
                let mut first = begin(&view, "/", options.clone());
                let head: Vec<String> = Iterator::take(&mut first, taken)
                    .map(|found| found.expect("no failure").path().to_string())
                    .collect();
                let position = first.position();
                let rest =
                    Traversal::resume(view.clone(), open(&view, "/"), options.clone(), &position);
                let rest = all(rest.expect("resumed"));
                assert_eq!([head, rest].concat(), whole, "{by:?} {reverse} {taken}");
            }
        }
    }
    let mut first = begin(&view, "/", Options::default());
    let third = first
        .by_ref()
        .nth(2)
        .expect("an entry")
        .expect("no failure");
    assert_eq!(third.path().to_string(), "/a/2");
    let position = first.position();
    fs::remove_dir_all(root.path().join("a")).expect("removed");
    let rest = Traversal::resume(
        view.clone(),
        open(&view, "/"),
        Options::default(),
        &position,
    );
    assert_eq!(
        all(rest.expect("resumed")),
        ["/b", "/c", "/c/d", "/c/d/e", "/c/d/e/f", "/g"]
    );
}

#[test]
fn the_rules_of_gitignore_hold_from_above_and_below() {
    let root = tempfile::tempdir().expect("a directory");
    plant(
        root.path(),
        &[
            (".gitignore", "outer\n"),
            ("repo/.git/info/exclude", "excluded\n"),
            (
                "repo/.gitignore",
                "*.log\n/top\n# comment\nbuild/\n!keep.log\n",
            ),
            ("repo/sub/.gitignore", "!again.log\nlocal\n"),
            ("repo/sub/.ignore", "again.log\n"),
            ("repo/sub/a.log", ""),
            ("repo/sub/keep.log", ""),
            ("repo/sub/again.log", ""),
            ("repo/sub/local", ""),
            ("repo/sub/top", ""),
            ("repo/sub/outer", ""),
            ("repo/sub/excluded", ""),
            ("repo/sub/build/x", ""),
            ("repo/sub/.hidden", ""),
            ("repo/sub/file", ""),
        ],
    );
    let view = view(root.path());
    let options = Options {
        ignore: true,
        hidden: false,
        ..Options::default()
    };
    let below = [
        "/repo/sub/file",
        "/repo/sub/keep.log",
        "/repo/sub/outer",
        "/repo/sub/top",
    ];
    assert_eq!(all(begin(&view, "/repo/sub", options.clone())), below);
    let options = Options {
        hidden: true,
        ..options
    };
    let listed = all(begin(&view, "/repo", options));
    assert!(
        !listed
            .iter()
            .any(|path| path.contains("/.git/") || path.ends_with("/.git")),
        "{listed:?}"
    );
    assert!(
        listed.contains(&"/repo/sub/.hidden".to_owned()),
        "{listed:?}"
    );
}

#[test]
fn globs_choose_and_exclude() {
    let root = tempfile::tempdir().expect("a directory");
    plant(
        root.path(),
        &[
            ("a/b.rs", ""),
            ("a/c.txt", ""),
            ("d.rs", ""),
            ("e/d.rs", ""),
        ],
    );
    let view = view(root.path());
    let chosen = |globs: &[&str]| {
        let globs: Vec<String> = globs.iter().map(ToString::to_string).collect();
        let selection = selection(&TreePath::root(), &globs).expect("good globs");
        all(begin(
            &view,
            "/",
            Options {
                selection,
                ..Options::default()
            },
        ))
    };
    assert_eq!(chosen(&["*.rs"]), ["/a/b.rs", "/d.rs", "/e/d.rs"]);
    assert_eq!(chosen(&["*.rs", "!e"]), ["/a/b.rs", "/d.rs"]);
    assert_eq!(chosen(&["/a/*.{rs,txt}"]), ["/a/b.rs", "/a/c.txt"]);
    assert_eq!(chosen(&["!*.rs"]), ["/a", "/a/c.txt", "/e"]);
    assert!(selection(&TreePath::root(), &["[".to_owned(), "{".to_owned()]).is_err());
}
