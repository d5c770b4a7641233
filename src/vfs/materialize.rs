//! A part of the tree as a directory of the machine, so that programs can work on it.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::PathBuf, sync::Arc};

use super::{
    Vfs,
    change::ChangeError,
    copy::{Copied, Plan, copy, discard},
    describe::host_path,
    fault::{Fault, Kind},
    ignore::{BadGlob, selection},
    lodgers::{Lodger, Lodgers},
    make_dir::require_parents,
    path::{ClientPath, Name, TreePath},
    pool::Wanted,
    provider::{Changes, staging_name},
    record::{Record, Records},
    view::{Last, Place, View},
};

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Materialization {
    /// Which directory.
    pub path: ClientPath,
    /// Where to: a name that nobody has, on a host mount. Else a fresh directory of ours.
    pub to: Option<ClientPath>,
    /// What the rules of gitignore leave out is left out.
    pub ignore: bool,
    /// Globs by which files are chosen.
    pub globs: Vec<String>,
}

/// Why there is no such directory.
#[derive(Debug, thiserror::Error)]
pub enum MaterializeError {
    /// It could not be made.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// A glob is none.
    #[error(transparent)]
    Glob(#[from] BadGlob),
    /// The destination is no directory of the machine.
    #[error("{path} is not on a host mount but in one of the provider {provider}")]
    NotOnHost {
        /// Where.
        path: TreePath,
        /// What is there.
        provider: &'static str,
    },
}

impl From<Fault> for MaterializeError {
    fn from(fault: Fault) -> Self {
        Self::Change(fault.into())
    }
}

/// A directory of the machine.
#[derive(Debug)]
pub struct Materialized {
    /// Its path in the tree.
    pub path: Vec<u8>,
    /// Its path on the machine.
    pub host_path: Vec<u8>,
    /// What was copied.
    pub copied: Copied,
}

impl Vfs {
    /// Copies a directory, merged as the tree shows it, to a new directory of the machine: whole or not at all.
    pub async fn materialize(
        &self,
        what: Materialization,
    ) -> Result<Materialized, MaterializeError> {
        let view = self.view();
        let below = self.surroundings().materialize.clone();
        let records = self.records().clone();
        let lodgers = self.surroundings().lodgers.clone();
        let path = what.path.clone();
        let done = self.run_long(&view, &path, move |view, wanted| {
            let ours = Ours {
                below: &below,
                records: &records,
                lodgers: &lodgers,
            };
            Ok(materialize(view, &what, &ours, wanted))
        });
        done.await?
    }
}

/// What the daemon keeps for it.
struct Ours<'a> {
    /// Where directories are made that nobody named.
    below: &'a ClientPath,
    records: &'a Records,
    lodgers: &'a Lodgers,
}

fn materialize(
    view: &View,
    what: &Materialization,
    ours: &Ours<'_>,
    wanted: &Wanted,
) -> Result<Materialized, MaterializeError> {
    let source = view.resolve(&what.path, Last::Follow)?;
    let opened = source.open_directory("materialize")?;
    let plan = Plan {
        ignore: what.ignore,
        selection: selection(&opened.path, &what.globs)?,
        ..Plan::default()
    };
    let to = destination(view, what.to.as_ref(), ours.below)?;
    if to.path.starts_with(&source.path) {
        return Err(ChangeError::IntoItself { from: source.path }.into());
    }
    let name = to.require_name("write")?;
    let staging = staging_name()?;
    let mut beside = to.path.clone();
    beside.pop();
    let record = ours.records.write(&Record {
        copy: beside.join(&staging),
        ..Record::default()
    })?;
    let directory = &to.directory;
    let capabilities = to.mount.provider().capabilities();
    let copied = copy(
        view,
        &source,
        (directory, &staging),
        capabilities,
        &plan,
        wanted,
    )?;
    let host_path = host_path(&to).unwrap_or_default();
    let lodger = what
        .to
        .is_none()
        .then_some((ours.lodgers, &source, host_path.as_slice()));
    let placed = place(&to, &staging, name, lodger);
    if placed.is_err() {
        discard(directory, &staging);
    }
    drop(record);
    placed?;
    Ok(Materialized {
        path: to.path.to_bytes(),
        host_path,
        copied,
    })
}

/// A directory that we named is ours alone, and for us to remove.
fn place(
    to: &Place,
    staging: &Name,
    name: &Name,
    lodger: Option<(&Lodgers, &Place, &[u8])>,
) -> Result<(), Fault> {
    let at = |fault: Fault| fault.at(to.path.to_bytes());
    if let Some((lodgers, source, host)) = lodger {
        let changes = Changes {
            mode: Some(0o700),
            ..Changes::default()
        };
        let directory = &to.directory;
        directory
            .set_attributes(Some(staging), &changes)
            .map_err(at)?;
        let identity = directory.lookup(staging).map_err(at)?.identity;
        let lodger = Lodger {
            path: to.path.clone(),
            host: PathBuf::from(OsStr::from_bytes(host)),
            identity,
            source: source.mount.id(),
        };
        let failed = |error| Fault::from_io(error, "record", to.path.to_bytes());
        lodgers.add(lodger).map_err(failed)?;
    }
    let directory = Arc::clone(&to.directory);
    directory
        .rename(staging, &*directory, name, false)
        .map_err(at)
}

fn destination(
    view: &View,
    to: Option<&ClientPath>,
    below: &ClientPath,
) -> Result<Place, MaterializeError> {
    let place = if let Some(to) = to {
        view.resolve(to, Last::Keep)?
    } else {
        let opened = view.open_directory(below, "materialize")?;
        let name = Name::new(
            staging_name()?
                .as_bytes()
                .strip_prefix(b".")
                .unwrap_or(b"deskd"),
        );
        view.child(&opened, &name.expect("a short name"))?
    };
    if place.found.is_some() {
        return Err(place.fault(Kind::AlreadyExists, "materialize").into());
    }
    require_parents(&place, "materialize")?;
    if place.directory.host().is_none() {
        return Err(MaterializeError::NotOnHost {
            provider: place.mount.label().provider,
            path: place.path,
        });
    }
    place.require_writable("materialize")?;
    Ok(place)
}
