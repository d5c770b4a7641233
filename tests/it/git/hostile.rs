//! Repositories that somebody wrote to make a scan hang, look elsewhere, grow, or fall over.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nix::{sys::stat::Mode, unistd::mkfifo};

use super::{
    repo::{Case, Repo},
    viewer::{Viewer, diff},
};
use crate::support::eventually_async;

/// How long an answer may take that does not wait for anything: far below the 30 s of a request.
const SOON: Duration = Duration::from_secs(15);

async fn answers(case: &Case, route: &str, repo: &Path, what: &str) -> u16 {
    let answer = tokio::time::timeout(SOON, case.send(route, repo, "")).await;
    answer
        .unwrap_or_else(|_| panic!("it hangs: {what}"))
        .status()
        .as_u16()
}

/// A repository with a file of each kind that git keeps.
fn packed(case: &Case) -> Repo {
    let repo = case.repo("a", &[("a", "a\n"), ("d/b", "b\n"), (".gitmodules", "")]);
    for number in 0..5 {
        repo.write("a", format!("{number}\n"));
        repo.commit("more");
    }
    repo.git(&["gc", "-q"]);
    repo.git(&["multi-pack-index", "write"]);
    repo.git(&["commit-graph", "write", "--reachable"]);
    repo.write("a", "loose\n");
    repo.commit("loose");
    repo.write("a", "changed\n");
    repo
}

#[tokio::test]
async fn a_fifo_in_the_place_of_any_file_stops_nothing() {
    let case = Case::new();
    let repo = packed(&case);
    let packs = fs::read_dir(repo.at(".git/objects/pack"))
        .expect("read")
        .flatten();
    let mut places: Vec<String> = packs
        .map(|entry| format!(".git/objects/pack/{}", entry.file_name().to_string_lossy()))
        .collect();
    assert!(places.len() >= 3, "{places:?}");
    let more = [
        ".git/HEAD",
        ".git/index",
        ".git/config",
        ".git/config.worktree",
        ".git/commondir",
        ".git/packed-refs",
        ".git/shallow",
        ".git/refs/heads/main",
        ".git/info/exclude",
        ".git/info/attributes",
        ".git/info/grafts",
        ".git/info/sparse-checkout",
        ".git/objects/info/alternates",
        ".git/objects/info/commit-graph",
        ".git/objects/info/packs",
        ".git/MERGE_HEAD",
        ".git/rebase-merge",
        ".git/logs/HEAD",
        ".git/objects/info",
        ".git/objects/pack",
        ".git/objects",
        ".git/refs",
        ".git/refs/heads",
        ".git/info",
        ".gitignore",
        ".gitattributes",
        ".gitmodules",
        "a",
        "d",
        "d/.gitignore",
        ".git",
    ];
    places.extend(more.map(str::to_owned));
    let id = repo.git(&["rev-parse", "HEAD:a"]);
    places.push(format!(".git/objects/{}/{}", &id[..2], id[2..].trim()));
    let kept = case.work.path().join("kept");
    for place in &places {
        let at = repo.at(place);
        let had = fs::symlink_metadata(&at).is_ok();
        if had {
            fs::rename(&at, &kept).expect("moved away");
        }
        mkfifo(&at, Mode::S_IRWXU).expect("a FIFO");
        for route in ["diff", "status", "log", "show"] {
            answers(&case, route, &repo.0, place).await;
        }
        fs::remove_file(&at).expect("removed");
        if had {
            fs::rename(&kept, &at).expect("moved back");
        }
    }
    assert_eq!(answers(&case, "diff", &repo.0, "whole again").await, 200);
}

#[tokio::test]
async fn what_leads_elsewhere_is_refused_or_is_what_it_leads_to() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n")]);
    let work = case.work.path().canonicalize().expect("there");
    // A link to a git directory that is ours is what git makes of `--separate-git-dir`, too.
    fs::rename(repo.at(".git"), work.join("elsewhere")).expect("moved");
    symlink(work.join("elsewhere"), repo.at(".git")).expect("a link");
    assert_eq!(answers(&case, "diff", &repo.0, "a link").await, 200);
    let mut due = vec![
        ("gitdir: /nonexistent\n".to_owned(), 404),
        ("gitdir: /proc/self\n".to_owned(), 404),
        ("gitdir: /proc/self/root\n".to_owned(), 404),
        ("gitdir: /proc/self/fd/0\n".to_owned(), 404),
        ("gitdir: /dev/zero\n".to_owned(), 404),
        ("gitdir: .\n".to_owned(), 404),
        ("gitdir: .git\n".to_owned(), 404),
        ("gitdir: \n".to_owned(), 404),
        (String::new(), 404),
        ("gitdir: ".to_owned() + &"x".repeat(100_000), 422),
        (
            format!("gitdir: {}\n", work.join("elsewhere").display()),
            200,
        ),
    ];
    for (content, status) in due.drain(..) {
        fs::remove_file(repo.at(".git")).expect("removed");
        fs::write(repo.at(".git"), &content).expect("written");
        let what = content.chars().take(40).collect::<String>();
        assert_eq!(
            answers(&case, "diff", &repo.0, &what).await,
            status,
            "{what}"
        );
    }
    for target in [
        "/proc/self",
        "/proc/self/cwd",
        "/dev/zero",
        "/dev/tty",
        ".git",
        "..",
        "/",
    ] {
        fs::remove_file(repo.at(".git")).expect("removed");
        symlink(target, repo.at(".git")).expect("a link");
        // A link to itself cannot be read; the others lead to no repository.
        let status = if target == ".git" { 422 } else { 404 };
        assert_eq!(
            answers(&case, "diff", &repo.0, target).await,
            status,
            "{target}"
        );
    }
}

#[tokio::test]
async fn submodules_cannot_lead_out_of_the_work_tree() {
    let case = Case::new();
    let secret = case.repo("secret", &[("s", "SECRET\n")]);
    secret.write("s", "SECRET CHANGED\n");
    let repo = case.repo("a", &[("a", "a\n")]);
    let id = secret.git(&["rev-parse", "HEAD"]);
    // git adds no such path: it is written over one of the same length.
    repo.git(&[
        "update-index",
        "--add",
        "--cacheinfo",
        &format!("160000,{},xx/secret", id.trim()),
    ]);
    let index = fs::read(repo.at(".git/index")).expect("an index");
    for name in [
        &b"../secret"[..],
        b"./secret",
        b"/./secret",
        b".git/cret",
        b"a//secret",
    ] {
        let at = index
            .windows(9)
            .position(|window| window == b"xx/secret")
            .expect("there");
        let mut bytes = index.clone();
        bytes[at..at + 9]
            .copy_from_slice(&[name, &b"xxxxxxxxx"[..9 - name.len().min(9)]].concat()[..9]);
        // A trailer of nothing says that it was not hashed (git-index-format).
        let length = bytes.len();
        bytes[length - 20..].fill(0);
        fs::write(repo.at(".git/index"), bytes).expect("written");
        let answer = tokio::time::timeout(SOON, case.send("diff", &repo.0, "")).await;
        let text = answer.expect("in time").text().await.expect("a text");
        assert!(
            !text.contains("SECRET") && !text.contains("-dirty"),
            "{text}"
        );
    }
    // Nor by a link, nor endlessly.
    fs::write(repo.at(".git/index"), &index).expect("written");
    fs::create_dir(repo.at("xx")).expect("made");
    symlink(&secret.0, repo.at("xx/secret")).expect("a link");
    let text = case
        .send("diff", &repo.0, "")
        .await
        .text()
        .await
        .expect("a text");
    assert!(
        !text.contains("SECRET") && !text.contains("-dirty"),
        "{text}"
    );
    let mut deep = repo.0.clone();
    for _ in 0..60 {
        let name = Repo(deep.clone());
        if !deep.join(".git").exists() {
            name.git(&["init", "-q", "-b", "main"]);
            fs::write(deep.join("f"), "f\n").expect("written");
        }
        name.git(&[
            "update-index",
            "--add",
            "--cacheinfo",
            &format!("160000,{},s", id.trim()),
        ]);
        name.git(&["commit", "-q", "--allow-empty", "-m", "x"]);
        deep.push("s");
        fs::create_dir_all(&deep).expect("made");
    }
    assert_eq!(
        answers(&case, "diff", &repo.0, "submodules in submodules").await,
        200
    );
}

#[tokio::test]
async fn what_is_rewritten_all_the_time_ends_with_its_last_state() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n"), ("b", "b\n")]);
    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    viewer.entry().await;
    let (ends, root) = (Arc::new(AtomicBool::new(false)), repo.0.clone());
    let ended = Arc::clone(&ends);
    let writer = tokio::task::spawn_blocking(move || {
        let repo = Repo(root);
        let read = |name: &str| fs::read(repo.at(name)).expect("read");
        let (head, index, config) = (read(".git/HEAD"), read(".git/index"), read(".git/config"));
        let mut round = 0_u32;
        while !ended.load(Ordering::Relaxed) {
            round += 1;
            let part = |bytes: &[u8]| bytes[..(round as usize * 7) % bytes.len()].to_vec();
            repo.write(".git/HEAD", part(&head));
            repo.write(".git/index", part(&index));
            repo.write(".git/config", part(&config));
            repo.write("a", format!("{round}\n"));
            let _ = fs::remove_file(repo.at("b"));
            let _ = symlink("/etc/passwd", repo.at("b"));
            repo.write(".git/HEAD", &head);
            repo.write(".git/index", &index);
            repo.write(".git/config", &config);
            let _ = fs::remove_file(repo.at("b"));
            repo.write("b", "b\n");
        }
        repo.write("a", "the last\n");
    });
    let began = tokio::time::Instant::now();
    let before = case.metric("deskd_git_scan_seconds_count").await;
    while began.elapsed() < Duration::from_secs(4) {
        let text = case
            .send("diff", &repo.0, "")
            .await
            .text()
            .await
            .expect("a text");
        assert!(!text.contains("root:"), "{text}");
    }
    let scans = case.metric("deskd_git_scan_seconds_count").await - before;
    // One a second, and the one that was under way.
    assert!(scans <= began.elapsed().as_secs() + 3, "{scans} scans");
    ends.store(true, Ordering::Relaxed);
    writer.await.expect("it wrote");
    viewer.say(r#"{"type": "refresh"}"#).await;
    viewer
        .until("the last state", |entry| {
            diff(entry).contains("+the last") && !diff(entry).contains("b/b")
        })
        .await;
}

#[tokio::test]
async fn it_may_be_packed_rebased_and_deleted_while_it_is_watched() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n")]);
    repo.git(&["checkout", "-q", "-b", "side"]);
    for number in 0..8 {
        repo.write(&format!("side{number}"), "x\n");
        repo.commit("side");
    }
    repo.git(&["checkout", "-q", "main"]);
    repo.write("main", "x\n");
    repo.commit("main");
    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    viewer.entry().await;
    let settled = async |viewer: &mut Viewer, branch: &str| {
        let head = repo.git(&["rev-parse", "HEAD"]);
        viewer
            .until("settled", |entry| {
                entry["branch"] == branch
                    && entry["head"] == head.trim()
                    && diff(entry).is_empty()
                    && entry.get("operation").is_none()
            })
            .await;
    };
    repo.git(&["checkout", "-q", "side"]);
    repo.git(&["rebase", "-q", "main"]);
    settled(&mut viewer, "side").await;
    repo.git(&["gc", "-q", "--prune=now"]);
    repo.git(&["repack", "-adfq"]);
    repo.write("a", "after packing\n");
    viewer
        .until("a change", |entry| diff(entry).contains("+after packing"))
        .await;
    repo.git(&["commit", "-qam", "x"]);
    settled(&mut viewer, "side").await;
    // One that stops half way.
    repo.git(&["checkout", "-q", "-b", "third", "main"]);
    repo.write("a", "another one\n");
    repo.git(&["commit", "-qam", "x"]);
    let stopped = super::repo::git(&repo.0, &["rebase", "side"]);
    assert!(!stopped.status.success());
    viewer
        .until("a rebase under way", |entry| {
            entry["operation"] == "rebase" && entry["files"][0]["status"] == "conflicted"
        })
        .await;
    repo.git(&["rebase", "--abort"]);
    settled(&mut viewer, "third").await;
    fs::remove_dir_all(&repo.0).expect("removed");
    viewer.until("gone", |entry| entry["removed"] == true).await;
    assert_eq!(case.daemon.get("/healthz").await.status(), 200);
}

/// The most that the daemon had resident, in MiB.
fn peak(case: &Case) -> u64 {
    let status =
        fs::read_to_string(format!("/proc/{}/status", case.daemon.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line
        .and_then(|line| line.split_whitespace().next())
        .expect("a figure");
    kib.parse::<u64>().expect("a number") / 1024
}

mod alone {
    use super::{Case, Path, SOON, Viewer, answers, diff, eventually_async, fs, peak};

    #[tokio::test]
    async fn size_alone_takes_neither_memory_nor_time() {
        let case = Case::new();
        let mut repo = case.repo("a", &[("a", "a\n"), ("zeros", ""), ("line", "")]);
        answers(&case, "diff", &repo.0, "at first").await;
        let before = peak(&case);
        // A content that is small as it is stored, and large when it is read.
        let zeros = fs::File::create(repo.at("zeros")).expect("made");
        zeros.set_len(300 << 20).expect("sparse");
        repo.git(&["-c", "core.bigFileThreshold=1g", "add", "zeros"]);
        repo.git(&["commit", "-qm", "zeros"]);
        repo.write("zeros", "small now\n");
        repo.write("line", "x".repeat(15 << 20));
        assert_eq!(answers(&case, "diff", &repo.0, "large contents").await, 200);
        let grown = peak(&case) - before;
        assert!(grown < 160, "{grown} MiB for large contents");
        // Many files that nobody added.
        repo = case.repo("b", &[("a", "a\n")]);
        for directory in 0..100 {
            let directory = repo.at(&format!("many/{directory}"));
            fs::create_dir_all(&directory).expect("made");
            for file in 0..1000 {
                fs::write(directory.join(file.to_string()), "").expect("written");
            }
        }
        let mut viewer = Viewer::new(&case, &[&repo.0]).await;
        let entry = viewer
            .until("scanned", |entry| entry["truncated"] == true)
            .await;
        assert_eq!(entry["files"].as_array().map(Vec::len), Some(5000));
        assert!(diff(&entry).starts_with("Total diff too large"));
        let grown = peak(&case) - before;
        assert!(grown < 320, "{grown} MiB for a hundred thousand files");
        drop(viewer);
        // Directories in directories, and names of any bytes.
        let deep = case.repo("deep", &[("a", "a\n")]);
        let mut at = nix::fcntl::open(
            &deep.0,
            nix::fcntl::OFlag::O_DIRECTORY,
            nix::sys::stat::Mode::empty(),
        )
        .expect("opened");
        for _ in 0..900 {
            nix::sys::stat::mkdirat(&at, Path::new("deeper"), nix::sys::stat::Mode::S_IRWXU)
                .expect("made");
            at = nix::fcntl::openat(
                &at,
                Path::new("deeper"),
                nix::fcntl::OFlag::O_DIRECTORY,
                nix::sys::stat::Mode::empty(),
            )
            .expect("opened");
        }
        drop(at);
        let answer = tokio::time::timeout(SOON, answers(&case, "diff", &deep.0, "deep")).await;
        assert_eq!(answer.expect("in time"), 200);
        let mut viewer = Viewer::new(&case, &[&deep.0]).await;
        viewer.entry().await;
        deep.write("a", "changed\n");
        viewer
            .until("the change", |entry| diff(entry).contains("+changed"))
            .await;
        eventually_async("it lives", async || {
            case.daemon.get("/healthz").await.status() == 200
        })
        .await;
    }
}
