//! The operating system: threads, children, procfs, descriptors. Knows nothing of the modules above.

pub mod thread;
