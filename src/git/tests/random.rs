//! Random trees and edits: what a scan says is what git says, and what a kept one says is what a new one says.

use std::collections::BTreeSet;

use proptest::{prelude::*, sample::select};

use super::{Repo, agrees, guard, scan};
use crate::git::{Extent, Order};

/// One thing that is done to a repository.
#[derive(Clone, Debug)]
enum Step {
    Write(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    Link(Vec<u8>),
    Mode(Vec<u8>, u32),
    Stage(Vec<u8>),
    StageAll,
    Unstage(Vec<u8>),
    Commit,
    Move(Vec<u8>, Vec<u8>),
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    let names: Vec<&'static [u8]> =
        vec![b"a", b"a.txt", b"b c", b"d", b"\xff", b"q\"", b"e-f", b"z"];
    prop::collection::vec(select(names), 1..4).prop_map(|names| names.join(&b'/'))
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let lines: Vec<&'static [u8]> = vec![
        b"alpha\n",
        b"  beta\n",
        b"gamma\r\n",
        b"\n",
        b"}\n",
        b"int f(void)\n",
        b"\xe4\n",
        b"end",
        b"zero\0\n",
    ];
    let weighted = prop_oneof![20 => select(lines[..7].to_vec()), 1 => select(lines[7..].to_vec())];
    prop::collection::vec(weighted, 0..40).prop_map(|lines| lines.concat())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (path(), content()).prop_map(|(path, content)| Step::Write(path, content)),
        2 => path().prop_map(Step::Remove),
        1 => path().prop_map(Step::Link),
        1 => (path(), select(vec![0o644, 0o755])).prop_map(|(path, mode)| Step::Mode(path, mode)),
        2 => path().prop_map(Step::Stage),
        1 => Just(Step::StageAll),
        1 => path().prop_map(Step::Unstage),
        1 => Just(Step::Commit),
        2 => (path(), path()).prop_map(|(from, to)| Step::Move(from, to)),
    ]
}

/// Does it where it can be done; gives the paths that it touched.
fn perform(repo: &Repo, step: &Step) -> Vec<Vec<u8>> {
    use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt};
    let git = |arguments: &[&str], path: &[u8]| {
        let mut all: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        all.extend([OsStr::new("--"), OsStr::from_bytes(path)]);
        super::repo::run(&repo.path(), &all);
    };
    let make_room = |path: &[u8]| {
        repo.at(path)
            .parent()
            .is_some_and(|parent| fs::create_dir_all(parent).is_ok())
    };
    match step {
        Step::Write(path, content) => {
            if make_room(path) {
                let _ = fs::write(repo.at(path), content);
            }
            vec![path.clone()]
        }
        Step::Remove(path) => {
            let _ = fs::remove_file(repo.at(path)).or_else(|_| fs::remove_dir_all(repo.at(path)));
            vec![path.clone()]
        }
        Step::Link(path) => {
            if make_room(path) {
                let _ = std::os::unix::fs::symlink("no/where", repo.at(path));
            }
            vec![path.clone()]
        }
        Step::Mode(path, mode) => {
            if repo
                .at(path)
                .symlink_metadata()
                .is_ok_and(|metadata| metadata.is_file())
            {
                repo.mode(path, *mode);
            }
            vec![path.clone()]
        }
        Step::Move(from, to) => {
            if make_room(to) {
                let _ = fs::rename(repo.at(from), repo.at(to));
            }
            vec![from.clone(), to.clone()]
        }
        Step::Stage(path) => {
            git(&["add"], path);
            vec![]
        }
        Step::Unstage(path) => {
            git(&["rm", "-rq", "--cached", "--ignore-unmatch"], path);
            vec![]
        }
        Step::StageAll => {
            repo.git(&["add", "-A"]);
            vec![]
        }
        Step::Commit => {
            repo.git(&["commit", "-q", "--allow-empty", "-m", "x"]);
            vec![]
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn scans_say_what_git_says(steps in prop::collection::vec(step(), 1..30)) {
        let repo = Repo::new();
        let mut kept = scan(&repo);
        for part in steps.chunks(10) {
            let touched: BTreeSet<Vec<u8>> = part.iter().flat_map(|step| perform(&repo, step)).collect();
            let full = agrees(&repo);
            let partial = kept.run(&Extent::Paths(touched), &Order::default(), &guard()).expect("a scan");
            prop_assert_eq!(super::text(&partial.diff), super::text(&full.diff));
            prop_assert_eq!(&partial.files, &full.files);
        }
    }
}
