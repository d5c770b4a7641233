//! Tools of files.

use std::fmt::Write as _;

use axum::http::Method;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::super::{
    answer::{Answer, Part, Trouble},
    arguments::Arguments,
    call::{Call, Query, RequestOf},
};

/// Entries of a listing when nothing is said, and at most.
const USUAL: u64 = 200;
const MOST: u64 = 2000;
/// Findings of a search when nothing is said, and at most.
const FINDINGS: u64 = 100;
const MOST_FINDINGS: u64 = 1000;
/// Bytes of findings.
const FOUND_BYTES: u64 = 65_536;
/// Lines of a page at most.
const LINES: u64 = 2000;

/// What an entry is told by.
const ENTRY: [&str; 4] = ["path", "type", "size", "target"];

/// Lines of a text, the listing of a directory, or a picture.
pub(super) async fn read(call: &Call, arguments: &Arguments) -> Result<Answer, Trouble> {
    let path = arguments.required("path")?;
    let entry = call
        .get(Query::new("/api/v0/stat").with("path", path))
        .await?;
    let kind = entry["type"].as_str().unwrap_or_default();
    let leads_to = entry["target_type"].as_str().unwrap_or(kind);
    if kind == "dir" || leads_to == "dir" {
        return listing(call, path, arguments).await;
    }
    let media = entry["mime"].as_str().unwrap_or_default();
    if matches!(
        media,
        "image/png" | "image/jpeg" | "image/gif" | "image/webp"
    ) {
        return picture(call, path, media, entry["size"].as_u64().unwrap_or(0)).await;
    }
    lines(call, path, arguments).await
}

async fn lines(call: &Call, path: &str, arguments: &Arguments) -> Result<Answer, Trouble> {
    let limit = arguments
        .number("limit")?
        .map_or(LINES, |limit| limit.clamp(1, LINES));
    let query = Query::new("/api/v0/read-file-lines")
        .with("path", path)
        .with("partial", true)
        .with("offset", arguments.number("offset")?.unwrap_or(1).max(1))
        .with("max_response_lines", limit);
    let found = call.get(query).await?;
    if found["success"] != true {
        let code = found["code"].as_str().unwrap_or("unreadable");
        let why = found["error"]
            .as_str()
            .unwrap_or("The file cannot be read.");
        let next = "Call find_files or list_directory for what is there; execute with `file` or `xxd` for what is no text.";
        return Err(Trouble::new(code, why).or_else_call(next));
    }
    let mut text = found["content"].as_str().unwrap_or_default().to_owned();
    let mut structured = json!({"path": path, "type": "text", "content": text, "size": found["file_size"].as_u64().unwrap_or(0)});
    if let Some(total) = found["total_lines"].as_u64() {
        structured["total_lines"] = total.into();
    }
    if let Some(next) = found["next_offset"].as_u64() {
        structured["next_offset"] = next.into();
        let _ = write!(
            text,
            "\n[There is more: call read_file with offset {next}.]"
        );
    }
    if text.is_empty() {
        "[The file is empty, or has no such line.]".clone_into(&mut text);
    }
    for name in ["cut_lines", "encoding", "line_ending", "etag"] {
        if let Some(value) = found.get(name).filter(|value| !value.is_null()) {
            structured[name] = value.clone();
        }
    }
    Ok(Answer::new(text, structured))
}

async fn picture(call: &Call, path: &str, media: &str, size: u64) -> Result<Answer, Trouble> {
    let most = call.settings.picture_limit();
    if size > most {
        let message = format!("The picture has {size} bytes, and at most {most} are sent.");
        let next = "Call launch to open it on the desktop, or execute to make a smaller one.";
        return Err(Trouble::new("picture_too_large", message).or_else_call(next));
    }
    let query = Query::new("/api/v0/read-file").with("path", path);
    let reply = call.send(RequestOf::get(query)).await?;
    let size = reply.body.len();
    let said = format!("A picture ({media}, {size} bytes).");
    let mut answer = Answer::new(said, json!({"path": path, "type": "image", "size": size}));
    answer.parts.push(Part::Image {
        data: STANDARD.encode(&reply.body),
        media_type: media.to_owned(),
    });
    Ok(answer)
}

async fn listing(call: &Call, path: &str, arguments: &Arguments) -> Result<Answer, Trouble> {
    let mut answer = list(call, arguments).await?;
    if let Some(structured) = &mut answer.structured {
        structured["path"] = path.into();
        structured["type"] = "directory".into();
    }
    Ok(answer)
}

/// What a directory has.
pub(super) async fn list(call: &Call, arguments: &Arguments) -> Result<Answer, Trouble> {
    let path = arguments.required("path")?;
    let limit = arguments
        .number("limit")?
        .map_or(USUAL, |limit| limit.clamp(1, MOST));
    let query = Query::new("/api/v0/list")
        .with("path", path)
        .with("limit", limit)
        .maybe("depth", arguments.number("depth")?)
        .maybe("ignore", arguments.flag("ignore")?)
        .maybe("cursor", arguments.text("cursor")?);
    let found = call.get(query).await?;
    let mut structured = json!({"path": found["path"], "entries": entries(&found)});
    let text = shown(&structured["entries"], &found, "list_directory");
    if let Some(cursor) = found.get("next_cursor") {
        structured["next_cursor"] = cursor.clone();
    }
    Ok(Answer::new(text, structured))
}

fn entries(found: &Value) -> Value {
    let all = found["entries"].as_array().into_iter().flatten();
    all.map(|entry| super::only(entry, &ENTRY)).collect()
}

/// Entries as lines.
fn shown(entries: &Value, found: &Value, tool: &str) -> String {
    let line = |entry: &Value| {
        let path = entry["path"].as_str().unwrap_or_default();
        match entry["type"].as_str().unwrap_or_default() {
            "dir" => format!("{path}/"),
            "file" => format!("{path} ({} bytes)", entry["size"]),
            "symlink" => format!("{path} -> {}", entry["target"].as_str().unwrap_or_default()),
            other => format!("{path} ({other})"),
        }
    };
    let mut lines: Vec<String> = entries.as_array().into_iter().flatten().map(line).collect();
    if lines.is_empty() {
        lines.push("[Nothing.]".to_owned());
    }
    if let Some(cursor) = found["next_cursor"].as_str() {
        lines.push(format!("[There is more: call {tool} with cursor {cursor}]"));
    }
    lines.join("\n")
}

/// Names below a directory.
pub(super) async fn find(call: &Call, arguments: &Arguments) -> Result<Answer, Trouble> {
    let limit = arguments
        .number("limit")?
        .map_or(USUAL, |limit| limit.clamp(1, MOST));
    let query = Query::new("/api/v0/glob")
        .with("root", arguments.required("path")?)
        .with("pattern", arguments.required("pattern")?)
        .with("limit", limit)
        .maybe("hidden", arguments.flag("hidden")?)
        .maybe("cursor", arguments.text("cursor")?);
    let found = call.get(query).await?;
    let mut structured = json!({"entries": entries(&found)});
    let mut text = shown(&structured["entries"], &found, "find_files");
    if found["stopped"] == "timeout" {
        text.push_str("\n[Time was up: call find_files below a smaller directory.]");
    }
    if let Some(cursor) = found.get("next_cursor") {
        structured["next_cursor"] = cursor.clone();
    }
    Ok(Answer::new(text, structured))
}

/// Lines of files.
pub(super) async fn search(call: &Call, arguments: &Arguments) -> Result<Answer, Trouble> {
    let limit = arguments
        .number("limit")?
        .map_or(FINDINGS, |limit| limit.clamp(1, MOST_FINDINGS));
    let mut body = json!({
        "root": arguments.required("path")?,
        "pattern": arguments.required("pattern")?,
        "glob": arguments.texts("glob")?,
        "limit": limit,
        "max_bytes": FOUND_BYTES,
    });
    if arguments.flag("literal")?.unwrap_or(false) {
        body["syntax"] = "literal".into();
    }
    if arguments.flag("ignore_case")?.unwrap_or(false) {
        body["case"] = "insensitive".into();
    }
    if let Some(lines) = arguments.number("context")? {
        body["context"] = lines.min(50).into();
    }
    for name in ["output", "cursor"] {
        if let Some(text) = arguments.text(name)? {
            body[name] = text.into();
        }
    }
    let found = call.post("/api/v0/search", &body).await?;
    let wanted = [
        "path", "line", "text", "before", "after", "matches", "count",
    ];
    let matches = found["matches"].as_array().into_iter().flatten();
    let matches: Vec<Value> = matches.map(|hit| super::only(hit, &wanted)).collect();
    let mut lines: Vec<String> = matches.iter().flat_map(hit_lines).collect();
    if lines.is_empty() {
        lines.push("[Nothing was found.]".to_owned());
    }
    let end = &found["end"];
    let mut structured = json!({"matches": matches, "stopped": end["stopped"]});
    if let Some(cursor) = end["cursor"].as_str() {
        structured["cursor"] = cursor.into();
        lines.push(format!(
            "[There is more: call search_files with cursor {cursor}]"
        ));
    }
    Ok(Answer::new(lines.join("\n"), structured))
}

/// A finding as grep prints it.
fn hit_lines(hit: &Value) -> Vec<String> {
    let path = hit["path"].as_str().unwrap_or_default();
    let Some(line) = hit["line"].as_u64() else {
        let count = hit["count"].as_u64().or(hit["matches"].as_u64());
        return vec![format!("{path}:{}", count.unwrap_or(0))];
    };
    let texts = |name: &str| -> Vec<String> {
        let all = hit[name].as_array().into_iter().flatten();
        all.filter_map(|text| Some(text.as_str()?.to_owned()))
            .collect()
    };
    let before = texts("before");
    let first = line.saturating_sub(u64::try_from(before.len()).unwrap_or(0));
    let mut lines: Vec<String> = (first..)
        .zip(before)
        .map(|(n, text)| format!("{path}-{n}-{text}"))
        .collect();
    lines.push(format!(
        "{path}:{line}:{}",
        hit["text"].as_str().unwrap_or_default()
    ));
    let after = (line + 1..).zip(texts("after"));
    lines.extend(after.map(|(n, text)| format!("{path}-{n}-{text}")));
    lines
}

/// Makes a text a file.
pub(super) async fn write(call: &Call, arguments: &Arguments) -> Result<Answer, Trouble> {
    let path = arguments.required("path")?;
    let content = match arguments.text("content_base64")? {
        Some(text) => STANDARD
            .decode(text)
            .map_err(|_| Trouble::argument("content", "base64 is due under this name"))?,
        None => arguments
            .text("content")?
            .ok_or_else(|| Trouble::argument("content", "it is missing"))?
            .as_bytes()
            .to_vec(),
    };
    let query = Query::new("/api/v0/write-file").with("path", path);
    let kind = "application/octet-stream";
    let request = RequestOf::new(Method::POST, query.path(), kind, content);
    let answer = call.send(request).await?.json()?;
    let done = if answer["created"] == true {
        "Made"
    } else {
        "Replaced"
    };
    let said = format!(
        "{done} {} ({} bytes).",
        answer["path"].as_str().unwrap_or(path),
        answer["size"]
    );
    let wanted = ["path", "created", "size", "etag"];
    Ok(Answer::new(said, super::only(&answer, &wanted)))
}

/// Replaces texts in files.
pub(super) async fn edit(call: &Call, arguments: &Arguments) -> Result<Answer, Trouble> {
    let files = arguments.value("files").filter(|files| files.is_array());
    let files =
        files.ok_or_else(|| Trouble::argument("files", "a list of {path, edits} is due"))?;
    let body = json!({
        "files": files,
        "dry_run": arguments.flag("dry_run")?.unwrap_or(false),
        "include_diff": true,
        "include_results": true,
    });
    let reply = call
        .ask(RequestOf::post("/api/v0/edit-files", &body))
        .await?;
    if !reply.status.is_success() {
        return Err(missed(
            &reply.json().unwrap_or_default(),
            Trouble::of(reply.status, &reply.body),
        ));
    }
    let answer = reply.json()?;
    let diffs = answer["files"].as_array().into_iter().flatten();
    let diffs: Vec<&str> = diffs.filter_map(|file| file["diff"].as_str()).collect();
    let mut said = diffs.concat();
    if said.is_empty() {
        "Nothing has changed: the new texts are the old ones.".clone_into(&mut said);
    }
    Ok(Answer::new(said, json!({"files": answer["files"]})))
}

/// A refused edit, with what is nearest to the texts that are not there.
fn missed(body: &Value, mut trouble: Trouble) -> Trouble {
    for miss in body["edits"].as_array().into_iter().flatten() {
        if let Some(text) = miss["nearest"]["text"].as_str() {
            let nearest = &miss["nearest"];
            let (path, from, to) = (&miss["path"], &nearest["start_line"], &nearest["end_line"]);
            trouble.message = format!(
                "{}\nNearest in {path}, lines {from} to {to}:\n{text}\n",
                trouble.message.trim_end()
            );
        }
    }
    trouble.or_else_call("Nothing was changed. Call read_file, then edit_files with old_text exactly as it stands there.")
}

/// Another path for an entry.
pub(super) async fn relocate(call: &Call, arguments: &Arguments) -> Result<Answer, Trouble> {
    let (from, to) = (arguments.required("from")?, arguments.required("to")?);
    let body = json!({
        "from": from,
        "to": to,
        "overwrite": arguments.flag("overwrite")?.unwrap_or(false),
        "mkdir": arguments.flag("mkdir")?.unwrap_or(false),
    });
    let answer = call.post("/api/v0/move", &body).await?;
    let path = answer["path"].as_str().unwrap_or(to);
    Ok(Answer::new(
        format!("Moved to {path}."),
        json!({"path": path}),
    ))
}

/// Removes an entry.
pub(super) async fn remove(call: &Call, arguments: &Arguments) -> Result<Answer, Trouble> {
    let body = json!({
        "path": arguments.required("path")?,
        "recursive": arguments.flag("recursive")?.unwrap_or(false),
    });
    let answer = call.post("/api/v0/remove", &body).await?;
    let said = format!("Removed {} entries.", answer["removed"]);
    Ok(Answer::new(said, answer))
}
