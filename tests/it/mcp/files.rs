//! Tools of files and repositories.

use std::{fs, path::Path};

use serde_json::json;

use super::client::{Client, text};
use crate::support::daemon::Daemon;

fn daemon() -> Daemon {
    Daemon::start(&["--desktop", "off"])
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().expect("UTF-8").to_owned()
}

#[tokio::test]
async fn a_file_is_written_read_edited_moved_and_deleted() {
    let daemon = daemon();
    let client = Client::open(&daemon).await;
    let file = path(daemon.home().path(), "deep/a.txt");
    let written = client
        .done(
            "write_file",
            json!({"path": file, "content": "one\ntwo\nthree\n"}),
        )
        .await;
    assert_eq!(
        (&written["created"], &written["size"]),
        (&json!(true), &json!(14))
    );
    let read = client
        .call("read_file", json!({"path": file, "offset": 2, "limit": 1}))
        .await;
    assert!(text(&read).starts_with("2\ttwo"), "{read}");
    assert!(text(&read).contains("offset 3"), "{read}");
    assert_eq!(read["structuredContent"]["next_offset"], 3);
    let edits = json!({"files": [{"path": file, "edits": [{"old_text": "two", "new_text": "2"}]}]});
    let edited = client.call("edit_files", edits).await;
    assert!(text(&edited).contains("-two\n+2\n"), "{edited}");
    assert_eq!(
        fs::read_to_string(&file).expect("the file"),
        "one\n2\nthree\n"
    );
    let to = path(daemon.home().path(), "b.txt");
    client
        .done("move_file", json!({"from": file, "to": to}))
        .await;
    assert_eq!(
        client.done("delete_file", json!({"path": to})).await["removed"],
        1
    );
    assert!(!Path::new(&to).exists());
    let said = client.refused("read_file", json!({"path": to})).await;
    assert!(
        said.contains("[not_found]") && said.contains("Call list_directory"),
        "{said}"
    );
}

#[tokio::test]
async fn a_missed_edit_shows_the_nearest_text_and_changes_nothing() {
    let daemon = daemon();
    let client = Client::open(&daemon).await;
    let file = path(daemon.home().path(), "a.rs");
    fs::write(&file, "fn alpha() {\n    beta(1);\n}\n").expect("written");
    let edits = json!({"files": [{"path": file, "edits": [
        {"old_text": "alpha", "new_text": "gamma"}, {"old_text": "    beta(2);", "new_text": "x"}]}]});
    let said = client.refused("edit_files", edits).await;
    assert!(
        said.contains("beta(1);") && said.contains("Call read_file"),
        "{said}"
    );
    assert!(
        fs::read_to_string(&file)
            .expect("the file")
            .contains("alpha")
    );
    let dry = json!({"dry_run": true, "files": [{"path": file, "edits": [{"old_text": "alpha", "new_text": "gamma"}]}]});
    client.done("edit_files", dry).await;
    assert!(
        fs::read_to_string(&file)
            .expect("the file")
            .contains("alpha")
    );
}

#[tokio::test]
async fn directories_are_listed_and_names_and_lines_are_found() {
    let daemon = daemon();
    let client = Client::open(&daemon).await;
    let root = daemon.home().path().join("src");
    fs::create_dir_all(root.join("sub")).expect("made");
    fs::write(root.join("a.rs"), "fn main() {}\n").expect("written");
    fs::write(root.join("sub/b.rs"), "// nothing\nfn other() {}\n").expect("written");
    let root = root.to_str().expect("UTF-8");
    let list = client.call("list_directory", json!({"path": root})).await;
    assert_eq!(
        list["structuredContent"]["entries"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    assert!(
        text(&list).contains("sub/") && text(&list).contains("a.rs (13 bytes)"),
        "{list}"
    );
    let page = client
        .done(
            "list_directory",
            json!({"path": root, "depth": 3, "limit": 1}),
        )
        .await;
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    let rest = client
        .done(
            "list_directory",
            json!({"path": root, "depth": 3, "cursor": cursor}),
        )
        .await;
    assert_eq!(rest["entries"].as_array().map(Vec::len), Some(2));
    let read = client.done("read_file", json!({"path": root})).await;
    assert_eq!(
        (&read["type"], read["entries"].as_array().map(Vec::len)),
        (&json!("directory"), Some(2))
    );
    let found = client
        .done("find_files", json!({"path": root, "pattern": "b.*"}))
        .await;
    assert_eq!(
        found["entries"][0]["path"],
        path(Path::new(root), "sub/b.rs")
    );
    let hits = client
        .call(
            "search_files",
            json!({"path": root, "pattern": "fn \\w+", "context": 1}),
        )
        .await;
    let said = text(&hits);
    assert!(
        said.contains("a.rs:1:fn main") && said.contains("b.rs-1-// nothing"),
        "{said}"
    );
    assert_eq!(hits["structuredContent"]["stopped"], "done");
    let counts = client
        .done(
            "search_files",
            json!({"path": root, "pattern": "fn", "output": "counts"}),
        )
        .await;
    assert_eq!(counts["matches"].as_array().map(Vec::len), Some(2));
    let bad = client
        .refused("search_files", json!({"path": root, "pattern": "("}))
        .await;
    assert!(
        bad.contains("[bad_pattern]") && bad.contains("literal"),
        "{bad}"
    );
}

#[tokio::test]
async fn a_picture_in_a_file_is_seen() {
    let daemon = daemon();
    let client = Client::open(&daemon).await;
    let file = path(daemon.home().path(), "a.png");
    let pixels = image::RgbImage::from_pixel(8, 8, image::Rgb([255, 0, 0]));
    pixels.save(&file).expect("written");
    let seen = client.call("read_file", json!({"path": file})).await;
    assert_eq!(seen["content"][1]["mimeType"], "image/png", "{seen}");
    assert_eq!(seen["structuredContent"]["type"], "image");
    let noise: Vec<u8> = (0..3_000_000_u32)
        .map(|i| u8::try_from(i.wrapping_mul(2_654_435_761) >> 24).unwrap_or(0))
        .collect();
    fs::write(&file, noise).expect("written");
    let said = client.refused("read_file", json!({"path": file})).await;
    assert!(
        said.contains("[picture_too_large]") && said.contains("Call launch"),
        "{said}"
    );
}

#[tokio::test]
async fn repositories_are_read() {
    let daemon = daemon();
    let client = Client::open(&daemon).await;
    let root = daemon.home().path().join("repo");
    let root = root.to_str().expect("UTF-8");
    let script = format!(
        "mkdir {root} && cd {root} && git init -q -b main && git config user.name N && git config user.email e@x && \
         echo one > a && git add a && git commit -q -m First && echo two >> a && echo new > b"
    );
    assert_eq!(
        client.done("execute", json!({"command": script})).await["exit_code"],
        0
    );
    let status = client.call("git_status", json!({"path": root})).await;
    assert_eq!(status["structuredContent"]["branch"], "main");
    assert!(
        text(&status).contains("modified a") && text(&status).contains("untracked b"),
        "{status}"
    );
    let diff = client
        .done("git_diff", json!({"path": root, "file": ["a"]}))
        .await;
    let diff = diff["unified_diff"].as_str().expect("a text");
    assert!(diff.contains("+two") && !diff.contains("+new"), "{diff}");
    let log = client.call("git_log", json!({"path": root})).await;
    assert!(text(&log).ends_with("N: First"), "{log}");
    let said = client.refused("git_status", json!({"path": "/"})).await;
    assert!(said.contains("[git_not_a_repository]"), "{said}");
}

#[tokio::test]
async fn names_of_the_workspace_tools_are_taken() {
    let daemon = daemon();
    let client = Client::open(&daemon).await;
    let file = path(daemon.home().path(), "a");
    let write = json!({"workspace": "me/w", "path": file, "content": "b25lCg=="});
    client.done("coder_workspace_write_file", write).await;
    let edits = json!([{"search": "one", "replace": "two"}]);
    client
        .done(
            "coder_workspace_edit_file",
            json!({"workspace": "w", "path": file, "edits": edits}),
        )
        .await;
    let edits = json!([{"path": file, "edits": [{"search": "two", "replace": "three"}]}]);
    client
        .done(
            "coder_workspace_edit_files",
            json!({"workspace": "w", "files": edits}),
        )
        .await;
    let read = client
        .done(
            "coder_workspace_read_file",
            json!({"workspace": "w", "path": file}),
        )
        .await;
    assert!(
        read["content"]
            .as_str()
            .is_some_and(|text| text.starts_with("1\tthree")),
        "{read}"
    );
    let folder = daemon.home().path().to_str().expect("UTF-8");
    client
        .done(
            "coder_workspace_ls",
            json!({"workspace": "w", "path": folder}),
        )
        .await;
    let said = client
        .done(
            "coder_workspace_bash",
            json!({"workspace": "w", "command": "echo hi"}),
        )
        .await;
    assert_eq!(said["output"], "hi\n");
    let names = async |client: &Client<'_>| {
        let list = client.result("tools/list", json!({})).await;
        let tools = list["tools"].as_array().expect("a list").iter();
        tools
            .filter(|tool| {
                tool["name"]
                    .as_str()
                    .is_some_and(|name| name.starts_with("coder_"))
            })
            .count()
    };
    assert_eq!(names(&client).await, 0);
    let listing = Daemon::start(&["--desktop", "off", "--mcp-aliases"]);
    assert_eq!(names(&Client::open(&listing).await).await, 6);
}
