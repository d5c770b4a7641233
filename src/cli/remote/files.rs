//! Files, as the caller's tree has them. Relative paths begin at the working directory.

use std::{path::PathBuf, process::ExitCode};

use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, StreamBody};
use hyper::{Method, body::Frame, header};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::{RemoteError, absolute, client, encoded, encoded_path, print, progress::Progress};
use crate::{
    cli::complain,
    client::{Body, whole},
    config::{Environment, client::ClientArgs},
};

/// Read at once from standard input.
const PIECE: usize = 256 << 10;

/// `deskd read`
#[derive(Args, Debug)]
pub(in crate::cli) struct Read {
    /// The file
    file: PathBuf,
    /// Lines with their numbers, from this one on
    #[arg(long, value_name = "LINE")]
    from: Option<u64>,
    /// So many lines at most
    #[arg(long, value_name = "LINES", requires = "from")]
    limit: Option<u64>,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Read {
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let client = client(&self.daemon, environment)?;
        let path = encoded_path(&self.file)?;
        if self.from.is_some() || self.daemon.json {
            let (from, limit) = (self.from.unwrap_or(1), self.limit.unwrap_or(0));
            let path = format!(
                "/api/v0/read-file-lines?path={path}&partial=true&offset={from}&limit={limit}"
            );
            let answer = client.get(&path).await?;
            if self.daemon.json {
                return print::json(&answer);
            }
            if answer["success"] == false {
                let error = answer["error"].as_str().unwrap_or_default().to_owned();
                return Err(RemoteError::Usage(error));
            }
            return print::line(answer["content"].as_str().unwrap_or_default());
        }
        let path = format!("/api/v0/read-file?path={path}");
        let mut answer = client.send(Method::GET, &path, &[], whole("")).await?;
        let size = answer.headers.get(header::CONTENT_LENGTH);
        let size = size.and_then(|size| size.to_str().ok()?.parse().ok());
        let mut progress = Progress::of_download(size);
        while let Some(bytes) = answer.chunk().await? {
            print::bytes(&bytes)?;
            progress.add(bytes.len());
        }
        Ok(())
    }
}

/// `deskd write`
#[derive(Args, Debug)]
pub(in crate::cli) struct Write {
    /// The file; missing directories are made
    file: PathBuf,
    /// Add to its end
    #[arg(long)]
    append: bool,
    /// Permissions, as 0755
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,
    /// Only if nothing is there
    #[arg(long)]
    new: bool,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Write {
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let client = client(&self.daemon, environment)?;
        let route = format!("/api/v0/write-file?path={}", encoded_path(&self.file)?);
        let append = self.append.then(|| "&append=true".to_owned());
        let mode = self.mode.as_ref();
        let mode = mode.map(|mode| format!("&mode={}", encoded(mode.as_bytes())));
        let path = route + &append.unwrap_or_default() + &mode.unwrap_or_default();
        let headers = [("if-none-match", "*")];
        let headers = if self.new { &headers[..] } else { &[][..] };
        let answer = client
            .send(Method::POST, &path, headers, standard_input())
            .await?;
        let answer = answer.json().await?;
        if self.daemon.json {
            print::json(&answer)
        } else {
            Ok(())
        }
    }
}

/// Standard input as it comes. An error of it breaks the request off, and the file stays as it was.
fn standard_input() -> Body {
    let begin = Some((tokio::io::stdin(), Progress::of_upload()));
    let pieces = futures_util::stream::unfold(begin, async |state| {
        let (mut stdin, mut progress) = state?;
        let mut piece = vec![0; PIECE];
        match stdin.read(&mut piece).await {
            Ok(0) => None,
            Ok(size) => {
                piece.truncate(size);
                progress.add(size);
                let next = Some((stdin, progress));
                Some((Ok(Frame::data(Bytes::from(piece))), next))
            }
            Err(error) => Some((Err(error), None)),
        }
    });
    StreamBody::new(pieces).boxed_unsync()
}

/// `deskd edit`
#[derive(Args, Debug)]
pub(in crate::cli) struct Edit {
    /// The file
    file: PathBuf,
    /// Text that is there
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    old: String,
    /// Text that takes its place
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    new: String,
    /// Every occurrence; otherwise there must be just one
    #[arg(long)]
    all: bool,
    /// Show what would change
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Edit {
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let edit = json!({"old_text": self.old, "new_text": self.new, "replace_all": self.all});
        let body = json!({
            "files": [{"path": absolute(&self.file)?, "edits": [edit]}],
            "include_diff": true,
            "dry_run": self.dry_run,
        });
        let client = client(&self.daemon, environment)?;
        let answer = client.post("/api/v0/edit-files", &body).await?;
        if self.daemon.json {
            return print::json(&answer);
        }
        let files = answer["files"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        for file in files {
            print::bytes(file["diff"].as_str().unwrap_or_default().as_bytes())?;
        }
        Ok(())
    }
}

/// `deskd ls`
#[derive(Args, Debug)]
pub(in crate::cli) struct Ls {
    /// The directory
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// With type, mode, size and time
    #[arg(short, long)]
    long: bool,
    /// So many levels
    #[arg(long, default_value = "1", value_name = "LEVELS")]
    depth: u32,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Ls {
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let client = client(&self.daemon, environment)?;
        let top = absolute(&self.directory)?;
        let base = format!(
            "/api/v0/list?path={}&depth={}",
            encoded_path(&self.directory)?,
            self.depth
        );
        let mut cursor = String::new();
        loop {
            let answer = client.get(&format!("{base}{cursor}")).await?;
            if self.daemon.json {
                print::json(&answer)?;
            } else {
                let entries = answer["entries"]
                    .as_array()
                    .map(Vec::as_slice)
                    .unwrap_or_default();
                let rows: Vec<_> = entries.iter().map(|entry| self.row(&top, entry)).collect();
                print::table(&rows)?;
            }
            match answer["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={}", encoded(next.as_bytes())),
                None => return Ok(()),
            }
        }
    }

    fn row(&self, top: &std::path::Path, entry: &Value) -> Vec<String> {
        let text = |name: &str| entry[name].as_str().unwrap_or_default();
        let path = std::path::Path::new(text("path"));
        let mut name = print::plain(&path.strip_prefix(top).unwrap_or(path).to_string_lossy());
        if self.long && text("type") == "symlink" {
            name = format!("{name} -> {}", print::plain(text("target")));
        } else if text("type") == "dir" {
            name.push('/');
        }
        if !self.long {
            return vec![name];
        }
        let size = entry["size"]
            .as_u64()
            .map_or_else(|| "-".to_owned(), |size| format!("{size:>12}"));
        vec![
            text("type").to_owned(),
            text("mode").to_owned(),
            size,
            text("mtime").to_owned(),
            name,
        ]
    }
}

/// `deskd find`
#[derive(Args, Debug)]
pub(in crate::cli) struct Find {
    /// Glob, as *.rs or src/**/*.{ts,tsx}
    pattern: String,
    /// Where to begin
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// Hidden and ignored ones, too
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Find {
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let client = client(&self.daemon, environment)?;
        let root = encoded_path(&self.directory)?;
        let pattern = encoded(self.pattern.as_bytes());
        let (ignore, hidden) = (!self.all, self.all);
        let base =
            format!("/api/v0/glob?root={root}&pattern={pattern}&ignore={ignore}&hidden={hidden}");
        let mut cursor = String::new();
        loop {
            let answer = client.get(&format!("{base}{cursor}")).await?;
            if self.daemon.json {
                print::json(&answer)?;
            } else {
                let entries = answer["entries"]
                    .as_array()
                    .map(Vec::as_slice)
                    .unwrap_or_default();
                for entry in entries {
                    print::line(&print::plain(entry["path"].as_str().unwrap_or_default()))?;
                }
            }
            match answer["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={}", encoded(next.as_bytes())),
                None => return Ok(()),
            }
        }
    }
}

/// `deskd search`
#[derive(Args, Debug)]
pub(in crate::cli) struct Search {
    /// Regular expression
    pattern: String,
    /// A directory, or a file
    #[arg(default_value = ".")]
    root: PathBuf,
    /// The pattern is a text
    #[arg(short = 'F', long)]
    fixed: bool,
    /// Upper and lower case are alike
    #[arg(short, long)]
    ignore_case: bool,
    /// Which files; ! in front excludes; repeatable
    #[arg(short, long, value_name = "GLOB")]
    glob: Vec<String>,
    /// At most so many lines
    #[arg(long, default_value = "1000", value_name = "LINES")]
    limit: u32,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Search {
    /// Ends with 1 when there is no such line, as grep does.
    pub(super) async fn run(self, environment: &Environment) -> Result<ExitCode, RemoteError> {
        let body = json!({
            "root": absolute(&self.root)?,
            "pattern": self.pattern,
            "syntax": if self.fixed { "literal" } else { "regex" },
            "case": if self.ignore_case { "insensitive" } else { "sensitive" },
            "glob": self.glob,
            "limit": self.limit,
        });
        let answer = client(&self.daemon, environment)?
            .post("/api/v0/search", &body)
            .await?;
        let matches = answer["matches"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        if self.daemon.json {
            print::json(&answer)?;
        } else {
            for found in matches {
                let text =
                    |name: &str| print::plain(found[name].as_str().unwrap_or_default().trim_end());
                print::line(&format!(
                    "{}:{}:{}",
                    text("path"),
                    found["line"],
                    text("text")
                ))?;
            }
            if answer["end"]["stopped"] != "done" {
                let why = answer["end"]["stopped"].as_str().unwrap_or_default();
                complain(&format!(
                    "the search stopped early ({why}); there may be more"
                ));
            }
        }
        Ok(if matches.is_empty() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}
