//! Programs on the desktop, and what was copied there.

use clap::Args;
use hyper::Method;
use serde_json::json;

use super::{RemoteError, client, desktop, print};
use crate::{
    client::whole,
    config::{Environment, client::ClientArgs},
};

/// `deskd launch`
#[derive(Args, Debug)]
pub(in crate::cli) struct Launch {
    /// Wait so many seconds for its first window
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=60))]
    wait: u32,
    /// The id of a desktop file, or its path, instead of a program: org.gnome.Calculator
    #[arg(long)]
    app: bool,
    /// Program and arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    argv: Vec<String>,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Launch {
    /// Prints the id of the process, and that of its window when one came.
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let mut body = if self.app {
            let [file] = &self.argv[..] else {
                return Err(RemoteError::Usage("--app takes one name".to_owned()));
            };
            json!({"desktop_file": file})
        } else {
            json!({"argv": self.argv})
        };
        if self.wait > 0 {
            body["wait_window_ms"] = (u64::from(self.wait) * 1000).into();
        }
        let client = client(&self.daemon, environment)?;
        let answer = client.post("/api/v0/desktop/launch", &body).await?;
        if self.daemon.json {
            return print::json(&answer);
        }
        let id = answer["id"].as_str().unwrap_or_default();
        match answer["window"]["id"].as_u64() {
            Some(window) => print::line(&format!("{id} {window}")),
            None => print::line(id),
        }
    }
}

/// `deskd clipboard`
#[derive(Args, Debug)]
pub(in crate::cli) struct Clipboard {
    /// Put this there instead of printing what is there; - takes it from standard input
    #[arg(allow_hyphen_values = true)]
    text: Option<String>,
    /// What was marked last, which the middle button inserts
    #[arg(long)]
    primary: bool,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Clipboard {
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let selection = if self.primary { "primary" } else { "clipboard" };
        let path = format!("/api/v0/desktop/clipboard?selection={selection}");
        let client = client(&self.daemon, environment)?;
        let text = match self.text {
            Some(text) if text == "-" => desktop::standard_input()?,
            Some(text) => text,
            None => {
                let answer = client.send(Method::GET, &path, &[], whole("")).await?;
                let bytes = answer.bytes().await?;
                if self.daemon.json {
                    let text = String::from_utf8_lossy(&bytes);
                    return print::json(&json!({"text": text}));
                }
                return print::bytes(&bytes);
            }
        };
        let kind = [("content-type", "text/plain")];
        client.send(Method::PUT, &path, &kind, whole(text)).await?;
        Ok(())
    }
}
