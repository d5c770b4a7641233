//! Tools of the desktop.

use std::time::{Duration, Instant};

use axum::http::{HeaderValue, Method, header};
use serde_json::{Map, Value, json};

use super::super::{
    answer::{Answer, Part, Trouble},
    arguments::Arguments,
    call::{Call, Query, RequestOf},
};
use super::process;
use crate::desktop::geometry::Size;

/// Quiet time after actions when nothing is said, and the longest wait for it, in milliseconds.
const QUIET: u64 = 200;
const PATIENCE: u64 = 3000;
/// Wait for the window of a program when nothing is said, in milliseconds.
const WINDOW: u64 = 5000;
/// Time between two looks for it.
const LOOK: Duration = Duration::from_millis(50);

/// Does actions, waits for stillness, and shows the screen.
pub(super) async fn computer(call: &Call, mut arguments: Arguments) -> Result<Answer, Trouble> {
    let frame = call.frame().await?;
    let shows = arguments.flag("screenshot")?.unwrap_or(true);
    let quiet = arguments.number("settle_ms")?.unwrap_or(QUIET);
    let mut actions = actions(&mut arguments)?;
    let budget = share(&mut actions, call.settings.picture_limit());
    let mut body = json!({"width": frame.width, "height": frame.height, "actions": actions});
    if quiet > 0 {
        body["settle"] = json!({"quiet_ms": quiet, "timeout_ms": PATIENCE.max(quiet)});
    }
    if shows {
        body["screenshot"] = json!({"max_bytes": budget});
    }
    let mut found = call.post("/api/v0/desktop/actions", &body).await?;
    let picture = match found.get_mut("screenshot").map(Value::take) {
        Some(Value::Object(picture)) => {
            Some(sharper(call, frame, &Query::new(SCREENSHOT), picture).await?)
        }
        _ => None,
    };
    let looks = looks(&mut found["results"]);
    let mut answer = report(&found, frame, picture);
    let at = answer.parts.len().min(1);
    drop(answer.parts.splice(at..at, looks));
    Ok(answer)
}

/// Gives each picture among the actions its share of the budget; what is left for the one at the end.
fn share(actions: &mut Value, budget: u64) -> u64 {
    let shows = |action: &Value| matches!(action["action"].as_str(), Some("screenshot" | "zoom"));
    let all = actions.as_array_mut().into_iter().flatten();
    let mut looks: Vec<&mut Value> = all.filter(|action| shows(action)).collect();
    let share = budget
        / (u64::try_from(looks.len())
            .unwrap_or(u64::MAX)
            .saturating_add(1));
    for look in &mut looks {
        look["max_bytes"] = share.into();
    }
    share
}

/// The pictures of actions, taken out of their results.
fn looks(results: &mut Value) -> Vec<Part> {
    let all = results.as_array_mut().into_iter().flatten();
    let pictures = all.filter_map(|result| {
        let picture = result.get_mut("screenshot")?.as_object_mut()?;
        let Some(Value::String(data)) = picture.remove("data") else {
            return None;
        };
        let media_type = picture["media_type"].as_str()?.to_owned();
        Some(Part::Image { data, media_type })
    });
    pictures.collect()
}

/// The actions; one alone may stand for itself.
fn actions(arguments: &mut Arguments) -> Result<Value, Trouble> {
    match arguments.take("actions") {
        Some(actions @ Value::Array(_)) => Ok(actions),
        Some(action @ Value::Object(_)) => Ok(json!([action])),
        Some(_) => Err(Trouble::argument("actions", "a list of actions is due")),
        None if arguments.text("action")?.is_some() => {
            let action = std::mem::take(arguments).into_map();
            Ok(json!([action]))
        }
        None => Err(Trouble::argument("actions", "it is missing")),
    }
}

fn report(found: &Value, frame: Size, picture: Option<Map<String, Value>>) -> Answer {
    let results = found["results"].as_array().map(Vec::as_slice);
    let results = results.unwrap_or_default();
    let failed = results
        .iter()
        .enumerate()
        .find(|(_, result)| result["ok"] == false);
    let mut lines = Vec::new();
    for (number, result) in results.iter().enumerate() {
        if let Some(at) = result["coordinate"].as_array() {
            lines.push(format!(
                "Action {number}: the pointer is at {}.",
                Value::from(at.clone())
            ));
        }
    }
    match failed {
        Some((number, result)) => {
            let error = &result["error"];
            let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
            let mut trouble = Trouble::new(
                &text("code"),
                format!(
                    "Action {number} ({}) failed: {} {}",
                    result["action"].as_str().unwrap_or_default(),
                    text("message"),
                    text("detail")
                ),
            );
            trouble = trouble.or_else_call(
                "Later actions were not done. Look at the picture and call computer again.",
            );
            lines.push(format!(
                "{} [{}] {}",
                trouble.message.trim_end(),
                trouble.code,
                trouble.next.unwrap_or_default()
            ));
        }
        None => lines.push(format!("{} actions done.", results.len())),
    }
    if found["settled"]["still"] == false {
        lines.push("The screen was still changing.".to_owned());
    }
    for name in ["settle_error", "screenshot_error"] {
        if let Some(message) = found[name]["message"].as_str() {
            lines.push(message.to_owned());
        }
    }
    let mut structured = json!({"width": frame.width, "height": frame.height, "results": results});
    if let Some(settled) = found.get("settled") {
        structured["settled"] = settled.clone();
    }
    let mut answer = with_picture(lines, structured, frame, picture);
    answer.failed = failed.is_some();
    if answer.failed {
        answer.structured = None;
    }
    answer
}

fn with_picture(
    mut lines: Vec<String>,
    mut structured: Value,
    frame: Size,
    picture: Option<Map<String, Value>>,
) -> Answer {
    let mut parts = Vec::new();
    if let Some(mut picture) = picture {
        let data = match picture.remove("data") {
            Some(Value::String(data)) => data,
            _ => String::new(),
        };
        let text = |name: &str| {
            picture
                .get(name)
                .and_then(Value::as_str)
                .map(ToOwned::to_owned)
        };
        let media_type = text("media_type").unwrap_or_default();
        lines.push(format!(
            "Points are pixels of {}x{}.",
            frame.width, frame.height
        ));
        if let Some(reduced) = text("reduced") {
            lines.push(format!("The picture was reduced to fit: {reduced}."));
        }
        picture.insert("bytes".to_owned(), (data.len() / 4 * 3).into());
        picture.remove("settled");
        structured["picture"] = Value::Object(picture);
        parts.push(Part::Image { data, media_type });
    }
    parts.insert(0, Part::Text(lines.join("\n")));
    Answer {
        parts,
        structured: Some(structured),
        failed: false,
    }
}

const SCREENSHOT: &str = "/api/v0/desktop/screenshot";

/// A picture that had to be made smaller is taken again as JPEG: better blurred than small.
async fn sharper(
    call: &Call,
    frame: Size,
    query: &Query,
    picture: Map<String, Value>,
) -> Result<Map<String, Value>, Trouble> {
    let shrunk = picture
        .get("reduced")
        .is_some_and(|reduced| !reduced.is_null());
    if !shrunk
        || picture
            .get("media_type")
            .is_none_or(|kind| kind != "image/png")
    {
        return Ok(picture);
    }
    let query = query.clone().with("format", "jpeg");
    let mut again = take(call, frame, query).await?;
    let reduced = again.get("reduced").and_then(Value::as_str);
    let reduced = reduced.map_or_else(String::new, |reduced| format!(", {reduced}"));
    again.insert(
        "reduced".to_owned(),
        format!("format png to jpeg{reduced}").into(),
    );
    Ok(again)
}

/// A picture in base64 with the facts about it.
async fn take(call: &Call, frame: Size, query: Query) -> Result<Map<String, Value>, Trouble> {
    let query = query
        .with("width", frame.width)
        .with("height", frame.height)
        .with("max_bytes", call.settings.picture_limit());
    let request =
        RequestOf::get(query).header(header::ACCEPT, HeaderValue::from_static("application/json"));
    match call.send(request).await?.json()? {
        Value::Object(picture) => Ok(picture),
        _ => Err(Trouble::new("internal_error", "There is no picture.")),
    }
}

/// Shows the screen, or a part of it.
pub(super) async fn screenshot(call: &Call, arguments: &Arguments) -> Result<Answer, Trouble> {
    let frame = call.frame().await?;
    let region = arguments.numbers("region")?.map(|numbers| {
        let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        numbers.join(",")
    });
    let query = Query::new(SCREENSHOT)
        .maybe("region", region)
        .maybe("zoom", arguments.flag("zoom")?)
        .maybe("settle_ms", arguments.number("settle_ms")?);
    let format = arguments.text("format")?;
    let picture = take(call, frame, query.clone().maybe("format", format)).await?;
    let picture = match format {
        Some(_) => picture,
        None => sharper(call, frame, &query, picture).await?,
    };
    let structured = json!({"width": frame.width, "height": frame.height});
    Ok(with_picture(Vec::new(), structured, frame, Some(picture)))
}

/// A picture of the screen as it is, for whoever reads it as a resource: its bytes in base64, and its media type.
pub(in crate::api::mcp) async fn look(call: &Call) -> Result<(String, String), Trouble> {
    let frame = call.frame().await?;
    let query = Query::new(SCREENSHOT);
    let picture = take(call, frame, Query::new(SCREENSHOT)).await?;
    let picture = sharper(call, frame, &query, picture).await?;
    let text = |name: &str| picture[name].as_str().unwrap_or_default().to_owned();
    Ok((text("data"), text("media_type")))
}

/// Lists windows, or does something with one.
pub(super) async fn windows(call: &Call, arguments: &Arguments) -> Result<Answer, Trouble> {
    let action = arguments.text("action")?.unwrap_or("list");
    let known = [
        "list", "focus", "close", "move", "resize", "minimize", "maximize",
    ];
    if !known.contains(&action) {
        return Err(Trouble::argument(
            "action",
            &format!("one of {} is due", known.join(", ")),
        ));
    }
    let windows = if action == "list" {
        let found = call.get(Query::new("/api/v0/desktop/windows")).await?;
        found["windows"].as_array().cloned().unwrap_or_default()
    } else {
        let id = arguments.number("id")?;
        let id = id.ok_or_else(|| {
            Trouble::argument("id", "it is missing; windows without arguments lists them")
        })?;
        let names = ["x", "y", "width", "height", "on"];
        let given = names
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), arguments.value(name)?.clone())));
        let body: Map<String, Value> = given.collect();
        let path = format!("/api/v0/desktop/windows/{id}/{action}");
        let reply = call.send(RequestOf::post(&path, &body.into())).await?;
        if reply.body.is_empty() {
            Vec::new()
        } else {
            vec![reply.json()?]
        }
    };
    let line = |window: &Value| {
        let text = |name: &str| window[name].as_str().unwrap_or_default().to_owned();
        let focused = if window["focused"] == true {
            ", has the keyboard"
        } else {
            ""
        };
        format!(
            "{} “{}” ({}), {}x{} at {},{}{focused}",
            window["id"],
            text("title"),
            text("class"),
            window["width"],
            window["height"],
            window["x"],
            window["y"]
        )
    };
    let mut lines: Vec<String> = windows.iter().map(line).collect();
    if lines.is_empty() {
        lines.push(
            if action == "close" {
                "It is closed."
            } else {
                "There are no windows."
            }
            .to_owned(),
        );
    }
    Ok(Answer::new(lines.join("\n"), json!({"windows": windows})))
}

/// Starts a program on the desktop, and waits for its window. A call that is cancelled ends it.
pub(super) async fn launch(call: &Call, mut arguments: Arguments) -> Result<Answer, Trouble> {
    if let Some(Value::String(program)) = arguments.value("argv") {
        let argv = json!([program]);
        arguments.set("argv", argv);
    }
    let wait = arguments
        .number("wait_window_ms")?
        .unwrap_or(WINDOW)
        .min(60_000);
    arguments.take("wait_window_ms");
    let body = Value::Object(arguments.into_map());
    // Not to be dropped half way: what it starts has to be known, to be ended.
    let found = call.post("/api/v0/desktop/launch", &body).await?;
    let id = found["id"].as_str().unwrap_or_default();
    call.has_started(id);
    let mut structured = json!({"process_id": id, "pid": found["pid"], "window": null});
    if wait == 0 {
        return Ok(Answer::new("It was started.", structured));
    }
    let window = tokio::select! {
        biased;
        () = call.cancelled.cancelled() => {
            process::end(call, id).await;
            return Err(Trouble::new("cancelled", "The call was cancelled, and the program ended."));
        }
        window = first_window(call, id, found["pid"].as_i64(), Duration::from_millis(wait)) => window,
    };
    let said = match &window {
        Some(window) => {
            let (id, title) = (&window["id"], &window["title"]);
            format!("It runs, with the window {id} {title}. Call screenshot to see it.")
        }
        None => format!(
            "It was started, and showed no window within {wait} ms. Call process_output with process_id \"{id}\", or screenshot."
        ),
    };
    structured["window"] = window.unwrap_or_default();
    Ok(Answer::new(said, structured))
}

/// The first window of a program or of what it started; none when the time is up or it has ended.
async fn first_window(call: &Call, id: &str, pid: Option<i64>, limit: Duration) -> Option<Value> {
    let until = Instant::now() + limit;
    loop {
        if let Some(window) = process::windows_of(call, pid).await.into_iter().next() {
            return Some(window);
        }
        let state = call
            .get(Query::new(format!("/api/v0/processes/{id}")))
            .await
            .ok()?;
        if state["state"] == "exited" || Instant::now() >= until {
            return None;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Reads the clipboard, or sets it.
pub(super) async fn clipboard(call: &Call, arguments: &Arguments) -> Result<Answer, Trouble> {
    let query =
        Query::new("/api/v0/desktop/clipboard").maybe("selection", arguments.text("selection")?);
    if let Some(text) = arguments.text("text")? {
        let request = RequestOf::new(Method::PUT, query.path(), "text/plain", text.to_owned());
        call.send(request).await?;
        return Ok(Answer::new("The clipboard is set.", json!({"text": text})));
    }
    let request =
        RequestOf::get(query).header(header::ACCEPT, HeaderValue::from_static("text/plain"));
    let text = call.send(request).await?.text();
    Ok(Answer::new(text.clone(), json!({"text": text})))
}
