//! The operating system: threads, children, procfs, descriptors. Knows nothing of the modules above.

pub mod child;
pub mod descriptor;
#[cfg(feature = "host")]
pub mod environment;
pub mod limits;
pub mod lock;
pub mod logfile;
pub mod notify;
pub mod private;
pub mod procfs;
pub mod thread;
