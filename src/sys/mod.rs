//! The operating system: threads, children, procfs, descriptors. Knows nothing of the modules above.

pub mod cgroup;
pub mod channel;
pub mod child;
pub mod descriptor;
#[cfg(feature = "host")]
pub mod environment;
pub mod fs;
pub mod limits;
pub mod lock;
pub mod logfile;
pub mod members;
pub mod memory;
pub mod notify;
pub mod private;
pub mod procfs;
pub mod pty;
pub mod reaper;
pub mod signals;
pub mod thread;
