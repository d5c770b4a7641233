//! Where a process works: its directory is a path of the tree, and the program sees the machine.

use super::{error::ApiError, state::ApiState};
use crate::{
    proc::spec::Request,
    vfs::{machine::MachineError, path::ClientPath},
};

/// Has a program work where its directory lies on the machine, for it does not see the tree.
///
/// A default that the tree does not show is left as it is: nobody named it, and no program is held by the tree.
pub(super) async fn work_on_machine(api: &ApiState, request: &mut Request) -> Result<(), ApiError> {
    if api.vfs().is_the_machine() {
        return Ok(());
    }
    let directory = api.processes().directory_of(request)?;
    let Ok(path) = ClientPath::parse(directory.as_os_str().as_encoded_bytes()) else {
        return Ok(()); // the start says what is wrong with it
    };
    match api.vfs().on_machine(path).await {
        Ok(Some(there)) => request.workdir = there.to_string_lossy().into_owned(),
        Ok(None) => {}
        Err(MachineError::Fault(_)) if request.workdir.is_empty() => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
