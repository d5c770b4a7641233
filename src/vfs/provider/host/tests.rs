//! The provider over real directories.

mod apart;
mod descend;
mod draft;
mod dress;
mod entries;
mod forest;
mod proc;
mod races;

use std::{fs, path::Path, sync::Arc};

use super::{Host, HostRoot, Notes, Options, Reserved, Resolver};
use crate::vfs::{
    fault::{Kind, Result},
    path::Name,
    provider::{Commit, Committed, Creation, Directory, Provider},
};

const BOTH: [Resolver; 2] = [Resolver::Auto, Resolver::Walk];

fn open_with(path: &Path, reserved: Reserved, resolver: Resolver) -> Result<Host> {
    let root = HostRoot::Path(path.to_owned());
    Host::open(
        root,
        Options::default(),
        Arc::new(reserved),
        resolver,
        Notes::none(),
    )
}

fn top(path: &Path) -> Arc<dyn Directory> {
    top_with(path, Reserved::default(), Resolver::Auto)
}

fn top_with(path: &Path, reserved: Reserved, resolver: Resolver) -> Arc<dyn Directory> {
    open_with(path, reserved, resolver)
        .expect("opened")
        .root()
        .expect("a root")
}

fn name(text: impl AsRef<[u8]>) -> Name {
    Name::new(text.as_ref()).expect("a name")
}

fn names(path: &str) -> Vec<Name> {
    path.split('/')
        .filter(|part| !part.is_empty())
        .map(name)
        .collect()
}

fn put(directory: &dyn Directory, at: &str, bytes: &[u8], how: &Commit) -> Result<Committed> {
    let mut draft = directory.create(&name(at), &Creation::default())?;
    draft.write(bytes)?;
    draft.commit(how)
}

fn read(directory: &dyn Directory, at: &str) -> Result<Vec<u8>> {
    let file = directory.open(&name(at))?;
    let mut bytes = vec![0; 1 << 16];
    let count = file.read_at(&mut bytes, 0)?;
    bytes.truncate(count);
    Ok(bytes)
}

fn kind<T>(result: Result<T>) -> Kind {
    match result {
        Ok(_) => panic!("it did not fail"),
        Err(fault) => fault.kind(),
    }
}

fn entries(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .expect("listed")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}
