//! `log` and `show` beside `git log` and `git show`.

use super::repo::Case;

#[tokio::test]
async fn commits_come_as_git_log_has_them() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n")]);
    repo.git(&["checkout", "-q", "-b", "side"]);
    repo.write("s", "s\n");
    repo.commit("on the side\n\nwith a body\nof two lines\n");
    repo.git(&["checkout", "-q", "main"]);
    repo.write("b", "b\n");
    repo.commit("a subject\nof two lines");
    repo.git(&["merge", "-q", "--no-ff", "-m", "merged", "side"]);
    repo.git(&["tag", "-a", "v1", "-m", "x", "HEAD~1"]);
    repo.git(&["pack-refs", "--all"]);
    repo.git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    let log = case.ask("log", &repo.0, "").await;
    let field = |name: &str| -> Vec<String> {
        let commits = log["commits"].as_array().expect("a list").iter();
        commits
            .map(|commit| commit[name].as_str().expect("a text").to_owned())
            .collect()
    };
    let of_git = |format: &str| -> Vec<String> {
        repo.git(&["log", &format!("--format={format}")])
            .lines()
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(field("id"), of_git("%H"));
    assert_eq!(field("subject"), of_git("%s"));
    assert_eq!(log["more"], false);
    let first = &log["commits"][0];
    assert_eq!(first["parents"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        first["refs"],
        serde_json::json!(["refs/heads/main", "refs/remotes/origin/main"])
    );
    assert_eq!(
        first["author"],
        serde_json::json!({"name": "A U Thor", "email": "a@example.com", "time": "2023-11-14T23:43:20+01:30"})
    );
    let tagged = log["commits"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|commit| commit["refs"][0] == "refs/tags/v1");
    assert_eq!(
        tagged.expect("a tag")["id"].as_str(),
        Some(repo.git(&["rev-parse", "HEAD~1"]).trim())
    );
    let page = case.ask("log", &repo.0, "&skip=1&limit=2").await;
    assert_eq!(
        (page["commits"][0]["id"].as_str(), &page["more"]),
        (Some(of_git("%H")[1].as_str()), &true.into())
    );
    let side = case.ask("log", &repo.0, "&rev=side&limit=1").await;
    assert_eq!(side["commits"][0]["body"], "with a body\nof two lines\n");
    let by_tag = case.ask("log", &repo.0, "&rev=v1&limit=1").await;
    assert_eq!(
        by_tag["commits"][0]["id"].as_str(),
        Some(repo.git(&["rev-parse", "v1^{}"]).trim())
    );
}

#[tokio::test]
async fn without_a_commit_the_log_is_empty() {
    let case = Case::new();
    let path = case.work.path().join("a");
    std::fs::create_dir(&path).expect("a directory");
    super::repo::git(&path, &["init", "-q"]);
    let log = case.ask("log", &path, "").await;
    assert_eq!(
        (log["commits"].as_array().map(Vec::len), &log["more"]),
        (Some(0), &false.into())
    );
    assert_eq!(
        case.refused("show", &path, "").await,
        (404, "git_unknown_revision".to_owned())
    );
    assert_eq!(case.ask("diff", &path, "").await["base_id"], "");
}

#[tokio::test]
async fn show_has_the_commit_its_diff_and_its_files() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n"), ("d/b", "b\n"), ("d/e/f", "f\n")]);
    repo.write("a", "second\n");
    repo.git(&["mv", "d/b", "d/c"]);
    repo.write("bin", b"\0\xff");
    repo.commit("second");
    let of_git = |rev: &str| repo.git(&["show", "--format=", rev]);
    for (more, rev) in [("", "HEAD"), ("&rev=HEAD~1", "HEAD~1")] {
        let shown = case.ask("show", &repo.0, more).await;
        assert_eq!(shown["unified_diff"].as_str(), Some(of_git(rev).as_str()));
        assert_eq!(
            shown["id"].as_str(),
            Some(repo.git(&["rev-parse", rev]).trim())
        );
    }
    let text = case.send("show", &repo.0, "&format=text").await;
    assert_eq!(text.text().await.expect("a text"), of_git("HEAD"));
    let file = case.send("show", &repo.0, "&rev=HEAD~1&file=d%2Fb").await;
    assert_eq!(
        file.headers()["etag"]
            .to_str()
            .expect("ASCII")
            .trim_matches('"'),
        repo.git(&["rev-parse", "HEAD~1:d/b"]).trim()
    );
    assert_eq!(file.headers()["x-deskd-mode"], "100644");
    assert_eq!(file.text().await.expect("a text"), "b\n");
    let bytes = case
        .send("show", &repo.0, "&file=bin")
        .await
        .bytes()
        .await
        .expect("a body");
    assert_eq!(&bytes[..], b"\0\xff");
    let directory = case.ask("show", &repo.0, "&file=d").await;
    let names: Vec<_> = directory["entries"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| {
            (
                entry["name"].as_str(),
                entry["mode"].as_str(),
                entry["size"].as_u64(),
            )
        })
        .collect();
    assert_eq!(
        names,
        [
            (Some("c"), Some("100644"), Some(2)),
            (Some("e"), Some("040000"), None)
        ]
    );
}
