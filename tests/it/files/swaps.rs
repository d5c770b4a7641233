//! All routes at once below a root whose directories turn into links that lead out of it, at full speed.

use std::{
    collections::BTreeMap,
    fs,
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, symlink},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::StreamExt;
use reqwest::{Method, RequestBuilder};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::json;

use super::helpers::query;
use crate::support::daemon::Daemon;

/// Stands in names and contents outside, and nowhere inside.
const CANARY: &str = "CANARY";
/// What the requests try to write.
const MARK: &str = "MARK";
/// Requests that run side by side.
const AT_ONCE: usize = 8;

/// How often all routes are asked: as often as is quick, or as `DESKD_STORM_ROUNDS` says.
fn rounds() -> usize {
    #[expect(clippy::disallowed_methods, reason = "what the test was told")]
    let asked = std::env::var("DESKD_STORM_ROUNDS").ok();
    asked.map_or(12, |text| {
        text.parse().expect("DESKD_STORM_ROUNDS is a number")
    })
}

/// `root/gate` is now a directory, now a link to `outside`, which has the same names.
struct Ground {
    _base: tempfile::TempDir,
    root: PathBuf,
    outside: PathBuf,
}

impl Ground {
    fn new() -> Self {
        let base = tempfile::tempdir().expect("a directory");
        let path = fs::canonicalize(base.path()).expect("there");
        let (root, outside) = (path.join("root"), path.join("outside"));
        for (directory, content) in [(root.join("gate"), "inside"), (outside.clone(), CANARY)] {
            fs::create_dir_all(directory.join("sub")).expect("made");
            fs::write(directory.join("secret"), content).expect("written");
            fs::write(directory.join("sub/deep"), content).expect("written");
        }
        fs::write(outside.join(format!("sub/{CANARY}")), "").expect("written");
        symlink(&outside, root.join("bait")).expect("linked");
        fs::write(root.join("own"), "inside").expect("written");
        Self {
            _base: base,
            root,
            outside,
        }
    }

    /// All there is to see of what lies outside.
    fn canary(&self) -> BTreeMap<PathBuf, (u32, u32, i64, i64, Vec<u8>)> {
        let mut all = BTreeMap::new();
        let mut left = vec![self.outside.clone()];
        while let Some(path) = left.pop() {
            let found = fs::symlink_metadata(&path).expect("still there");
            let mut content = Vec::new();
            if found.is_dir() {
                let entries = fs::read_dir(&path).expect("a directory");
                left.extend(entries.map(|entry| entry.expect("an entry").path()));
            } else {
                content = fs::read(&path).expect("read");
            }
            let facts = (
                found.mode(),
                found.uid(),
                found.mtime(),
                found.mtime_nsec(),
                content,
            );
            all.insert(path, facts);
        }
        all
    }

    /// Swaps directory and link until told to stop, and puts back inside what the requests took away.
    fn swap(&self, stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<u64> {
        let (stop, root) = (Arc::clone(stop), self.root.clone());
        let inside = fs::File::open(root.join("gate")).expect("opened");
        let swapper = std::thread::Builder::new().spawn(move || {
            // By the descriptor: a path could lead outside at this very moment.
            let held = PathBuf::from(format!("/proc/self/fd/{}", inside.as_raw_fd()));
            let mut swaps = 0;
            while !stop.load(Ordering::Relaxed) {
                let (one, other) = (root.join("gate"), root.join("bait"));
                renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).expect("swapped");
                swaps += 1;
                if swaps % 64 == 0 {
                    let _ = fs::create_dir(held.join("sub"));
                    let _ = fs::write(held.join("secret"), "inside");
                    let _ = fs::write(held.join("sub/deep"), "inside");
                }
            }
            swaps
        });
        swapper.expect("a thread")
    }
}

/// Every route that takes a path, asked for one behind the gate; `number` makes new names.
fn requests(daemon: &Daemon, root: &Path, number: usize) -> Vec<RequestBuilder> {
    let (gate, secret, sub) = ("gate", "gate/secret", "gate/sub");
    let at = |name: &str| root.join(name);
    let get = |route: &str, name: &str, more: &str| {
        let path = query(&at(name));
        daemon.request(Method::GET, &format!("/api/v0/{route}={path}{more}"))
    };
    let post = |route: &str, body: serde_json::Value| {
        let request = daemon.request(Method::POST, &format!("/api/v0/{route}"));
        request.json(&body)
    };
    let send = |method: Method, route: &str, name: &str, more: &str| {
        let path = query(&at(name));
        daemon.request(method, &format!("/api/v0/{route}?path={path}{more}"))
    };
    let fresh = |name: &str| at(&format!("{name}{number}"));
    let edit =
        json!({"files": [{"path": at(secret), "edits": [{"old_text": CANARY, "new_text": MARK}]}]});
    vec![
        get("read-file?path", secret, ""),
        get("read-file?path", "gate/sub/deep", ""),
        get("read-file-lines?path", secret, ""),
        get("resolve-path?path", secret, ""),
        get("stat?path", secret, "&digest=sha256"),
        get("list?path", gate, "&depth=5"),
        get("list?path", sub, ""),
        get("archive?path", gate, ""),
        get("archive?path", sub, "&format=zip"),
        get("glob?root", gate, "&pattern=**"),
        send(Method::POST, "list-directory", sub, ""),
        post("search", json!({"root": at(gate), "pattern": "CAN.RY"})),
        post("search", json!({"root": root, "pattern": "CAN.RY"})),
        send(Method::POST, "write-file", secret, "").body(MARK),
        send(Method::POST, "write-file", secret, "&append=true").body(MARK),
        send(Method::POST, "write-file", "gate/sub/a/b", "").body(MARK),
        post("edit-files", edit),
        post("mkdir", json!({"path": fresh("gate/d")})),
        post("mkdir", json!({"path": fresh("gate/sub/x/y/d")})),
        post("touch", json!({"path": fresh("gate/t")})),
        post(
            "touch",
            json!({"path": at(secret), "mtime": "2001-01-01T00:00:00Z"}),
        ),
        post(
            "chmod",
            json!({"path": at(sub), "mode": "0777", "recursive": true}),
        ),
        post("copy", json!({"from": at(gate), "to": fresh("copied")})),
        post(
            "copy",
            json!({"from": at("own"), "to": fresh("gate/sub/c")}),
        ),
        post("move", json!({"from": at(secret), "to": fresh("moved")})),
        post(
            "move",
            json!({"from": fresh("moved"), "to": at(secret), "overwrite": true}),
        ),
        post("remove", json!({"path": at(sub), "recursive": true})),
        send(Method::PUT, "archive", sub, "").body(archive()),
        post(
            "materialize",
            json!({"path": at(gate), "to": fresh("made")}),
        ),
        post(
            "mounts",
            json!({"at": format!("/m{number}"), "provider": "host", "directory": at(sub)}),
        ),
    ]
}

/// A tar archive of one file.
fn archive() -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..6].copy_from_slice(b"packed");
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(b"00000000004");
    header[136..147].copy_from_slice(b"00000000000");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut whole = header.to_vec();
    whole.extend_from_slice(MARK.as_bytes());
    whole.resize(512 * 4, 0);
    whole
}

#[tokio::test]
async fn no_route_reads_or_writes_outside_while_directories_turn_into_links() {
    for resolver in ["auto", "walk"] {
        let ground = Ground::new();
        let root = ground.root.to_str().expect("text");
        let daemon = Daemon::start(&["--root", root, "--fs-resolver", resolver]);
        let before = ground.canary();
        let stop = Arc::new(AtomicBool::new(false));
        let swapper = ground.swap(&stop);
        let (mut answers, mut successes) = (0_usize, 0_usize);
        for round in 0..rounds() {
            let requests = requests(&daemon, &ground.root, round);
            let mut running = futures_util::stream::iter(requests)
                .map(async |request| {
                    let answer = request.send().await.expect("an answer");
                    let status = answer.status().as_u16();
                    // A directory that changes while it is packed breaks its archive.
                    (status, answer.bytes().await.unwrap_or_default())
                })
                .buffer_unordered(AT_ONCE);
            while let Some((status, body)) = running.next().await {
                answers += 1;
                successes += usize::from(status < 300);
                let text = String::from_utf8_lossy(&body);
                assert!(status < 500, "{resolver}: {status} {text}");
                assert!(!text.contains(CANARY), "{resolver}: {text}");
            }
            // What was made for one round is not needed in the next.
            let mounts = daemon.get("/api/v0/mounts").await;
            let mounts: serde_json::Value = mounts.json().await.expect("mounts");
            for mount in mounts["mounts"].as_array().expect("a list") {
                if mount["at"].as_str().is_some_and(|at| at.starts_with("/m")) {
                    let id = mount["id"].as_str().expect("an id");
                    let path = format!("/api/v0/mounts/{id}");
                    let gone = daemon.request(Method::DELETE, &path).send().await;
                    assert_eq!(gone.expect("an answer").status(), 204);
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
        let swaps = swapper.join().expect("it ended");
        assert_eq!(
            ground.canary(),
            before,
            "{resolver}: something outside changed"
        );
        assert!(
            successes > answers / 10,
            "{resolver}: {successes} of {answers} did anything"
        );
        assert!(swaps > 1000, "{resolver}: only {swaps} swaps");
        eprintln!("{resolver}: {answers} answers, {successes} successes, {swaps} swaps");
    }
}
