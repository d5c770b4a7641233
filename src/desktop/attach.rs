//! Our own connections to a running display.

use super::{
    StartError,
    launch::Context,
    readiness::apart,
    x11::{Address, link::Link},
};

/// Our connections. Clones are the same ones; the last one dropped closes them.
#[derive(Clone, Debug)]
pub struct Attached {
    link: Link,
}

/// Connects to a display whose X server answers.
pub async fn attach(_context: &Context, address: &Address) -> Result<Attached, StartError> {
    let address = address.clone();
    let link = apart("desk-attach", move || Link::open(&address))
        .await
        .map_err(|error| StartError::Attach(Box::new(error)))?
        .map_err(|error| StartError::Attach(Box::new(error)))?;
    Ok(Attached { link })
}

impl Attached {
    /// Resolves when one of them broke, with the reason. May be dropped and called again.
    pub async fn closed(&self) -> String {
        self.link.closed().await
    }

    /// Releases what an earlier connection of ours left pressed.
    pub async fn release(&self) {}
}
