//! Tools of repositories: they read, and change nothing.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::{
    answer::{Answer, Trouble},
    arguments::Arguments,
    call::{Call, Query},
};

/// Bytes of a diff that a model gets.
const DIFF: u64 = 65_536;
/// Files and commits that a model gets.
const MOST: u64 = 500;

/// Where a repository stands.
pub(super) async fn status(call: &Call, arguments: &Arguments) -> Result<Answer, Trouble> {
    let query = Query::new("/api/v0/git/status").with("path", arguments.required("path")?);
    let mut found = call.get(query.with("limit", MOST)).await?;
    let branch = found["branch"].as_str().filter(|name| !name.is_empty());
    let mut said = format!("On {}", branch.unwrap_or("no branch"));
    if let (Some(ahead), Some(behind)) = (found["ahead"].as_u64(), found["behind"].as_u64()) {
        let _ = write!(said, ", {ahead} ahead and {behind} behind of its upstream");
    }
    if let Some(operation) = found["operation"].as_str() {
        let _ = write!(said, ", {operation} under way");
    }
    said.push_str(".\n");
    said.push_str(&changes(&found["files"]));
    if let Some(object) = found.as_object_mut() {
        object.remove("scan_ms");
        object.remove("scanned_at");
    }
    Ok(Answer::new(said, found))
}

fn changes(files: &Value) -> String {
    let files = files.as_array().map(Vec::as_slice).unwrap_or_default();
    if files.is_empty() {
        return "Nothing has changed.".to_owned();
    }
    let line = |file: &Value| {
        let text = |name: &str| file[name].as_str().unwrap_or_default().to_owned();
        let staged = if file["staged"] == true {
            " (staged)"
        } else {
            ""
        };
        format!("{} {}{staged}", text("status"), text("path"))
    };
    let lines: Vec<String> = files.iter().map(line).collect();
    lines.join("\n")
}

/// A diff.
pub(super) async fn diff(call: &Call, arguments: &Arguments) -> Result<Answer, Trouble> {
    let mut query = Query::new("/api/v0/git/diff")
        .with("path", arguments.required("path")?)
        .maybe("base", arguments.text("base")?)
        .maybe("staged", arguments.flag("staged")?)
        .with("max_bytes", DIFF);
    for file in arguments.texts("file")? {
        query = query.with("file", file);
    }
    let found = call.get(query).await?;
    let mut said = found["unified_diff"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    if said.is_empty() {
        "No differences.".clone_into(&mut said);
    }
    if found["truncated"] == true {
        said.push_str("\n[Cut at 64 KiB: call git_diff with file for single files.]");
    }
    Ok(Answer::new(said, found))
}

/// Commits.
pub(super) async fn log(call: &Call, arguments: &Arguments) -> Result<Answer, Trouble> {
    let limit = arguments.number("limit")?.map(|limit| limit.min(MOST));
    let query = Query::new("/api/v0/git/log")
        .with("path", arguments.required("path")?)
        .maybe("rev", arguments.text("rev")?)
        .maybe("limit", limit)
        .maybe("skip", arguments.number("skip")?);
    let found = call.get(query).await?;
    let commits = found["commits"].as_array().map(Vec::as_slice);
    let commits = commits.unwrap_or_default();
    let line = |commit: &Value| {
        let id = commit["id"].as_str().unwrap_or_default();
        let id = id.get(..12).unwrap_or(id);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let author = &commit["author"];
        let (time, name) = (text(&author["time"]), text(&author["name"]));
        format!("{id} {time} {name}: {}", text(&commit["subject"]))
    };
    let mut lines: Vec<String> = commits.iter().map(line).collect();
    if found["more"] == true {
        lines.push("[There are more: call git_log with skip.]".to_owned());
    }
    if lines.is_empty() {
        lines.push("No commits.".to_owned());
    }
    let structured =
        json!({"repo_root": found["repo_root"], "commits": commits, "more": found["more"]});
    Ok(Answer::new(lines.join("\n"), structured))
}
