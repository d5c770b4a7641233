//! Telling whoever started us that we are ready: a descriptor, or systemd's socket (`sd_notify(3)`).

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Write},
    os::{
        fd::{BorrowedFd, RawFd},
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// Writes one line to an inherited descriptor. The descriptor stays open: it is the caller's.
pub fn ready_fd(fd: RawFd, line: &str) -> io::Result<()> {
    if fd < 0 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    #[expect(
        unsafe_code,
        reason = "the descriptor is inherited, so it comes as a number"
    )]
    // SAFETY: the borrow lives only for the duplication below, which fails on a closed descriptor.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let mut file = File::from(borrowed.try_clone_to_owned()?);
    writeln!(file, "{line}")
}

/// Sends a state such as `READY=1` to the socket that systemd named.
pub fn systemd(socket: &OsStr, state: &str) -> io::Result<()> {
    let bytes = socket.as_bytes();
    let address = match bytes.split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?
        .send_to_addr(state.as_bytes(), &address)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_hears_the_state() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("bound");
        systemd(path.as_os_str(), "READY=1").expect("sent");
        let mut buffer = [0; 32];
        let n = socket.recv(&mut buffer).expect("received");
        assert_eq!(&buffer[..n], b"READY=1");
    }

    #[test]
    fn a_closed_descriptor_is_an_error() {
        assert!(ready_fd(-1, "x").is_err());
        assert!(ready_fd(99_999, "x").is_err());
    }
}
