//! Pictures and input.

use std::{io::IsTerminal, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use hyper::Method;
use serde_json::{Value, json};

use super::{RemoteError, client, print, with_query};
use crate::{
    client::{Client, error::ClientError, whole},
    config::{Environment, client::ClientArgs},
};

/// `deskd screenshot`
#[derive(Args, Debug)]
pub(in crate::cli) struct Screenshot {
    /// File to write, - for standard output; its ending is the format: png, jpeg, webp
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Part of the screen
    #[arg(long, value_name = "X,Y,W,H")]
    region: Option<String>,
    /// Width of the picture in pixels; the height follows
    #[arg(long, value_name = "PIXELS")]
    width: Option<u32>,
    /// Without the pointer
    #[arg(long)]
    no_cursor: bool,
    /// Wait until nothing has changed for so many milliseconds
    #[arg(long, value_name = "MS")]
    settle: Option<u32>,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Screenshot {
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let client = client(&self.daemon, environment)?;
        let to_stdout = self.file.as_os_str() == "-";
        if to_stdout && std::io::stdout().is_terminal() {
            let say = "a terminal shows no pictures: name a file, as in `deskd screenshot out.png`";
            return Err(RemoteError::Usage(say.to_owned()));
        }
        let format = format_of(&self.file)?;
        let cursor = if self.no_cursor { "false" } else { "true" };
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        let path = with_query(
            "/api/v0/desktop/screenshot",
            &[
                ("format", Some(format.to_owned())),
                ("cursor", Some(cursor.to_owned())),
                ("region", self.region.clone()),
                ("width", number(self.width)),
                ("settle_ms", number(self.settle)),
            ],
        );
        let answer = client.send(Method::GET, &path, &[], whole("")).await?;
        let picture = answer.bytes().await?;
        if to_stdout {
            return print::bytes(&picture);
        }
        save(&self.file, &picture)?;
        if self.daemon.json {
            let file = self.file.to_string_lossy();
            return print::json(&json!({"file": file, "format": format, "bytes": picture.len()}));
        }
        Ok(())
    }
}

fn save(file: &std::path::Path, picture: &[u8]) -> Result<(), RemoteError> {
    let what = format!("write {}", file.display());
    std::fs::write(file, picture).map_err(RemoteError::local(what))
}

fn format_of(file: &std::path::Path) -> Result<&'static str, RemoteError> {
    let ending = file.extension().and_then(|ending| ending.to_str());
    Ok(match ending.map(str::to_ascii_lowercase).as_deref() {
        None | Some("png") => "png",
        Some("jpg" | "jpeg") => "jpeg",
        Some("webp") => "webp",
        Some(other) => {
            let say = format!("no picture is a .{other}: end the name in .png, .jpg or .webp");
            return Err(RemoteError::Usage(say));
        }
    })
}

/// `deskd watch`
#[derive(Args, Debug)]
pub(in crate::cli) struct Watch {
    /// Folder for the pictures, which are numbered; made when missing
    folder: PathBuf,
    /// Time between two looks in milliseconds
    #[arg(long, default_value = "1000", value_name = "MS", value_parser = clap::value_parser!(u64).range(20..))]
    every: u64,
    /// End after so many pictures
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Watch {
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let client = client(&self.daemon, environment)?;
        let what = format!("make {}", self.folder.display());
        std::fs::create_dir_all(&self.folder).map_err(RemoteError::local(what))?;
        let mut looks = tokio::time::interval(Duration::from_millis(self.every));
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut number, mut tag) = (0_u64, String::new());
        while self.count.is_none_or(|count| number < count) {
            looks.tick().await;
            let headers = [("if-none-match", tag.as_str())];
            let headers = if tag.is_empty() {
                &[][..]
            } else {
                &headers[..]
            };
            let path = "/api/v0/desktop/screenshot";
            let answer = match client.send(Method::GET, path, headers, whole("")).await {
                Ok(answer) => answer,
                Err(ClientError::Refused(refusal)) if refusal.status == 304 => continue,
                Err(error) => return Err(error.into()),
            };
            let new = answer.headers.get("etag").and_then(|tag| tag.to_str().ok());
            tag = new.unwrap_or_default().to_owned();
            let picture = answer.bytes().await?;
            number += 1;
            let file = self.folder.join(format!("{number:06}.png"));
            save(&file, &picture)?;
            let file = file.to_string_lossy();
            if self.daemon.json {
                print::row(&json!({"file": file, "bytes": picture.len()}))?;
            } else {
                print::line(&file)?;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Button {
    Left,
    Right,
    Middle,
    Double,
    Triple,
}

/// `deskd click`
#[derive(Args, Debug)]
pub(in crate::cli) struct Click {
    /// Pixels from the left
    x: i32,
    /// Pixels from the top
    y: i32,
    /// Which button, or how often the left one
    #[arg(long, value_enum, default_value = "left")]
    button: Button,
    /// Keys that are held meanwhile, as ctrl+shift
    #[arg(long, value_name = "KEYS")]
    hold: Option<String>,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Click {
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let action = match self.button {
            Button::Left => "left_click",
            Button::Right => "right_click",
            Button::Middle => "middle_click",
            Button::Double => "double_click",
            Button::Triple => "triple_click",
        };
        let mut action = json!({"action": action, "coordinate": [self.x, self.y]});
        if let Some(keys) = self.hold {
            action["text"] = keys.into();
        }
        perform(&self.daemon, environment, json!([action])).await
    }
}

/// `deskd type`
#[derive(Args, Debug)]
pub(in crate::cli) struct Type {
    /// The text; - takes it from standard input, where other users of the machine do not see it
    #[arg(allow_hyphen_values = true)]
    text: String,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Type {
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let text = match self.text.as_str() {
            "-" => standard_input()?,
            _ => self.text,
        };
        let action = json!([{"action": "type", "text": text}]);
        perform(&self.daemon, environment, action).await
    }
}

/// `deskd key`
#[derive(Args, Debug)]
pub(in crate::cli) struct Key {
    /// Keys and combinations, one after the other: ctrl+s Return
    #[arg(required = true)]
    keys: Vec<String>,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Key {
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let press = |keys: &String| json!({"action": "key", "text": keys});
        let actions: Vec<_> = self.keys.iter().map(press).collect();
        perform(&self.daemon, environment, actions.into()).await
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Direction {
    Up,
    Down,
    Left,
    Right,
}

/// `deskd scroll`
#[derive(Args, Debug)]
pub(in crate::cli) struct Scroll {
    /// Pixels from the left
    x: i32,
    /// Pixels from the top
    y: i32,
    /// Where to
    #[arg(value_enum)]
    direction: Direction,
    /// Clicks of the wheel
    #[arg(default_value = "3")]
    amount: u32,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Scroll {
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let direction = match self.direction {
            Direction::Up => "up",
            Direction::Down => "down",
            Direction::Left => "left",
            Direction::Right => "right",
        };
        let action = json!({
            "action": "scroll",
            "coordinate": [self.x, self.y],
            "scroll_direction": direction,
            "scroll_amount": self.amount,
        });
        perform(&self.daemon, environment, json!([action])).await
    }
}

/// `deskd actions`
#[derive(Args, Debug)]
pub(in crate::cli) struct Actions {
    /// JSON: a list of actions, or the whole body of POST /api/v0/desktop/actions; - is standard input
    file: PathBuf,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Actions {
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let what = format!("read {}", self.file.display());
        let text = match self.file.to_str() {
            Some("-") => standard_input()?,
            _ => std::fs::read_to_string(&self.file).map_err(RemoteError::local(what))?,
        };
        let body: Value = serde_json::from_str(&text).map_err(|error| {
            RemoteError::Usage(format!("{} is no JSON: {error}", self.file.display()))
        })?;
        let body = if body.is_array() {
            json!({"actions": body})
        } else {
            body
        };
        let answer = client(&self.daemon, environment)?;
        let answer = answer.post("/api/v0/desktop/actions", &body).await?;
        print::json(&answer)
    }
}

/// Runs actions, and prints what came of them when it is asked for.
async fn perform(
    daemon: &ClientArgs,
    environment: &Environment,
    actions: Value,
) -> Result<(), RemoteError> {
    let client: Client = client(daemon, environment)?;
    let body = json!({"actions": actions});
    let answer = client.post("/api/v0/desktop/actions", &body).await?;
    if daemon.json {
        print::json(&answer)
    } else {
        Ok(())
    }
}

pub(super) fn standard_input() -> Result<String, RemoteError> {
    std::io::read_to_string(std::io::stdin()).map_err(RemoteError::local("read standard input"))
}

/// `deskd windows`
#[derive(Args, Debug)]
pub(in crate::cli) struct Windows {
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Windows {
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let answer = client(&self.daemon, environment)?
            .get("/api/v0/desktop/windows")
            .await?;
        if self.daemon.json {
            return print::json(&answer);
        }
        let windows = answer["windows"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let rows: Vec<_> = windows.iter().map(row).collect();
        print::table(&rows)
    }
}

fn row(window: &Value) -> Vec<String> {
    let text = |name: &str| print::plain(window[name].as_str().unwrap_or_default());
    let size = format!("{}x{}", window["width"], window["height"]);
    let place = format!("+{}+{}", window["x"], window["y"]);
    let focus = if window["focused"] == true { "*" } else { " " };
    vec![
        window["id"].to_string(),
        focus.to_owned(),
        size + &place,
        text("class"),
        text("title"),
    ]
}
