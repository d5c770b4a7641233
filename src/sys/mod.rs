//! The operating system: threads, children, procfs, descriptors. Knows nothing of the modules above.

pub mod limits;
pub mod lock;
pub mod notify;
pub mod private;
pub mod thread;
