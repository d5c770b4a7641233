//! Where programs work: they see the machine and not the tree, so a path of theirs has to lie on a host mount.

use std::{ffi::OsString, os::unix::ffi::OsStringExt, path::PathBuf};

use super::{
    Vfs,
    describe::host_path,
    fault::Fault,
    path::{ClientPath, TreePath},
    view::Last,
};

/// Why a program cannot work there.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The path leads nowhere.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// What is there is no directory of the machine.
    #[error(
        "{path} is in a mount of the provider {provider}, which programs do not see; POST /api/v0/materialize copies it to \
         where they do"
    )]
    NotOnHost {
        /// Where, with links followed.
        path: TreePath,
        /// What serves it.
        provider: &'static str,
    },
}

impl Vfs {
    /// Whether the tree is just the machine's, so that every path means the same in both.
    pub fn is_the_machine(&self) -> bool {
        let view = self.view();
        let root = TreePath::root();
        let mut mounts = view.table().mounts();
        let only = mounts.next().filter(|_| mounts.next().is_none());
        only.is_some_and(|mount| {
            let label = mount.label();
            *mount.at() == root && (label.provider, label.source.as_str()) == ("host", "/")
        })
    }

    /// Where a path of the tree lies on the machine. `None`: just there, as it stands. What is missing stays in the path.
    pub async fn on_machine(&self, path: ClientPath) -> Result<Option<PathBuf>, MachineError> {
        let view = self.view();
        let asked = path.clone();
        let place = self.run(&view, &asked, move |view, _| {
            view.resolve(&path, Last::Follow)
        });
        let place = place.await?;
        match host_path(&place) {
            Some(there) if there == place.path.to_bytes() => Ok(None),
            Some(there) => Ok(Some(PathBuf::from(OsString::from_vec(there)))),
            None => Err(MachineError::NotOnHost {
                provider: place.mount.label().provider,
                path: place.path,
            }),
        }
    }
}
