//! Very many files at once, and what a message holds of them.

use std::path::Path;

use serde_json::{Value, json};

use super::{
    repo::{Case, Repo},
    viewer::{Viewer, diff},
};

#[tokio::test]
async fn a_checkout_of_ten_thousand_files_ends_with_its_state() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n")]);
    repo.git(&["checkout", "-q", "-b", "many"]);
    for number in 0..10_000 {
        repo.write(
            &format!("d{}/e{}/f{number}", number % 10, number % 100),
            "x\n",
        );
    }
    repo.commit("many");
    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    viewer.entry().await;
    for branch in ["main", "many"] {
        repo.git(&["checkout", "-q", branch]);
        viewer
            .until("checked out", |entry| {
                entry["branch"] == branch && diff(entry).is_empty() && entry["files"] == json!([])
            })
            .await;
    }
    repo.write("d7/e17/f17", "changed\n");
    viewer
        .until("a change in what was checked out", |entry| {
            diff(entry).contains("+changed")
        })
        .await;
}

fn files(entry: &Value) -> usize {
    entry["files"].as_array().expect("a list").len()
}

#[tokio::test]
async fn five_thousand_changed_files_and_large_repositories_fit_into_messages() {
    let case = Case::new();
    let many = case.repo("many", &[("a", "a\n")]);
    for number in 0..5000 {
        many.write(
            &format!("{}/file number {number:05}", "long name ".repeat(10)),
            "x\n",
        );
    }
    let large: Vec<Repo> = (0..3)
        .map(|number| case.repo(&format!("large{number}"), &[("a", "a\n")]))
        .collect();
    for repo in &large {
        // Each byte of it takes two as it is sent.
        repo.write(
            "quotes",
            "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\n".repeat(140_000),
        );
        for number in 0..1700 {
            repo.write(&format!("small/file number {number}"), "");
        }
    }
    let mut paths: Vec<&Path> = large.iter().map(|repo| repo.0.as_path()).collect();
    paths.push(&many.0);
    // That no message is too large is looked at with each one.
    let mut viewer = Viewer::new(&case, &paths).await;
    let mut seen = std::collections::BTreeMap::new();
    while seen.len() < 4 {
        for entry in viewer.entries().await["repositories"]
            .as_array()
            .expect("a list")
        {
            seen.insert(entry["repo_root"].to_string(), entry.clone());
        }
    }
    let entry = &seen[&json!(many.0).to_string()];
    assert_eq!(files(entry), 5000);
    assert_eq!(diff(entry).matches("new file mode").count(), 5000);
    for repo in &large {
        let entry = &seen[&json!(repo.0).to_string()];
        assert_eq!(
            (&entry["branch"], &entry["truncated"]),
            (&json!("main"), &json!(true))
        );
        assert!(diff(entry).contains("File diff not shown") && files(entry) == 1701);
    }
}

#[tokio::test]
async fn what_is_too_large_alone_loses_files_before_it_loses_diffs() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n")]);
    // The list takes 1.7 MB, the diff 3.0 MB.
    for number in 0..4999 {
        repo.write(
            &format!("{}/{}{number:05}", "d".repeat(100), "n".repeat(100)),
            "",
        );
    }
    repo.write("z", "a line of the diff\n".repeat(30_000));
    let status = case.ask("status", &repo.0, "").await;
    assert_eq!(files(&status), 5000);
    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    let entry = viewer.entry().await;
    assert_eq!(
        (&entry["branch"], &entry["truncated"]),
        (&json!("main"), &json!(true))
    );
    let text = diff(&entry);
    assert!((1000..5000).contains(&files(&entry)), "{}", files(&entry));
    assert_eq!(
        text.matches("new file mode").count(),
        5000,
        "the diffs are whole"
    );
    assert_eq!(text.matches("+a line of the diff\n").count(), 30_000);
    // Then the diffs: what is left of them says so, and no file is listed before they fit.
    repo.write(
        "z",
        "\u{1}\u{2}\u{3}\u{4}\u{5}\u{6}\u{7}\u{8}\u{e}\n".repeat(60_000),
    );
    let entry = viewer
        .until("the change", |entry| diff(entry) != text)
        .await;
    assert_eq!(entry["truncated"], json!(true));
    assert!(
        diff(&entry).contains("not shown") || diff(&entry).contains("too large"),
        "{} bytes",
        diff(&entry).len()
    );
}
