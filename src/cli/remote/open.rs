//! `deskd open`: the viewer in a browser, without a secret in anybody's arguments.
//!
//! The browser is started with an address of ours on loopback, which holds a word of 128 random bits. The first request for it that comes
//! from our own user is led on to the daemon's page with a token; then nobody answers there any more. So the list of
//! processes, which all users of a machine can read, has nothing in it that opens anything.
//!
//! The token is made for this one browser: it shows the desktop and the repositories, and ends by itself.

use std::{fmt::Write as _, net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;
use futures_util::StreamExt;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{RemoteError, client, encoded, print};
use crate::{
    client::{Client, Place, error::ClientError},
    config::{Environment, client::ClientArgs},
    sys::{
        child::{Ending, Spec},
        procfs,
    },
};

/// How long a browser may take to start.
const PATIENCE: Duration = Duration::from_mins(1);
/// Longest request line that is read, in bytes.
const LONGEST: usize = 8 << 10;

/// `deskd open`
#[derive(Args, Debug)]
pub(in crate::cli) struct Open {
    /// To watch, without keyboard and mouse
    #[arg(long)]
    view_only: bool,
    /// How long the browser may stay, in hours
    #[arg(long, default_value = "12", value_name = "HOURS", value_parser = clap::value_parser!(u32).range(1..=720))]
    hours: u32,
    /// Print the address instead; whoever has it has the desktop
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Open {
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let client = client(&self.daemon, environment)?;
        let mut page = format!(
            "{}/?token={}",
            base(&client).await?,
            self.token(&client).await?
        );
        if self.view_only {
            page.push_str("&view_only=true");
        }
        if let Some(chat) = &self.daemon.chat_id {
            let _ = write!(page, "&chat={}", encoded(chat.as_bytes()));
        }
        if self.print {
            return if self.daemon.json {
                print::json(&json!({"address": page}))
            } else {
                print::line(&page)
            };
        }
        hand_over(&page, environment).await
    }

    /// A token for this browser; when we may make none, the one that we have.
    async fn token(&self, client: &Client) -> Result<String, RemoteError> {
        let desktop = if self.view_only {
            "desktop:view"
        } else {
            "desktop:control"
        };
        let body = json!({
            "scopes": [desktop, "git"],
            "ttl_s": u64::from(self.hours) * 3600,
            "label": "deskd open",
        });
        match client.post("/api/v0/tokens", &body).await {
            Ok(made) => Ok(made["token"].as_str().unwrap_or_default().to_owned()),
            Err(ClientError::Refused(refusal)) if refusal.code == "scope_required" => {
                Ok(client.token().unwrap_or_default().to_owned())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Where a browser on this machine finds the daemon.
async fn base(client: &Client) -> Result<String, RemoteError> {
    if let Place::Tcp(authority) = client.place() {
        return Ok(format!("http://{authority}"));
    }
    let version = client.get("/api/v0/version").await?;
    let addresses = super::list(&version, "listening");
    let address = addresses.iter().find_map(|address| address.as_str());
    address.map(ToOwned::to_owned).ok_or_else(|| {
        RemoteError::Usage("the daemon listens on no TCP address for a browser".to_owned())
    })
}

/// Starts a browser, and leads it to the page.
async fn hand_over(page: &str, environment: &Environment) -> Result<(), RemoteError> {
    let listen = "listen on 127.0.0.1";
    let listener = TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.map_err(RemoteError::local(listen))?;
    let here = listener.local_addr().map_err(RemoteError::local(listen))?;
    let word = random_word()?;
    let address = format!("http://{here}/{word}");
    let path = environment.get("PATH").cloned().unwrap_or_default();
    let opener = procfs::find_program(&PathBuf::from("xdg-open"), path.as_encoded_bytes());
    let opener = opener.ok_or_else(|| {
        let say = "there is no xdg-open here to start a browser with: `deskd open --print` prints the address";
        RemoteError::Usage(say.to_owned())
    })?;
    let browser = Spec::new(opener)
        .arguments([&address])
        .environment(&environment.pairs());
    let browser = browser.start().map_err(|error| RemoteError::Local {
        what: format!("start {}", error.program.display()),
        source: error.source,
    })?;
    let mut visitors = futures_util::stream::FuturesUnordered::new();
    let visited = async {
        loop {
            tokio::select! {
                visitor = listener.accept() => {
                    if let Ok((visitor, from)) = visitor {
                        visitors.push(answer(visitor, from, here, &word, page));
                    }
                }
                Some(led_on) = visitors.next() => if led_on { return },
            }
        }
    };
    let failed = async {
        if browser.wait().await == Ending::Exited(0) {
            std::future::pending::<()>().await; // it has handed the address to a browser that runs already
        }
    };
    let say = "no browser opened the page: `deskd open --print` prints the address for another one";
    tokio::select! {
        biased;
        () = visited => Ok(()),
        () = failed => Err(RemoteError::Failed(say.to_owned())),
        () = tokio::time::sleep(PATIENCE) => Err(RemoteError::Failed(say.to_owned())),
    }
}

/// 128 random bits in hexadecimal digits.
fn random_word() -> Result<String, RemoteError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| RemoteError::Failed(format!("there are no random bits: {error}")))?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// Answers one connection; whether it was led on.
async fn answer(
    mut visitor: TcpStream,
    from: SocketAddr,
    here: SocketAddr,
    word: &str,
    page: &str,
) -> bool {
    let Some(line) = request_line(&mut visitor).await else {
        return false;
    };
    // Another user may have read the address in the list of processes, and be quicker.
    let ours =
        procfs::owner_of_connection(from, here).is_none_or(|user| user == procfs::our_user());
    let asked = line == format!("GET /{word} HTTP/1.1");
    let answer = if ours && asked {
        format!("303 See Other\r\nLocation: {page}\r\nReferrer-Policy: no-referrer")
    } else {
        "404 Not Found".to_owned()
    };
    let answer = format!(
        "HTTP/1.1 {answer}\r\nCache-Control: no-store\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let sent = visitor.write_all(answer.as_bytes()).await;
    let _ = visitor.shutdown().await;
    ours && asked && sent.is_ok()
}

/// The first line of a request, when its head has come; none when there is no whole one.
async fn request_line(visitor: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let size = visitor.read_buf(&mut head).await.ok()?;
        if size == 0 || head.len() > LONGEST {
            return None;
        }
    }
    let line = head.split(|byte| *byte == b'\r').next()?;
    String::from_utf8(line.to_vec()).ok()
}
