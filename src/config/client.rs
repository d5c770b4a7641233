//! Where commands that are clients find the daemon: `--url`, else its Unix socket.

use std::path::PathBuf;

use clap::Args;

use super::{Environment, runtime_dir};
use crate::client::{Client, Place};

/// Name of the link to its socket that a daemon keeps in its state directory.
pub const SOCKET_LINK: &str = "socket";

/// Flags of every command that asks a daemon.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The daemon")]
pub struct ClientArgs {
    /// Address of the daemon, http and no TLS [default: its Unix socket]
    #[arg(long, env = "DESKD_URL", value_name = "http://HOST:PORT")]
    pub url: Option<String>,
    /// Unix socket of the daemon [default: deskd.sock in the runtime directory, or where `socket` in the state directory leads]
    #[arg(long, env = "DESKD_SOCKET", value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// File with the token, for --url [default: token in the state directory]
    #[arg(long, env = "DESKD_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Chat that the work is for
    #[arg(long, env = "DESKD_CHAT_ID", value_name = "UUID")]
    pub chat_id: Option<String>,
    /// Print what the daemon answered as JSON
    #[arg(long)]
    pub json: bool,
}

/// Why there is nobody to ask.
#[derive(Debug, thiserror::Error)]
pub enum WhereError {
    /// The address is none.
    #[error("{url} is no address of a daemon: http://HOST:PORT is one{}", hint(.url))]
    BadUrl {
        /// As given.
        url: String,
    },
    /// The token was asked for and cannot be read.
    #[error("failed to read the token from {path}")]
    Token {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

fn hint(url: &str) -> &'static str {
    if url.starts_with("https://") {
        "; for one behind TLS, forward a port to it (ssh -L)"
    } else {
        ""
    }
}

/// Where the daemon of our user is: in our runtime directory, or, since one that the system started has another one, where the
/// link in the state directory leads.
fn usual_socket(environment: &Environment) -> PathBuf {
    let named = environment.path("DESKD_RUNTIME_DIR");
    let is_named = named.is_some();
    let near = named.unwrap_or_else(|| runtime_dir(environment));
    let near = near.join("deskd.sock");
    let link = usual_state_dir(environment).map(|dir| dir.join(SOCKET_LINK));
    match link {
        Some(link) if !is_named && !near.exists() && link.exists() => link,
        _ => near,
    }
}

fn usual_state_dir(environment: &Environment) -> Option<PathBuf> {
    let named = environment.path("DESKD_STATE_DIR");
    named.or_else(|| super::state_dir(environment))
}

impl ClientArgs {
    /// The client that the flags describe.
    pub fn client(&self, environment: &Environment) -> Result<Client, WhereError> {
        let chat = self.chat_id.clone();
        let Some(url) = &self.url else {
            let usual = || usual_socket(environment);
            let socket = self.socket.clone().unwrap_or_else(usual);
            return Ok(Client::new(Place::Unix(socket), self.token(None)?, chat));
        };
        let bad = || WhereError::BadUrl { url: url.clone() };
        let rest = url.strip_prefix("http://").ok_or_else(bad)?;
        let authority = rest.trim_end_matches('/');
        if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
            return Err(bad());
        }
        let has_port = authority
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port {
            authority.to_owned()
        } else {
            format!("{authority}:80")
        };
        let usual = usual_state_dir(environment).map(|dir| dir.join("token"));
        Ok(Client::new(Place::Tcp(authority), self.token(usual)?, chat))
    }

    /// From the file that was named, which must be there, or the usual one, which need not.
    fn token(&self, usual: Option<PathBuf>) -> Result<Option<String>, WhereError> {
        let named = self.token_file.is_some();
        let Some(path) = self.token_file.clone().or(usual) else {
            return Ok(None);
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(_) if !named => Ok(None),
            Err(source) => Err(WhereError::Token { path, source }),
        }
    }
}
