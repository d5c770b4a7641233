//! Commits that are mounted in a running daemon: what git has is what is read, while git packs and prunes, and no program of the
//! repository runs.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::helpers::{header, names, query};
use crate::support::daemon::{Daemon, json as answer};

/// A repository that the git program makes, in a directory of its own.
struct Repo {
    directory: TempDir,
}

impl Repo {
    fn new() -> Self {
        let repo = Self {
            directory: tempfile::tempdir().expect("a directory"),
        };
        repo.git(&["init", "-q", "-b", "main", "."]);
        repo
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, content).expect("written");
    }

    fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-qm", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = git(self.path(), arguments, b"");
        String::from_utf8(output).expect("text").trim_end().into()
    }
}

/// What git says; it must agree.
#[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
fn git(directory: &Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("git")
        .args(["-c", "user.name=x", "-c", "user.email=x@localhost"])
        .args(["-c", "protocol.file.allow=always"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("git is there");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input).expect("taken");
    drop(stdin);
    let output = child.wait_with_output().expect("git ends");
    assert!(output.status.success(), "git {arguments:?}");
    output.stdout
}

async fn mount(daemon: &Daemon, at: &str, repository: &Path, more: Value) -> Value {
    let mut body = json!({"at": at, "provider": "git", "repository": repository});
    for (key, value) in more.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    let (status, made) = answer(daemon.post("/api/v0/mounts", body).await).await;
    assert_eq!(status, 201, "{made}");
    made
}

async fn read(daemon: &Daemon, path: &str) -> (u16, Vec<u8>) {
    let asked = format!("/api/v0/read-file?path={}", query(Path::new(path)));
    let sent = daemon.get(&asked).await;
    let status = sent.status().as_u16();
    (status, sent.bytes().await.expect("whole").to_vec())
}

async fn get(daemon: &Daemon, asked: &str) -> Value {
    let (status, body) = answer(daemon.get(&format!("/api/v0/{asked}")).await).await;
    assert_eq!(status, 200, "{asked}: {body}");
    body
}

/// Path, mode and content of each file of a commit, as git has them.
fn shown(repository: &Path, revision: &str) -> BTreeMap<String, (String, Vec<u8>)> {
    let listed = git(repository, &["ls-tree", "-r", "-z", revision], b"");
    let listed = String::from_utf8(listed).expect("text");
    let files = listed.split_terminator('\0').filter_map(|line| {
        let (about, name) = line.split_once('\t').expect("a name");
        let fields: Vec<_> = about.split(' ').collect();
        (fields[1] == "blob").then(|| {
            let content = git(repository, &["cat-file", "blob", fields[2]], b"");
            (name.to_owned(), (fields[0].to_owned(), content))
        })
    });
    files.collect()
}

/// Every file of a mount is what git has.
async fn agree(daemon: &Daemon, at: &str, due: &BTreeMap<String, (String, Vec<u8>)>) {
    let asked = format!("list?path={}&depth=64&limit=100000", query(Path::new(at)));
    let listed = get(daemon, &asked).await;
    let mut found = Vec::new();
    for entry in listed["entries"].as_array().expect("entries") {
        let path = entry["path"].as_str().expect("text");
        let name = path[at.len() + 1..].to_owned();
        let Some((mode, content)) = due.get(&name) else {
            assert_ne!(entry["type"], "file", "{entry}");
            continue;
        };
        found.push(name);
        if mode == "120000" {
            let target = entry["target"].as_str().expect("a link").as_bytes();
            assert_eq!((&entry["type"], target), (&json!("symlink"), &content[..]));
            continue;
        }
        let due = if mode == "100755" { "0755" } else { "0644" };
        assert_eq!(
            (&entry["mode"], &entry["size"]),
            (&json!(due), &json!(content.len()))
        );
        assert_eq!(read(daemon, path).await, (200, content.clone()), "{path}");
    }
    found.sort();
    assert_eq!(found, due.keys().cloned().collect::<Vec<_>>());
}

/// Some commits of files that change, links, programs and names.
fn history(repo: &Repo) -> Vec<String> {
    let mut commits = Vec::new();
    for round in 0..6 {
        for number in 0..20 {
            let text = format!("round {}\n", round.max(number % 3)).repeat(number * 40);
            repo.write(&format!("d{}/f{number}", number % 4), text);
        }
        repo.write("run.sh", format!("#!/bin/sh\necho {round}\n"));
        let mode = fs::Permissions::from_mode(if round % 2 == 0 { 0o755 } else { 0o644 });
        fs::set_permissions(repo.path().join("run.sh"), mode).expect("set");
        repo.write("two\nlines \u{e9} \u{fffd}", "odd");
        repo.write("large", vec![u8::try_from(round).expect("small"); 3 << 20]);
        if round == 2 {
            symlink("d1/f1", repo.path().join("link")).expect("linked");
        }
        commits.push(repo.commit(&format!("round {round}")));
    }
    commits
}

#[tokio::test]
async fn every_file_of_a_history_is_what_git_shows() {
    let repo = Repo::new();
    let commits = history(&repo);
    let bare = tempfile::tempdir().expect("a directory");
    let (bare_path, linked) = (bare.path().join("bare.git"), bare.path().join("linked"));
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    repo.git(&["clone", "-q", "--bare", ".", &text(&bare_path)]);
    repo.git(&[
        "worktree",
        "add",
        "-q",
        "--detach",
        &text(&linked),
        &commits[1],
    ]);
    let daemon = Daemon::start(&[]);
    for (number, commit) in commits.iter().enumerate() {
        let due = shown(repo.path(), commit);
        let at = format!("/loose{number}");
        mount(&daemon, &at, repo.path(), json!({"revision": commit})).await;
        agree(&daemon, &at, &due).await;
        let at = format!("/bare{number}");
        let back = commits.len() - 1 - number;
        let revision = format!("main~{back}");
        let made = mount(&daemon, &at, &bare_path, json!({"revision": revision})).await;
        assert_eq!(made["options"]["commit"], **commit);
        agree(&daemon, &at, &due).await;
    }
    let made = mount(&daemon, "/linked", &linked, json!({})).await;
    assert_eq!(made["options"]["commit"], commits[1], "its own HEAD");
    agree(&daemon, "/linked", &shown(repo.path(), &commits[1])).await;
    repo.git(&["gc", "-q", "--prune=now"]);
    for (number, commit) in commits.iter().enumerate() {
        agree(
            &daemon,
            &format!("/loose{number}"),
            &shown(repo.path(), commit),
        )
        .await;
    }
    mount(&daemon, "/part", repo.path(), json!({"subdirectory": "d2"})).await;
    let part = get(&daemon, "list?path=/part").await;
    assert_eq!(part["entries"].as_array().map(Vec::len), Some(5), "{part}");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_go_on_while_git_packs_and_prunes() {
    let repo = Repo::new();
    let commits = history(&repo);
    let due = Arc::new(shown(repo.path(), &commits[3]));
    let daemon = Arc::new(Daemon::start(&[]));
    mount(
        &daemon,
        "/old",
        repo.path(),
        json!({"revision": commits[3]}),
    )
    .await;
    let over = Arc::new(AtomicBool::new(false));
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (daemon, due, over) = (Arc::clone(&daemon), Arc::clone(&due), Arc::clone(&over));
        readers.spawn(async move {
            let mut rounds = 0;
            while rounds < 2 || !over.load(Ordering::Relaxed) {
                agree(&daemon, "/old", &due).await;
                rounds += 1;
            }
        });
    }
    let path = repo.path().to_owned();
    let packing = tokio::task::spawn_blocking(move || {
        let work = |arguments: &[&str]| {
            git(&path, arguments, b"");
        };
        for round in 0..3 {
            work(&["repack", "-adq"]);
            fs::write(path.join("more"), format!("{round}")).expect("written");
            work(&["add", "-A"]);
            work(&["commit", "-qm", "more"]);
            work(&["repack", "-dq"]);
            work(&["gc", "-q", "--prune=now"]);
            work(&["-c", "pack.depth=1", "repack", "-adqf"]);
        }
    });
    packing.await.expect("git agrees");
    over.store(true, Ordering::Relaxed);
    while let Some(ended) = readers.join_next().await {
        ended.expect("each file was whole each time");
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one case after the other")]
async fn what_is_stored_is_shown_and_nothing_of_the_repository_runs() {
    let repo = Repo::new();
    let canary = repo.path().join(".git/canary");
    let touch = format!("touch {}; cat", canary.display());
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 123456789\n",
        "0".repeat(64)
    );
    repo.write("model.bin", &pointer);
    repo.write("crlf.txt", "one\ntwo\n");
    repo.write("secret", "left out of archives by git");
    repo.write("doc.odd", "text");
    repo.commit("as they are stored");
    let attributes = "*.bin filter=lfs diff=lfs merge=lfs -text\n*.txt text eol=crlf\n\
                      secret export-ignore\n*.odd diff=odd filter=odd working-tree-encoding=UTF-16\n\
                      * ident\n";
    // Git itself would run the filter when it adds these.
    let blob = git(
        repo.path(),
        &["hash-object", "-w", "--stdin"],
        attributes.as_bytes(),
    );
    let blob = String::from_utf8(blob).expect("text");
    let entry = format!("100644,{},.gitattributes", blob.trim_end());
    repo.git(&["update-index", "--add", "--cacheinfo", &entry]);
    repo.git(&["commit", "-qm", "attributes"]);
    fs::write(repo.path().join(".gitattributes"), attributes).expect("written");
    for key in [
        "filter.lfs.smudge",
        "filter.lfs.clean",
        "filter.lfs.process",
        "filter.odd.smudge",
        "diff.odd.textconv",
        "diff.odd.command",
        "core.fsmonitor",
        "core.sshCommand",
        "core.pager",
        "core.askPass",
        "credential.helper",
        "remote.origin.uploadpack",
        "uploadpack.packObjectsHook",
    ] {
        repo.git(&["config", key, &touch]);
    }
    repo.git(&["config", "core.hooksPath", ".git/odd-hooks"]);
    fs::create_dir(repo.path().join(".git/odd-hooks")).expect("made");
    for hook in [
        "post-checkout",
        "post-index-change",
        "reference-transaction",
        "fsmonitor-watchman",
    ] {
        let path = repo.path().join(".git/odd-hooks").join(hook);
        fs::write(&path, format!("#!/bin/sh\n{touch}\n")).expect("written");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("set");
    }
    let daemon = Daemon::start(&[]);
    mount(&daemon, "/repo", repo.path(), json!({})).await;
    for (name, content) in [
        ("model.bin", pointer.as_str()),
        ("crlf.txt", "one\ntwo\n"),
        ("secret", "left out of archives by git"),
        ("doc.odd", "text"),
        (".gitattributes", attributes),
    ] {
        let path = format!("/repo/{name}");
        assert_eq!(read(&daemon, &path).await, (200, content.into()), "{name}");
        let entry = get(&daemon, &format!("stat?path={path}&digest=sha256")).await;
        assert_eq!(entry["size"], content.len());
    }
    let to = tempfile::tempdir().expect("a directory");
    let body = json!({"path": "/repo", "to": to.path().join("out"), "ignore": false});
    let (status, said) = answer(daemon.post("/api/v0/materialize", body).await).await;
    assert_eq!((status, &said["files"]), (200, &json!(5)), "{said}");
    assert_eq!(
        fs::read(to.path().join("out/crlf.txt")).expect("there"),
        b"one\ntwo\n"
    );
    let body = json!({"root": "/repo", "pattern": "sha256|two", "hidden": true});
    let (_, found) = answer(daemon.post("/api/v0/search", body).await).await;
    assert_eq!(found["end"]["matches"], 2, "{found}");
    let packed = daemon.get("/api/v0/archive?path=/repo").await;
    assert!(packed.bytes().await.expect("whole").len() > 5 * 512);
    assert!(!canary.exists(), "a program of the repository ran");
}

#[tokio::test]
async fn hostile_trees_are_shown_without_what_is_no_name() {
    let repo = Repo::new();
    repo.write("kept", "text");
    let commit = repo.commit("one");
    let id = |spec: String| {
        let hex = repo.git(&["rev-parse", &spec]);
        let pairs = (0..20).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16));
        pairs.collect::<Result<Vec<_>, _>>().expect("hexadecimal")
    };
    let (file, tree) = (
        id(format!("{commit}:kept")),
        id(format!("{commit}^{{tree}}")),
    );
    let mut bytes = Vec::new();
    for (mode, name, id) in [
        ("100644", "", &file),
        ("100644", ".", &file),
        ("40000", "..", &tree),
        ("40000", ".git", &tree),
        ("100644", "a/../../etc/passwd", &file),
        ("100644", "kept", &file),
        ("40000", "kept", &tree),
        ("40000", "sub", &tree),
    ] {
        bytes.extend_from_slice(format!("{mode} {name}\0").as_bytes());
        bytes.extend_from_slice(id);
    }
    let odd = git(
        repo.path(),
        &["hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
        &bytes,
    );
    let odd = String::from_utf8(odd).expect("text");
    let odd = repo.git(&["commit-tree", odd.trim_end(), "-m", "odd"]);
    let daemon = Daemon::start(&[]);
    let made = mount(&daemon, "/odd", repo.path(), json!({"revision": odd})).await;
    let listed = get(&daemon, "list?path=/odd&depth=9").await;
    let listed = listed["entries"].as_array().expect("entries").iter();
    let paths: Vec<_> = listed
        .map(|entry| entry["path"].as_str().expect("text"))
        .collect();
    assert_eq!(paths, ["/odd/kept", "/odd/sub", "/odd/sub/kept"]);
    let id = made["id"].as_str().expect("an id");
    let now = get(&daemon, &format!("mounts/{id}")).await;
    assert_eq!(now["stats"]["skipped"], 6, "{now}");
    assert_eq!(read(&daemon, "/odd/.git/config").await.0, 404);
    assert_eq!(
        read(&daemon, "/odd/../odd/kept").await,
        (200, b"text".into())
    );
    let to = tempfile::tempdir().expect("a directory");
    let body = json!({"path": "/odd", "to": to.path().join("out")});
    let (status, said) = answer(daemon.post("/api/v0/materialize", body).await).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(names(&to.path().join("out")), ["kept", "sub"]);
    assert_eq!(names(to.path()), ["out"]);
}

/// Where an object lies that is in no pack.
fn loose(repo: &Repo, id: &str) -> PathBuf {
    let objects = repo.path().join(".git/objects");
    objects.join(&id[..2]).join(&id[2..])
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one case after the other")]
async fn links_submodules_moved_branches_and_missing_objects() {
    let inner = Repo::new();
    inner.write("inside", "text");
    let pinned = inner.commit("inner");
    let repo = Repo::new();
    let host = tempfile::tempdir().expect("a directory");
    fs::write(host.path().join("file"), "of the machine").expect("written");
    repo.write("d/file", "first");
    symlink("../d/file", repo.path().join("d/up")).expect("linked");
    symlink(host.path().join("file"), repo.path().join("out")).expect("linked");
    symlink("../beside/file", repo.path().join("beside")).expect("linked");
    let path = inner.path().to_str().expect("text");
    repo.git(&["submodule", "add", "-q", path, "sub"]);
    let first = repo.commit("first");
    let daemon = Daemon::start(&[]);
    let made = mount(
        &daemon,
        "/git/now",
        repo.path(),
        json!({"revision": "main"}),
    )
    .await;
    assert_eq!(made["options"]["commit"], first);
    mount(
        &daemon,
        "/git/beside",
        repo.path(),
        json!({"subdirectory": "d"}),
    )
    .await;
    assert_eq!(read(&daemon, "/git/now/d/up").await, (200, b"first".into()));
    assert_eq!(
        read(&daemon, "/git/now/out").await,
        (200, b"of the machine".into())
    );
    assert_eq!(
        read(&daemon, "/git/now/beside").await,
        (200, b"first".into())
    );
    let entry = get(&daemon, "stat?path=/git/now/sub").await;
    assert_eq!(
        (&entry["type"], &entry["commit"]),
        (&json!("submodule"), &json!(pinned))
    );
    let below = get(&daemon, "list?path=/git/now/sub").await;
    assert_eq!(below["entries"], json!([]));
    // The branch moves, the mount does not.
    repo.write("d/file", "second");
    repo.commit("second");
    assert_eq!(
        read(&daemon, "/git/now/d/file").await,
        (200, b"first".into())
    );
    let blob = repo.git(&["rev-parse", &format!("{first}:d/file")]);
    let asked = "/api/v0/read-file?path=/git/now/d/file";
    let sent = daemon.get(asked).await;
    assert_eq!(header(&sent, "etag"), format!("\"g-{blob}\""));
    let again = daemon.request(Method::GET, asked);
    let again = again
        .header("If-None-Match", format!("\"g-{blob}\""))
        .send();
    assert_eq!(again.await.expect("an answer").status(), 304);
    let part = daemon
        .request(Method::GET, asked)
        .header("Range", "bytes=1-2");
    let part = part.send().await.expect("an answer");
    assert_eq!(part.status(), 206);
    assert_eq!(part.text().await.expect("text"), "ir");
    for (route, body) in [
        ("mkdir", json!({"path": "/git/now/x"})),
        ("touch", json!({"path": "/git/now/d/file"})),
        ("chmod", json!({"path": "/git/now/d/file", "mode": "600"})),
        ("remove", json!({"path": "/git/now/d/file"})),
        (
            "move",
            json!({"from": "/git/now/d/file", "to": host.path().join("x")}),
        ),
        (
            "copy",
            json!({"from": host.path().join("file"), "to": "/git/now/x"}),
        ),
        (
            "edit-files",
            json!({"files": [{"path": "/git/now/d/file",
            "edits": [{"old_text": "first", "new_text": "x"}]}]}),
        ),
    ] {
        let (status, said) = answer(daemon.post(&format!("/api/v0/{route}"), body).await).await;
        assert_eq!(
            (status, &said["code"]),
            (403, &json!("read_only")),
            "{route}: {said}"
        );
    }
    fs::remove_file(loose(&repo, &blob)).expect("it is in no pack");
    let (status, body) = read(&daemon, "/git/now/d/file").await;
    let body: Value = serde_json::from_slice(&body).expect("an object");
    assert_eq!(
        (status, &body["code"]),
        (424, &json!("object_missing")),
        "{body}"
    );
    assert!(body.to_string().contains(&blob), "{body}");
    assert_eq!(names(host.path()), ["file"]);
}
