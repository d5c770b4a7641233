//! What every test uses: a real X server, a real daemon, programs that record what reached them.

pub mod daemon;
pub mod model;
pub mod portabledesktop;
pub mod recorder;
pub mod rfb_client;
pub mod selection;
pub mod xserver;
