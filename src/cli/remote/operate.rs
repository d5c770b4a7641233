//! For whoever runs the daemon: its state, its desktop, chats and tokens.

use clap::{Args, Subcommand, ValueEnum};
use hyper::Method;
use serde_json::{Value, json};

use super::{RemoteError, client, encoded, list, print};
use crate::{
    client::{Client, error::ClientError, whole},
    config::{Environment, client::ClientArgs},
};

/// `deskd status`
#[derive(Args, Debug)]
pub(in crate::cli) struct Status {
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Status {
    /// Fails when the daemon is not ready.
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let client = client(&self.daemon, environment)?;
        let ready = match client.get("/readyz").await {
            Err(ClientError::Refused(refusal)) if refusal.status == 503 => refusal.body,
            answer => answer?,
        };
        let version = client.get("/api/v0/version").await?;
        let desktop = match client.get("/api/v0/desktop").await {
            Err(ClientError::Refused(refusal)) if refusal.code == "desktop_disabled" => {
                json!({"state": "off"})
            }
            answer => answer?,
        };
        if self.daemon.json {
            print::json(&json!({
                "version": version["version"],
                "listening": version["listening"],
                "ready": ready["ready"],
                "desktop": desktop,
            }))?;
        } else {
            print::line(&format!(
                "deskd {} at {}",
                text(&version["version"]),
                client.place()
            ))?;
            for address in list(&version, "listening") {
                print::line(&format!("listening on {}", text(address)))?;
            }
            print::line(&desktop_line(&desktop))?;
        }
        if ready["ready"] == true {
            Ok(())
        } else {
            Err(RemoteError::Failed("the daemon is not ready".to_owned()))
        }
    }
}

/// A text of an answer, for a terminal.
fn text(value: &Value) -> String {
    print::plain(value.as_str().unwrap_or_default())
}

fn desktop_line(desktop: &Value) -> String {
    let state = format!("desktop {}", text(&desktop["state"]));
    let Some(display) = desktop["display"].as_str() else {
        let why = desktop["last_error"]["message"].as_str();
        return why.map_or(state.clone(), |why| {
            format!("{state}: {}", print::plain(why))
        });
    };
    format!(
        "{state} on {}, {}x{}, {} watch",
        print::plain(display),
        desktop["width"],
        desktop["height"],
        list(desktop, "viewers").len()
    )
}

/// `deskd desktop`
#[derive(Args, Debug)]
pub(in crate::cli) struct Desktop {
    /// What to do; without it the state is told
    #[arg(value_enum)]
    order: Option<Order>,
    /// New size of the desktop in pixels
    #[arg(long, value_name = "WxH", conflicts_with = "order")]
    resize: Option<String>,
    #[command(flatten)]
    daemon: ClientArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Order {
    /// Start it, and wait until it runs
    Start,
    /// End it with all its programs
    Stop,
    /// End it and start a new one
    Restart,
}

impl Desktop {
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let client = client(&self.daemon, environment)?;
        let route = "/api/v0/desktop";
        let order = self.order.map(|order| match order {
            Order::Start => "start",
            Order::Stop => "stop",
            Order::Restart => "restart",
        });
        let answer = match (order, &self.resize) {
            (_, Some(size)) => {
                let body = size_body(size)?;
                client.post(&format!("{route}/resize"), &body).await?
            }
            (Some(order), None) => {
                let path = format!("{route}/{order}");
                client.post(&path, &json!({})).await?
            }
            (None, None) => client.get(route).await?,
        };
        if self.daemon.json {
            print::json(&answer)
        } else {
            print::line(&desktop_line(&answer))
        }
    }
}

fn size_body(size: &str) -> Result<Value, RemoteError> {
    let sides = size.split_once('x').and_then(|(width, height)| {
        let side = |text: &str| text.parse::<u32>().ok();
        Some((side(width)?, side(height)?))
    });
    let wrong = || RemoteError::Usage(format!("--resize {size}: expected as in 1280x800"));
    let (width, height) = sides.ok_or_else(wrong)?;
    Ok(json!({"width": width, "height": height}))
}

/// `deskd chats`
#[derive(Args, Debug)]
pub(in crate::cli) struct Chats {
    /// Archived ones, too
    #[arg(short, long)]
    all: bool,
    /// Delete this one: end its processes, revoke its tokens, forget what it worked on
    #[arg(long, value_name = "UUID")]
    delete: Option<String>,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Chats {
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let client = client(&self.daemon, environment)?;
        if let Some(chat) = &self.delete {
            let path = format!("/api/v0/chats/{}", encoded(chat.as_bytes()));
            let answer = client.send(Method::DELETE, &path, &[], whole("")).await?;
            let answer = answer.json().await?;
            return if self.daemon.json {
                print::json(&answer)
            } else {
                Ok(())
            };
        }
        let which = if self.all { "all" } else { "false" };
        let path = format!("/api/v0/chats?limit=1000&archived={which}");
        let answer = client.get(&path).await?;
        if self.daemon.json {
            return print::json(&answer);
        }
        let mut rows = Vec::new();
        for chat in list(&answer, "chats") {
            add_chat(chat, 0, &mut rows);
        }
        print::table(&rows)
    }
}

/// A chat, and below it, moved to the right, those that it started.
fn add_chat(chat: &Value, depth: usize, rows: &mut Vec<Vec<String>>) {
    let count = |value: &Value, what: &str| format!("{} {what}", value.as_u64().unwrap_or(0));
    rows.push(vec![
        "  ".repeat(depth) + &text(&chat["id"]),
        format!("{:.19}", text(&chat["last_seen_at"])),
        count(&chat["processes"]["running"], "running"),
        count(&chat["connections"], "connections"),
        text(&chat["title"]),
    ]);
    for child in list(chat, "children") {
        add_chat(child, depth + 1, rows);
    }
}

/// `deskd tokens`
#[derive(Args, Debug)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(in crate::cli) struct Tokens {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Makes a token and prints it; it is told this once
    Create(CreateToken),
    /// Lists those that are not over, without their secrets
    List(ListTokens),
    /// Makes a token worthless, and ends its connections
    Revoke(RevokeToken),
}

#[derive(Args, Debug)]
struct CreateToken {
    /// What it may do: desktop:view, desktop:control, process, files:read, files:write, git, admin
    #[arg(required = true)]
    scopes: Vec<String>,
    /// How long it lasts, in seconds, up to 30 days
    #[arg(long, default_value = "3600", value_name = "SECONDS")]
    ttl: u64,
    /// Chat that it is bound to
    #[arg(long, value_name = "UUID")]
    chat: Option<String>,
    /// Words for whoever reads the list
    #[arg(long)]
    label: Option<String>,
    #[command(flatten)]
    daemon: ClientArgs,
}

#[derive(Args, Debug)]
struct ListTokens {
    #[command(flatten)]
    daemon: ClientArgs,
}

#[derive(Args, Debug)]
struct RevokeToken {
    /// Id, as the list has it
    id: String,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Tokens {
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        match self.command {
            TokenCommand::Create(args) => {
                let client = client(&args.daemon, environment)?;
                args.run(&client).await
            }
            TokenCommand::List(args) => {
                let client = client(&args.daemon, environment)?;
                let answer = client.get("/api/v0/tokens").await?;
                if args.daemon.json {
                    return print::json(&answer);
                }
                let rows: Vec<_> = list(&answer, "tokens").iter().map(token_row).collect();
                print::table(&rows)
            }
            TokenCommand::Revoke(args) => {
                let client = client(&args.daemon, environment)?;
                let path = format!("/api/v0/tokens/{}", encoded(args.id.as_bytes()));
                client.send(Method::DELETE, &path, &[], whole("")).await?;
                Ok(())
            }
        }
    }
}

impl CreateToken {
    async fn run(self, client: &Client) -> Result<(), RemoteError> {
        let body = json!({
            "scopes": self.scopes,
            "ttl_s": self.ttl,
            "chat_id": self.chat,
            "label": self.label,
        });
        let made = client.post("/api/v0/tokens", &body).await?;
        if self.daemon.json {
            return print::json(&made);
        }
        print::line(made["token"].as_str().unwrap_or_default())
    }
}

fn token_row(token: &Value) -> Vec<String> {
    let scopes = list(token, "scopes").iter().map(text);
    vec![
        text(&token["id"]),
        scopes.collect::<Vec<_>>().join(","),
        format!("until {:.19}", text(&token["expires_at"])),
        text(&token["chat_id"]),
        text(&token["label"]),
    ]
}
