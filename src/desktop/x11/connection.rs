//! Opens connections to an X server by its Unix socket, with the cookie given as a value.

use std::{fmt, io, os::unix::net::UnixStream, path::PathBuf};

use x11rb::{
    errors::ConnectError as ProtocolError,
    rust_connection::{DefaultStream, RustConnection},
};

/// Where an X server listens and what it wants to see.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// Display name as in `DISPLAY`: `:7` or `:7.0`. Only local displays.
    pub display: String,
    /// Data of the MIT-MAGIC-COOKIE-1 (Xsecurity(7)); `None` for a server without access control.
    pub cookie: Option<[u8; 16]>,
}

/// The cookie is a secret and stays out of logs.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("display", &self.display)
            .field("cookie", &self.cookie.map(|_| "[hidden]"))
            .finish()
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The display is not of the form `:N` or `:N.S`.
    #[error("{0:?} is not the name of a local display")]
    Display(String),
    /// Nothing listens there, or it does not let us in at the file system's level.
    #[error("failed to open the X socket {}", path.display())]
    Socket {
        /// Socket that was tried.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The server answered and did not let us in, or broke off.
    #[error("the X server {display} refused the connection")]
    Setup {
        /// Display that was asked.
        display: String,
        /// What the server said.
        source: ProtocolError,
    },
}

impl Address {
    /// Number of the display and of its screen.
    fn numbers(&self) -> Option<(u32, usize)> {
        let rest = self.display.strip_prefix(':')?;
        let (display, screen) = rest.split_once('.').unwrap_or((rest, "0"));
        Some((display.parse().ok()?, screen.parse().ok()?))
    }

    /// Unix socket of this display, by the convention of X (`/tmp/.X11-unix/XN`).
    ///
    /// # Errors
    /// [`ConnectError::Display`].
    pub fn socket(&self) -> Result<PathBuf, ConnectError> {
        let (display, _) = self.numbers().ok_or_else(|| self.bad_name())?;
        Ok(PathBuf::from(format!("/tmp/.X11-unix/X{display}")))
    }

    fn bad_name(&self) -> ConnectError {
        ConnectError::Display(self.display.clone())
    }
}

/// Opens a connection and gives it with the index of its screen. Blocks until the server answered the setup; never
/// reads the environment. Dropping the connection closes it.
pub fn connect(address: &Address) -> Result<(RustConnection, usize), ConnectError> {
    let path = address.socket()?;
    let (_, screen) = address.numbers().ok_or_else(|| address.bad_name())?;
    let stream = UnixStream::connect(&path)
        .and_then(DefaultStream::from_unix_stream)
        .map_err(|source| ConnectError::Socket { path, source })?;
    let (name, data) = match address.cookie {
        Some(cookie) => (b"MIT-MAGIC-COOKIE-1".to_vec(), cookie.to_vec()),
        None => (Vec::new(), Vec::new()),
    };
    RustConnection::connect_to_stream_with_auth_info(stream.0, screen, name, data)
        .map(|connection| (connection, screen))
        .map_err(|source| ConnectError::Setup {
            display: address.display.clone(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(display: &str) -> Address {
        Address {
            display: display.to_owned(),
            cookie: Some([7; 16]),
        }
    }

    #[test]
    fn local_displays_have_a_socket() {
        for (display, socket) in [(":7", "X7"), (":12.0", "X12")] {
            let path = address(display).socket().expect("a local display");
            assert!(path.ends_with(socket), "{path:?}");
        }
        for display in ["", "7", "host:0", ":", ":a", ":1.x", ":-1"] {
            assert!(
                matches!(address(display).socket(), Err(ConnectError::Display(_))),
                "{display}"
            );
        }
    }

    #[test]
    fn the_cookie_is_not_printed() {
        assert!(!format!("{:?}", address(":1")).contains('7'));
    }

    #[test]
    fn nobody_there_names_the_socket() {
        let error = connect(&address(":4294967295")).expect_err("no such server");
        assert!(error.to_string().contains("X4294967295"), "{error}");
    }
}
