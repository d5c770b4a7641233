//! `execute` and its family.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::super::{
    answer::{Answer, Trouble},
    arguments::Arguments,
    call::{Call, Query, RequestOf},
    command,
};
use crate::sys::members;

/// What the commands of a model find in their environment: nothing asks, pages or draws.
const ENVIRONMENT: [(&str, &str); 10] = [
    ("CODER_CHAT_AGENT", "true"),
    ("GIT_EDITOR", "true"),
    ("GIT_SEQUENCE_EDITOR", "true"),
    ("EDITOR", "true"),
    ("VISUAL", "true"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("NO_COLOR", "1"),
    ("TERM", "dumb"),
    ("PAGER", "cat"),
    ("GIT_PAGER", "cat"),
];

/// Bytes of output that a model gets: head and tail.
const OUTPUT: usize = 32 * 1024;

/// How long is waited when nothing is said.
const USUAL: Duration = Duration::from_secs(10);

/// How long a program in the background may take to fail at once.
const FIRST_LOOK: Duration = Duration::from_millis(100);

/// Runs a command. At the timeout it goes on; a call that is cancelled ends it with all that it started.
pub(super) async fn execute(call: &Call, arguments: &Arguments) -> Result<Answer, Trouble> {
    let whole = arguments.required("command")?;
    let shortened = command::in_background(whole);
    let background = shortened.is_some() || arguments.flag("run_in_background")?.unwrap_or(false);
    let line = shortened.unwrap_or(whole);
    let timeout = arguments.text("timeout")?;
    let timeout = timeout.map_or(Ok(USUAL), |text| command::duration("timeout", text))?;
    if let Some(intent) = arguments.text("model_intent")? {
        tracing::info!(intent, "the model says what a command is for");
    }
    let mut body =
        json!({"command": line, "background": background, "env": environment(arguments)?});
    if let Some(workdir) = arguments.text("workdir")?.filter(|dir| !dir.is_empty()) {
        body["workdir"] = workdir.into();
    }
    if arguments.flag("interactive")?.unwrap_or(false) {
        body["stdin"] = "pipe".into();
    }
    let began = Instant::now();
    // Not to be dropped half way: what it starts has to be known, to be ended.
    let started = call.post("/api/v0/processes/start", &body).await?;
    let id = started["id"].as_str().unwrap_or_default().to_owned();
    call.has_started(&id);
    call.does(format!("process {id} runs"));
    let wait = if background { FIRST_LOOK } else { timeout };
    let output = tokio::select! {
        biased;
        () = call.cancelled.cancelled() => {
            end(call, &id).await;
            return Err(Trouble::new("cancelled", "The call was cancelled, and the command ended."));
        }
        output = output_of(call, &id, wait, None) => output?,
    };
    let mut result = Finished::new(&output, began.elapsed());
    let note = match command::advice(line) {
        Some(note) => Some(note.to_owned()),
        None => note_of(call, &output, &started).await,
    };
    result.note = note;
    if output["running"] == true {
        result.goes_on(&id, background, timeout);
    }
    Ok(result.answer())
}

/// The environment of a command: ours, below what the call says.
fn environment(arguments: &Arguments) -> Result<Value, Trouble> {
    let mut all = Map::new();
    for (name, value) in ENVIRONMENT {
        all.insert(name.to_owned(), value.into());
    }
    match arguments.value("env") {
        None => {}
        Some(Value::Object(given)) => {
            for (name, value) in given {
                let text = match value {
                    Value::String(_) => value.clone(),
                    Value::Number(number) => number.to_string().into(),
                    Value::Bool(flag) => flag.to_string().into(),
                    _ => return Err(Trouble::argument("env", "its values are strings")),
                };
                all.insert(name.clone(), text);
            }
        }
        Some(_) => return Err(Trouble::argument("env", "an object of strings is due")),
    }
    Ok(all.into())
}

/// What a process has printed, at its end or when the time is up.
async fn output_of(
    call: &Call,
    id: &str,
    wait: Duration,
    since: Option<u64>,
) -> Result<Value, Trouble> {
    let mut query = Query::new(format!("/api/v0/processes/{}/output", segment(id)));
    if !wait.is_zero() {
        query = query.with("wait", true).with("wait_ms", wait.as_millis());
    }
    let query = query.maybe("since", since).with("max_bytes", OUTPUT);
    call.get(query).await
}

/// Ends a process and all that it started, now.
pub(super) async fn end(call: &Call, id: &str) {
    let path = format!("/api/v0/processes/{}/signal", segment(id));
    // One that has ended meanwhile is what was wanted.
    let _ = call.post(&path, &json!({"signal": "kill"})).await;
}

/// What is told of a process that is not a plain command.
async fn note_of(call: &Call, output: &Value, started: &Value) -> Option<String> {
    if output["state"] != "exited" {
        let windows = windows_of(call, started["pid"].as_i64()).await;
        let titles: Vec<&str> = windows.iter().filter_map(|w| w["title"].as_str()).collect();
        if !titles.is_empty() {
            return Some(command::shows(&titles));
        }
    }
    let failed = output["running"] == false && output["exit_code"] != 0;
    let text = output["output"].as_str().filter(|_| failed)?;
    command::advice_after(text).map(ToOwned::to_owned)
}

/// The windows of a process and of those it started; none without a desktop that runs.
pub(super) async fn windows_of(call: &Call, leader: Option<i64>) -> Vec<Value> {
    let leader = leader.and_then(|pid| i32::try_from(pid).ok());
    let (Some(leader), Some(_)) = (leader, call.api.desktop().running_now()) else {
        return Vec::new();
    };
    let all = call.get(Query::new("/api/v0/desktop/windows")).await;
    let all = all.unwrap_or_default();
    let all = all["windows"].as_array().into_iter().flatten();
    let own = all.filter(|window| {
        let pid = window["pid"]
            .as_i64()
            .and_then(|pid| i32::try_from(pid).ok());
        pid.is_some_and(|pid| members::belongs(pid, leader))
    });
    own.cloned().collect()
}

/// What is told of a command.
#[derive(Debug, Default)]
struct Finished {
    success: bool,
    output: String,
    exit_code: Option<i64>,
    wall_ms: u128,
    error: Option<String>,
    truncated: Option<Value>,
    note: Option<String>,
    background: Option<String>,
}

impl Finished {
    fn new(output: &Value, took: Duration) -> Self {
        let exit_code = output["exit_code"].as_i64();
        Self {
            success: exit_code == Some(0),
            output: output["output"].as_str().unwrap_or_default().to_owned(),
            exit_code,
            wall_ms: took.as_millis(),
            error: error_of(output),
            truncated: output
                .get("truncated")
                .filter(|cut| !cut.is_null())
                .cloned(),
            note: None,
            background: None,
        }
    }

    /// It goes on in the background: because that was wanted, or because its time was up.
    fn goes_on(&mut self, id: &str, wanted: bool, timeout: Duration) {
        self.success = wanted;
        self.background = Some(id.to_owned());
        if !wanted {
            let seconds = timeout.as_secs_f64();
            self.error = Some(format!(
                "The command runs longer than {seconds} s and goes on in the background."
            ));
        }
    }

    fn answer(self) -> Answer {
        let mut structured = json!({
            "success": self.success,
            "output": self.output,
            "wall_duration_ms": u64::try_from(self.wall_ms).unwrap_or(u64::MAX),
        });
        let mut text = self.output;
        let mut say = |line: &str| {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(line);
        };
        if let Some(code) = self.exit_code {
            structured["exit_code"] = code.into();
            say(&format!("[exit code {code}, {} ms]", self.wall_ms));
        }
        if let Some(error) = self.error {
            say(&format!("[{error}]"));
            structured["error"] = error.into();
        }
        if let Some(id) = self.background {
            say(&format!(
                "[It runs as process {id}. Call process_output with process_id \"{id}\" to wait for it, process_signal to end it.]"
            ));
            structured["background_process_id"] = id.into();
        }
        if let Some(note) = self.note {
            say(&format!("[Note: {note}]"));
            structured["note"] = note.into();
        }
        if let Some(truncated) = self.truncated {
            structured["truncated"] = truncated;
        }
        Answer::new(text, structured)
    }
}

/// Why a command that has ended did not succeed.
fn error_of(output: &Value) -> Option<String> {
    let ending = &output["ending"];
    match ending["kind"].as_str()? {
        "exited" => {
            let code = ending["code"].as_i64().filter(|code| *code != 0)?;
            Some(format!("The command exited with code {code}."))
        }
        "signaled" => {
            let signal = ending["signal"].as_str().unwrap_or("a signal");
            let limit = ending["limit"].as_str();
            let limit = limit.map(|limit| format!(" at its limit of {limit}"));
            Some(format!(
                "The command was ended by {signal}{}.",
                limit.unwrap_or_default()
            ))
        }
        "timed_out" => Some("The command was ended at its time limit.".to_owned()),
        _ => ending["message"].as_str().map(ToOwned::to_owned),
    }
}

/// Output of a process, when it has ended or the time is up.
pub(super) async fn output(call: &Call, arguments: &Arguments) -> Result<Answer, Trouble> {
    let id = arguments.required("process_id")?;
    let wait = arguments.text("wait_timeout")?;
    let wait = wait.map_or(Ok(USUAL), |text| command::duration("wait_timeout", text))?;
    let since = arguments.number("since")?;
    call.does(format!("waiting for process {id}"));
    let found = output_of(call, id, wait, since).await?;
    let running = found["running"] == true;
    let text = found["output"].as_str().unwrap_or_default();
    let mut structured = json!({
        "success": !running && found["exit_code"] == 0,
        "output": text,
        "running": running,
        "next_cursor": found["next_cursor"],
    });
    let mut said = text.to_owned();
    if !said.is_empty() && !said.ends_with('\n') {
        said.push('\n');
    }
    let cursor = &found["next_cursor"];
    match found["exit_code"].as_i64() {
        Some(code) => {
            structured["exit_code"] = code.into();
            let _ = write!(said, "[exit code {code}");
        }
        None => said.push_str("[still running; call process_output again to wait on"),
    }
    let _ = write!(said, "; next_cursor {cursor}]");
    if let Some(error) = error_of(&found) {
        structured["error"] = error.into();
    }
    for name in ["truncated", "gap"] {
        if let Some(value) = found.get(name).filter(|value| !value.is_null()) {
            structured[name] = value.clone();
        }
    }
    Ok(Answer::new(said, structured))
}

/// Writes to standard input.
pub(super) async fn input(call: &Call, arguments: &Arguments) -> Result<Answer, Trouble> {
    let id = arguments.required("process_id")?;
    let text = arguments.text("text")?.unwrap_or_default().to_owned();
    let eof = arguments.flag("eof")?.unwrap_or(false);
    let path = format!("/api/v0/processes/{}/stdin", segment(id));
    let path = Query::new(path).with("eof", eof);
    let kind = "application/octet-stream";
    let request = RequestOf::new(Method::POST, path.path(), kind, text);
    let answer = call.send(request).await?.json()?;
    let said = format!("{} bytes written.", answer["written"]);
    Ok(Answer::new(said, answer))
}

/// The processes of the chat.
pub(super) async fn list(call: &Call, arguments: &Arguments) -> Result<Answer, Trouble> {
    let limit = arguments.number("limit")?;
    let query = Query::new("/api/v0/processes/list").maybe("limit", limit);
    let found = call.get(query).await?;
    let wanted = [
        "id",
        "command",
        "workdir",
        "running",
        "exit_code",
        "pid",
        "started_at_unix",
    ];
    let all = found["processes"].as_array();
    let all: Vec<Value> = all
        .into_iter()
        .flatten()
        .map(|p| super::only(p, &wanted))
        .collect();
    let mut lines: Vec<String> = all
        .iter()
        .map(|process| {
            let state = match process["exit_code"].as_i64() {
                Some(code) => format!("exited {code}"),
                None => "running".to_owned(),
            };
            let text = |name: &str| process[name].as_str().unwrap_or_default().to_owned();
            format!("{} {state} {}", text("id"), text("command"))
        })
        .collect();
    lines.push(format!("[{} of {} processes]", all.len(), found["total"]));
    let structured = json!({"processes": all, "total": found["total"]});
    Ok(Answer::new(lines.join("\n"), structured))
}

/// Sends a signal.
pub(super) async fn signal(call: &Call, arguments: &Arguments) -> Result<Answer, Trouble> {
    let id = arguments.required("process_id")?;
    let signal = arguments.text("signal")?.unwrap_or("terminate");
    let path = format!("/api/v0/processes/{}/signal", segment(id));
    let answer = call.post(&path, &json!({"signal": signal})).await?;
    let said = answer["message"].as_str().unwrap_or_default().to_owned();
    Ok(Answer::new(said, answer))
}

/// A value as one segment of a path.
fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
