//! Who sees what a scan reads, before it is read: what is watched from then on can change without being missed.

use std::path::Path;

use super::guard::Guard;

/// Who wants to know what a scan reads, each time before it is read: what changes later is noticed, then.
pub trait Eyes {
    /// A directory of the work tree that is not ignored, by its path below the root; `""` is the root.
    fn directory(&self, path: &[u8]);
    /// The git directory and the one that work trees share, of the work tree or of the submodule at a path below its root.
    fn git(&self, submodule: Option<&[u8]>, git_dir: &Path, common_dir: &Path);
    /// A program reads the work tree: which directories, nobody is told.
    fn program(&self);
}

/// Nobody does.
impl Eyes for () {
    fn directory(&self, _: &[u8]) {}

    fn git(&self, _: Option<&[u8]>, _: &Path, _: &Path) {}

    fn program(&self) {}
}

/// What is read of a submodule, for who watches what it is in.
pub(super) struct Inner<'a> {
    /// Where it lies.
    pub(super) path: &'a [u8],
    pub(super) outer: &'a dyn Eyes,
}

impl Eyes for Inner<'_> {
    fn directory(&self, path: &[u8]) {
        let path = match path {
            b"" => self.path.to_vec(),
            path => [self.path, b"/", path].concat(),
        };
        self.outer.directory(&path);
    }

    fn git(&self, _: Option<&[u8]>, git_dir: &Path, common_dir: &Path) {
        self.outer.git(Some(self.path), git_dir, common_dir);
    }

    fn program(&self) {
        self.outer.program();
    }
}

/// How a scan goes on: until when, and who sees what it reads.
#[derive(Clone, Copy)]
pub(super) struct Course<'a> {
    pub(super) guard: &'a Guard,
    pub(super) eyes: &'a dyn Eyes,
    /// How deep in submodules it is.
    pub(super) depth: usize,
}
