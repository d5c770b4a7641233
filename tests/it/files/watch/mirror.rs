//! A client that keeps a picture of a tree by what it is told.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::StreamExt;
use serde_json::Value;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::{
    files::helpers,
    support::daemon::{Daemon, PATIENCE, Socket},
};

/// Whether each path is a directory.
pub type Tree = BTreeMap<PathBuf, bool>;

/// What is below a directory. When directories move while it is listed, it is listed again.
pub fn tree(root: &Path) -> Tree {
    for _ in 0..10_000 {
        if let Ok(found) = try_tree(root) {
            return found;
        }
    }
    panic!("{} never keeps still", root.display());
}

fn try_tree(root: &Path) -> io::Result<Tree> {
    let mut found = Tree::new();
    let mut due = vec![root.to_owned()];
    while let Some(directory) = due.pop() {
        let entries = match fs::read_dir(&directory) {
            // The next records tell what became of it.
            Err(_) if directory == root => break,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let is_directory = entry.file_type()?.is_dir();
            if is_directory {
                due.push(entry.path());
            }
            found.insert(entry.path(), is_directory);
        }
    }
    Ok(found)
}

/// The route, of a path.
pub fn route(path: &Path, more: &str) -> String {
    format!("/api/v0/files/watch?path={}{more}", helpers::query(path))
}

/// Takes one message of a socket; none when it was closed, with the code.
pub async fn next(socket: &mut Socket) -> Result<Value, u16> {
    loop {
        let message = timeout(PATIENCE, socket.next()).await;
        match message
            .expect("a message in time")
            .expect("an end by a close frame")
        {
            Ok(Message::Text(text)) => return Ok(serde_json::from_str(&text).expect("JSON")),
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(Message::Close(Some(frame))) => return Err(frame.code.into()),
            other => panic!("unexpected {other:?}"),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Mirror {
    pub socket: Socket,
    pub root: PathBuf,
    pub known: Tree,
    /// All records but overflows.
    pub told: Vec<Value>,
    pub overflows: Vec<Value>,
}

impl Mirror {
    /// Watches, and lists when all is set.
    pub async fn start(daemon: &Daemon, root: &Path, more: &str) -> Self {
        let mut socket = daemon
            .websocket(&route(root, more))
            .await
            .expect("it is watched");
        let first = next(&mut socket).await.expect("a first message");
        assert_eq!(first["ready"], true, "{first}");
        Self {
            socket,
            root: root.to_owned(),
            known: tree(root),
            told: Vec::new(),
            overflows: Vec::new(),
        }
    }

    /// Takes one message.
    pub async fn take(&mut self) {
        let message = next(&mut self.socket).await.expect("the watch goes on");
        let events = message["events"].as_array().expect("events");
        assert!(events.len() <= 500, "{} events", events.len());
        for event in events {
            self.apply(event);
        }
    }

    /// Takes messages until the picture is the tree as it is.
    pub async fn agree(&mut self) {
        let mut quiet = 0;
        while quiet < 200 {
            if timeout(Duration::from_millis(100), self.take())
                .await
                .is_ok()
            {
                quiet = 0;
                continue;
            }
            quiet += 1;
            if self.known == tree(&self.root) {
                return;
            }
        }
        let now = tree(&self.root);
        let only = |one: &Tree, other: &Tree| -> Vec<PathBuf> {
            let missing = one
                .iter()
                .filter(|(path, kind)| other.get(*path) != Some(kind));
            missing.map(|(path, _)| path.clone()).take(20).collect()
        };
        panic!(
            "on disk only {:?}, known only {:?}, last told {:#?}",
            only(&now, &self.known),
            only(&self.known, &now),
            self.told.iter().rev().take(20).collect::<Vec<_>>()
        );
    }

    /// Takes messages until one tells of a path.
    pub async fn until(&mut self, name: &str) {
        let path = self.root.join(name);
        let path = path.to_str().expect("text");
        let mut seen = 0;
        while !self.told[seen..].iter().any(|event| event["path"] == path) {
            seen = self.told.len();
            self.take().await;
        }
    }

    /// Kind, old name and name of what was told since last asked, as seen from the root.
    pub fn told(&mut self) -> Vec<String> {
        let below = |value: &Value| {
            let path = value.as_str().map(Path::new)?;
            let below = path.strip_prefix(&self.root).expect("below the root");
            Some(below.to_str().expect("text").to_owned())
        };
        let line = |event: &Value| {
            let from = below(&event["from"]).map_or_else(String::new, |from| format!("{from} > "));
            let kind = event["type"].as_str().expect("a type");
            format!("{kind} {from}{}", below(&event["path"]).expect("a path"))
        };
        let lines = self.told.iter().map(line).collect();
        self.told.clear();
        lines
    }

    fn apply(&mut self, event: &Value) {
        let path = PathBuf::from(event["path"].as_str().expect("a path"));
        if event["type"] == "overflow" {
            let below = |other: &Path| other.starts_with(&path) && other != path;
            self.known.retain(|other, _| !below(other));
            self.known.extend(tree(&path));
            self.overflows.push(event.clone());
            return;
        }
        self.told.push(event.clone());
        let is_directory = event["entry_type"] == "dir";
        match event["type"].as_str().expect("a type") {
            "create" | "modify" | "attrib" => {
                if path != self.root {
                    self.known.insert(path, is_directory);
                }
            }
            "remove" => self.known.retain(|other, _| !other.starts_with(&path)),
            "rename" => {
                let from = PathBuf::from(event["from"].as_str().expect("from somewhere"));
                self.rename(&from, &path, is_directory);
            }
            other => panic!("unknown type {other}"),
        }
    }

    fn rename(&mut self, from: &Path, to: &Path, is_directory: bool) {
        self.known.retain(|other, _| !other.starts_with(to));
        if !self.known.contains_key(from) {
            // What came from a place that was never seen is looked at.
            self.known.insert(to.to_owned(), is_directory);
            self.known.extend(tree(to));
            return;
        }
        let moved: Vec<_> = self
            .known
            .keys()
            .filter(|other| other.starts_with(from))
            .cloned()
            .collect();
        for old in moved {
            let kind = self.known.remove(&old).expect("it is known");
            let rest = old.strip_prefix(from).expect("below");
            let new: PathBuf = to.iter().chain(rest.iter()).collect();
            self.known.insert(new, kind);
        }
    }
}

/// A small generator (xorshift64, Marsaglia 2003), so that a storm can be made again.
#[derive(Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    /// One of a few paths below a directory.
    pub fn place(&mut self, root: &Path) -> PathBuf {
        let depth = 1 + self.roll(3);
        (0..depth).fold(root.to_owned(), |path, _| {
            path.join(format!("n{}", self.roll(4)))
        })
    }
}
