//! Both resolvers on generated trees of directories, files and links.

use std::{fs, os::unix::fs::symlink, path::Path};

use proptest::prelude::*;

use super::*;

const WORDS: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Clone, Debug)]
enum Grown {
    Dir(Vec<usize>),
    File(Vec<usize>),
    Link(Vec<usize>, String),
}

fn path() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..WORDS.len(), 1..6)
}

fn grown() -> impl Strategy<Value = Grown> {
    let target = prop::sample::select(vec![
        "a", "../a", "b/c", "/", ".", "..", "nowhere", "a/../b",
    ]);
    prop_oneof![
        4 => path().prop_map(Grown::Dir),
        1 => path().prop_map(Grown::File),
        2 => (path(), target).prop_map(|(path, target)| Grown::Link(path, target.to_owned())),
    ]
}

fn words(path: &[usize]) -> String {
    path.iter()
        .map(|word| WORDS[*word])
        .collect::<Vec<_>>()
        .join("/")
}

/// What does not fit to what is there already is left out.
fn grow(base: &Path, forest: &[Grown]) {
    for grown in forest {
        let _ = match grown {
            Grown::Dir(path) => fs::create_dir_all(base.join(words(path))),
            Grown::File(path) => fs::write(base.join(words(path)), "x"),
            Grown::Link(path, target) => symlink(target, base.join(words(path))),
        };
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn both_resolvers_reach_the_same(
        forest in prop::collection::vec(grown(), 0..24),
        asked in prop::collection::vec(path(), 1..24),
    ) {
        let base = tempfile::tempdir().expect("a directory");
        grow(base.path(), &forest);
        let leap = top_with(base.path(), Reserved::default(), Resolver::Openat2);
        let walk = top_with(base.path(), Reserved::default(), Resolver::Walk);
        for path in asked {
            let path = names(&words(&path));
            let (one, taken) = leap.descend(&path).expect("descended");
            let (other, count) = walk.descend(&path).expect("descended");
            prop_assert_eq!(taken, count);
            let (one_is, other_is) = (one.attributes(), other.attributes());
            prop_assert_eq!(one_is.expect("looked up"), other_is.expect("looked up"));
            if let Some(next) = path.get(taken) {
                let found = one.lookup(next).map_err(|fault| fault.kind());
                prop_assert_eq!(&found, &other.lookup(next).map_err(|fault| fault.kind()));
                // What stopped it is no directory.
                prop_assert!(found.is_err() || !found.is_ok_and(|found| found.kind.is_directory()));
            }
        }
    }
}
