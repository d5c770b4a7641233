//! The providers, each with its way to hold a given tree.

use std::sync::Arc;

use super::{
    Fixture, Node, Snapshot, name,
    repository::{Repo, write_tree},
    suite,
};
use crate::vfs::provider::{
    Commit, Creation, Provider, git,
    git::Git,
    host::{Host, HostRoot, Notes, Options, Resolver},
    memory::{self, Budget, Memory},
};

#[test]
fn memory() {
    suite(|tree| {
        let memory = Memory::new(memory::Config::default(), Budget::new(1 << 30));
        fill(&memory, tree);
        Fixture::new(memory, ())
    });
}

#[test]
fn git() {
    suite(|tree| {
        let repo = Repo::with(tree);
        let config = git::Config {
            device: 1 << 63 | 7,
            owner: (repo.user(), 0),
        };
        let git = Git::open(config, &repo.path(), &repo.owners(), "HEAD", &[]).expect("mount");
        Fixture::new(git, repo)
    });
}

#[test]
fn host() {
    host_by(Resolver::Auto);
}

#[test]
fn host_by_walk() {
    host_by(Resolver::Walk);
}

fn host_by(resolver: Resolver) {
    suite(|tree| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        write_tree(directory.path(), tree);
        let (root, options) = (
            HostRoot::Path(directory.path().to_owned()),
            Options::default(),
        );
        let host = Host::open(root, options, Arc::default(), resolver, Notes::none());
        Fixture::new(host.expect("mount"), directory)
    });
}

/// Writes a tree by the provider's own verbs.
fn fill(provider: &dyn Provider, tree: &Snapshot) {
    let root = provider.root().expect("open");
    for (path, node) in tree {
        let mut names: Vec<_> = path.split(|byte| *byte == b'/').map(name).collect();
        let last = names.pop().expect("a path has a name");
        let (at, taken) = root.descend(&names).expect("descend");
        assert_eq!(
            taken,
            names.len(),
            "directories come before what is in them"
        );
        match node {
            Node::File { bytes, executable } => {
                let mode = Some(if *executable { 0o755 } else { 0o644 });
                let mut draft = at
                    .create(
                        &last,
                        &Creation {
                            mode,
                            ..Creation::default()
                        },
                    )
                    .expect("create");
                draft.write(bytes).expect("write");
                draft.commit(&Commit::default()).expect("commit");
            }
            Node::Dir => at.make_dir(&last, None).expect("make"),
            Node::Link(target) => at.make_link(&last, target).expect("link"),
            Node::Submodule(_) => panic!("nothing makes a submodule"),
        }
    }
}
