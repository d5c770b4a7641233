//! What is told of an entry: its attributes, its tag, where it leads when it is a link, and where it lies on the machine.

use std::{os::unix::ffi::OsStringExt, sync::Arc, time::SystemTime};

use rustix::fs::{Access, AtFlags};
use uuid::Uuid;

use super::{
    entry::{Attributes, EntryKind, Time},
    fault::{Kind, Result},
    path::{ClientPath, Name, TreePath},
    pool::Wanted,
    provider::{Directory, OpenFile},
    tag::{ContentHash, HASHED_UNASKED, hash_file, is_young},
    view::{Last, Place, View},
};

/// An entry, to be shown.
#[derive(Clone, Debug)]
pub struct Described {
    /// Its path as the caller sees it: links on the way stand as they were given.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// The rest, when it was asked for.
    pub facts: Option<Facts>,
}

/// What is known of an entry.
#[derive(Clone, Debug)]
pub struct Facts {
    /// As its provider sees it.
    pub attributes: Attributes,
    /// The mount that serves it.
    pub mount: Uuid,
    /// Tag of a file, without quotes. None when its content changes too fast to have one, or cannot be read.
    pub tag: Option<String>,
    /// Where a link leads.
    pub target: Option<Target>,
}

/// Where a link leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To this.
    Kind(EntryKind),
    /// To nothing.
    Missing,
    /// Out of the tree.
    Outside,
}

impl Target {
    /// The word for it on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kind(kind) => kind.word(),
            Self::Missing => "missing",
            Self::Outside => "outside",
        }
    }
}

/// What `stat` tells besides.
#[derive(Clone, Debug)]
pub struct Details {
    /// The path without links.
    pub resolved: TreePath,
    /// The path on the machine.
    pub host_path: Option<Vec<u8>>,
    /// Whether it may be written to.
    pub writable: bool,
    /// Hash of the content, on request.
    pub sha256: Option<ContentHash>,
}

impl Described {
    /// Its last name; `/` for the root.
    pub fn name(&self) -> &[u8] {
        let last = self.path.rsplit(|byte| *byte == b'/').next();
        last.filter(|name| !name.is_empty()).unwrap_or(b"/")
    }

    /// What is known of an entry of an opened directory.
    pub fn of(
        view: &View,
        path: Vec<u8>,
        at: impl FnOnce() -> TreePath,
        directory: &dyn Directory,
        name: Option<&Name>,
        mount: Uuid,
        attributes: Attributes,
    ) -> Self {
        let tag = match name {
            Some(name) if attributes.kind == EntryKind::File => tag(directory, name, &attributes),
            _ => None,
        };
        let target = (attributes.kind == EntryKind::Symlink)
            .then(|| target(view, &at(), &attributes))
            .flatten();
        Self {
            path,
            kind: attributes.kind,
            facts: Some(Facts {
                attributes,
                mount,
                tag,
                target,
            }),
        }
    }

    /// What is at a place; nothing is [`Kind::NotFound`].
    pub fn place(view: &View, path: Vec<u8>, place: &Place) -> Result<Self> {
        let attributes = place.require("look up")?.clone();
        let (directory, name) = (&*place.directory, place.name.as_ref());
        let mount = place.mount.id();
        Ok(Self::of(
            view,
            path,
            || place.path.clone(),
            directory,
            name,
            mount,
            attributes,
        ))
    }
}

impl Details {
    /// What `stat` tells of a place. With `hash`, a file is read to its end.
    pub fn of(place: &Place, hash: bool, wanted: &Wanted) -> Result<Self> {
        let found = place.require("look up")?;
        let sha256 = match &place.name {
            Some(name) if hash && found.kind == EntryKind::File => {
                let file = place.directory.open(name);
                let hashed = file.and_then(|file: Arc<dyn OpenFile>| hash_file(&*file, wanted));
                Some(hashed.map_err(|fault| fault.at(place.path.to_bytes()))?)
            }
            _ => None,
        };
        Ok(Self {
            resolved: place.path.clone(),
            host_path: host_path(place),
            writable: is_writable(place, found),
            sha256,
        })
    }
}

/// Where a place lies on the machine, at this moment.
pub fn host_path(place: &Place) -> Option<Vec<u8>> {
    let mut path = place.directory.host()?.path.into_os_string().into_vec();
    for name in place.name.iter().chain(&place.missing) {
        if path.last() != Some(&b'/') {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
    }
    Some(path)
}

/// The tag of a file without quotes: of its version, or, when two changes could share that, of its content.
pub fn tag(directory: &dyn Directory, name: &Name, attributes: &Attributes) -> Option<String> {
    let version = &attributes.version;
    if !is_young(version, now()) {
        return Some(version.tag());
    }
    if attributes.size > HASHED_UNASKED {
        return None;
    }
    let hash = directory
        .open(name)
        .and_then(|file| hash_file(&*file, &Wanted::default()));
    hash.ok().map(|hash| hash.tag())
}

/// The time of the machine.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since = since.unwrap_or_default();
    Time {
        seconds: since.as_secs().cast_signed(),
        nanos: since.subsec_nanos(),
    }
}

fn target(view: &View, at: &TreePath, attributes: &Attributes) -> Option<Target> {
    if attributes.magic {
        return Some(Target::Outside);
    }
    match view.resolve(&ClientPath::of(at), Last::Follow) {
        Ok(place) => Some(
            place
                .found
                .map_or(Target::Missing, |found| Target::Kind(found.kind)),
        ),
        Err(fault) => match fault.kind() {
            Kind::OutsideMount | Kind::MagicLink | Kind::Reserved => Some(Target::Outside),
            Kind::PermissionDenied | Kind::Io => None,
            _ => Some(Target::Missing),
        },
    }
}

fn is_writable(place: &Place, found: &Attributes) -> bool {
    if !place.mount.is_writable() {
        return false;
    }
    match place.directory.host() {
        Some(host) => {
            let name = place.name.as_ref().map_or(&b"."[..], Name::as_bytes);
            let flags = AtFlags::EACCESS | AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::accessat(&host.descriptor, name, Access::WRITE_OK, flags).is_ok()
        }
        None => found.mode & 0o222 != 0,
    }
}
