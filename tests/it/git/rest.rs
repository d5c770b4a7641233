//! `status` and `diff`, every parameter and error.

use std::{fs, path::Path};

use super::repo::{Case, git};
use crate::support::daemon::json;

#[tokio::test]
async fn status_tells_where_a_repository_stands_and_what_changed() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n"), ("b", "b\n")]);
    repo.write("a", "changed\n");
    repo.write("n\u{e9}w", "new\n");
    for path in ["", "a", "none/at/all"] {
        let status = case.ask("status", &repo.at(path), "").await;
        assert_eq!(status["repo_root"], repo.0.to_str().expect("UTF-8"));
        assert_eq!(
            (&status["branch"], &status["head"]),
            (
                &"main".into(),
                &repo.git(&["rev-parse", "HEAD"]).trim().into()
            )
        );
        assert!(status.get("unified_diff").is_none() && status["scanned_at"].is_string());
        assert_eq!(
            status["files"][0],
            serde_json::json!({"path": "a", "status": "modified", "staged": false, "unstaged": true, "additions": 1, "deletions": 1, "binary": false})
        );
        assert_eq!(status["files"][1]["path"], "n\u{e9}w");
    }
    let one = case.ask("status", &repo.0, "&limit=1").await;
    assert_eq!(
        (one["files"].as_array().map(Vec::len), &one["truncated"]),
        (Some(1), &true.into())
    );
}

#[tokio::test]
async fn diff_takes_what_is_compared_and_how() {
    let case = Case::new();
    let lines: Vec<String> = (0..30).map(|line| format!("{line}\n")).collect();
    let lines = lines.concat();
    let repo = case.repo("a", &[("a", &lines), ("d/b", "b\n")]);
    repo.write("d/b", "second\n");
    repo.commit("second");
    repo.write("a", lines.replace("15\n", "fifteen\n"));
    repo.git(&["add", "a"]);
    repo.write("d/b", "third\n");
    repo.write("new", "new\n");
    let diff = async |more: &str| {
        case.ask("diff", &repo.0, more).await["unified_diff"]
            .as_str()
            .expect("a text")
            .to_owned()
    };
    let with = |untracked: &str, arguments: &[&str]| {
        format!("{}{untracked}", repo.git(&[&["diff"], arguments].concat()))
    };
    let new =
        String::from_utf8_lossy(&git(&repo.0, &["diff", "--no-index", "/dev/null", "new"]).stdout)
            .into_owned();
    assert_eq!(diff("").await, with(&new, &["HEAD"]));
    assert_eq!(diff("&untracked=false").await, with("", &["HEAD"]));
    assert_eq!(diff("&staged=true").await, with("", &["--cached", "HEAD"]));
    assert_eq!(diff("&base=HEAD~1").await, with(&new, &["HEAD~1"]));
    assert_eq!(
        diff("&base=HEAD~1&staged=true").await,
        with("", &["--cached", "HEAD~1"])
    );
    for context in ["0", "1", "30"] {
        assert_eq!(
            diff(&format!("&context={context}&untracked=false")).await,
            with("", &[&format!("-U{context}"), "HEAD"])
        );
    }
    assert_eq!(diff("&file=d").await, with("", &["HEAD", "--", "d"]));
    assert_eq!(
        diff("&file=a&file=new").await,
        with(&new, &["HEAD", "--", "a"])
    );
    let answer = case.ask("diff", &repo.0, "&base=main~1").await;
    assert_eq!(
        (answer["base"].as_str(), answer["base_id"].as_str()),
        (
            Some("main~1"),
            Some(repo.git(&["rev-parse", "HEAD~1"]).trim())
        )
    );
    assert_eq!(answer["files"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn a_raw_diff_is_taken_by_git_apply() {
    let case = Case::new();
    let repo = case.repo(
        "a",
        &[
            ("a", "a\nb\nc"),
            ("gone", "gone\n"),
            ("latin", "x\n"),
            ("moved", "1\n2\n3\n4\n5\n"),
        ],
    );
    repo.write("a", "a\nB\nc\n");
    fs::remove_file(repo.at("gone")).expect("removed");
    repo.write("latin", b"caf\xe9\r\n");
    repo.git(&["mv", "moved", "elsewhere"]);
    repo.write("new dir/new file", "new\n".repeat(200_000));
    std::os::unix::fs::symlink("a", repo.at("link")).expect("a link");
    let answer = case.send("diff", &repo.0, "&format=raw").await;
    assert_eq!(answer.status(), 200);
    let raw = answer.bytes().await.expect("a body");
    let other = case.work.path().join("other");
    git(
        &repo.0,
        &["clone", "-q", ".", other.to_str().expect("UTF-8")],
    );
    fs::write(case.work.path().join("patch"), &raw).expect("written");
    let applied = git(&other, &["apply", "../patch"]);
    assert!(
        applied.status.success(),
        "{}",
        String::from_utf8_lossy(&applied.stderr)
    );
    for path in ["a", "latin", "elsewhere", "new dir/new file"] {
        assert_eq!(
            fs::read(other.join(path)).expect("there"),
            fs::read(repo.at(path)).expect("there"),
            "{path}"
        );
    }
    assert!(!other.join("gone").exists() && !other.join("moved").exists());
    assert_eq!(
        fs::read_link(other.join("link")).expect("a link"),
        Path::new("a")
    );
}

#[tokio::test]
async fn text_is_clean_and_limits_hold() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n")]);
    repo.write("a", b"\xff\xfe\n");
    repo.write("large", "a line\n".repeat(50_000));
    let text = case.send("diff", &repo.0, "&format=text").await;
    assert_eq!(text.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(text.headers()["x-content-type-options"], "nosniff");
    assert!(text.text().await.expect("UTF-8").contains("+\u{fffd}\n"));
    let cut = case.ask("diff", &repo.0, "&max_bytes=300000").await;
    assert_eq!(cut["truncated"], true);
    let diff = cut["unified_diff"].as_str().expect("a text");
    assert!(diff.contains("File diff not shown") && diff.contains("-a\n"));
    let none = case.ask("diff", &repo.0, "&max_bytes=100").await;
    assert!(
        none["unified_diff"]
            .as_str()
            .expect("a text")
            .starts_with("Total diff too large to show")
    );
    assert_eq!(
        case.refused("diff", &repo.0, "&max_bytes=300000&format=raw")
            .await,
        (413, "git_diff_too_large".to_owned())
    );
}

#[tokio::test]
async fn what_is_wrong_is_refused_by_its_code() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n")]);
    for (route, more) in [
        ("status", "&limit=0"),
        ("status", "&limit=50001"),
        ("status", "&what=1"),
        ("diff", "&context=1001"),
        ("diff", "&format=xml"),
        ("diff", "&file=../x"),
        ("diff", "&file=%2Fetc"),
        ("diff", "&staged=maybe"),
        ("diff", "&max_bytes=33554433"),
        ("diff", "&base=-x"),
        ("diff", "&base=a..b"),
        ("diff", "&base=%3A%2Fx"),
        ("log", "&rev=HEAD%5E%7B%2Fx%7D"),
        ("log", "&limit=1001"),
        ("log", "&rev=a...b"),
        ("show", "&file=a&format=raw"),
        ("show", "&rev=--all"),
    ] {
        assert_eq!(
            case.refused(route, &repo.0, more).await,
            (400, "invalid_field".to_owned()),
            "{route}{more}"
        );
    }
    let long = format!("&rev={}", "x".repeat(257));
    assert_eq!(case.refused("log", &repo.0, &long).await.0, 400);
    for rev in [
        "none",
        "HEAD~99",
        "0000000000000000000000000000000000000000",
        "v1^{tree}",
        "HEAD%5E%7Btree%7D",
        "%40%7B-1%7D",
    ] {
        assert_eq!(
            case.refused("log", &repo.0, &format!("&rev={rev}")).await,
            (404, "git_unknown_revision".to_owned()),
            "{rev}"
        );
    }
}

#[tokio::test]
async fn what_is_not_there_or_damaged_is_refused_by_its_code() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n")]);
    assert_eq!(
        case.refused("status", Path::new("relative"), "").await,
        (400, "git_path_not_absolute".to_owned())
    );
    assert_eq!(
        case.refused("status", case.work.path(), "").await,
        (404, "git_not_a_repository".to_owned())
    );
    assert_eq!(
        case.refused("status", &repo.at(".git/refs"), "").await,
        (404, "git_not_a_repository".to_owned())
    );
    assert_eq!(
        case.refused("show", &repo.0, "&file=none").await,
        (404, "git_file_not_found".to_owned())
    );
    repo.git(&["config", "core.worktree", "/etc"]);
    assert_eq!(
        case.refused("status", &repo.0, "").await,
        (403, "git_worktree_elsewhere".to_owned())
    );
    repo.git(&["config", "--unset", "core.worktree"]);
    repo.write(".git/HEAD", "nonsense");
    let (status, body) = json(case.send("status", &repo.0, "").await).await;
    assert_eq!(
        (status, body["code"].as_str(), body["detail"].as_str()),
        (422, Some("git_unreadable"), Some("HEAD"))
    );
    repo.write(".git/HEAD", "ref: refs/heads/main\n");
    repo.git(&["config", "core.repositoryFormatVersion", "1"]);
    fs::write(
        repo.at(".git/config"),
        "[core]\nrepositoryFormatVersion = 1\n[extensions]\nrefStorage = reftable\n",
    )
    .expect("written");
    assert_eq!(
        case.refused("status", &repo.0, "").await,
        (422, "git_unsupported_repository".to_owned())
    );
}

#[tokio::test]
async fn a_foreign_repository_is_refused_with_the_cure() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n")]);
    std::os::unix::fs::chown(repo.at(".git"), Some(65534), None).expect("root may");
    let (status, body) = json(case.send("status", &repo.0, "").await).await;
    assert_eq!(
        (status, body["code"].as_str()),
        (403, Some("git_unsafe_owner"))
    );
    assert!(
        body["message"]
            .as_str()
            .expect("a sentence")
            .contains("safe.directory"),
        "{body}"
    );
}

#[tokio::test]
async fn paths_of_other_mounts_and_outside_of_the_tree_have_no_repository() {
    let work = tempfile::tempdir().expect("a directory");
    let outer = work.path().join("outer");
    fs::create_dir_all(outer.join("inner")).expect("directories");
    git(&outer, &["init", "-q"]);
    let inner = outer.join("inner");
    let inner = inner.to_str().expect("UTF-8");
    let case = Case::with(&["--root", inner, "--mount", "/scratch=memory"]);
    assert_eq!(
        case.refused("status", Path::new(inner), "").await,
        (404, "git_not_a_repository".to_owned())
    );
    assert_eq!(
        case.refused("status", Path::new("/scratch"), "").await,
        (400, "not_on_host".to_owned())
    );
}
