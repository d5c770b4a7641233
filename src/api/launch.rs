//! Programs on the desktop: check, start as a process, answer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Json as JsonAnswer, extract::State, http::HeaderMap};

use super::{
    access_log::REQUEST_ID,
    desktop::{DEADLINE, within},
    error::{ApiError, ErrorBody},
    identity::Identity,
    processes::{Checked, desktop_variables},
    state::ApiState,
    types::{
        launch::{LaunchAnswer, LaunchBody},
        processes::StartBody,
    },
    workdir::work_on_machine,
};
use crate::{
    desktop::{Running, application::Application, windows::WindowInfo},
    proc::{entry::Entry, record::State as ProcessState, spec::Caller},
    sys::members,
};

/// Longest wait for a window, in milliseconds.
const LONGEST: u64 = 60_000;

/// Starts a program on the desktop, as a process of the process routes. Starts the desktop when need be.
#[utoipa::path(post, path = "/api/v0/desktop/launch", tag = "desktop", request_body = LaunchBody,
    responses((status = 200, description = "It runs", body = LaunchAnswer),
              (status = 400, description = "`invalid_field`, `invalid_json`, `desktop_file_invalid`, `not_on_host`", body = ErrorBody),
              (status = 404, description = "`desktop_file_not_found`", body = ErrorBody),
              (status = 429, description = "`too_many_processes`", body = ErrorBody),
              (status = 500, description = "`spawn_failed`: nothing ran", body = ErrorBody),
              (status = 503, description = "The desktop cannot start", body = ErrorBody)))]
pub async fn launch_program(
    State(api): State<ApiState>,
    Identity(caller): Identity,
    headers: HeaderMap,
    Checked(body): Checked<LaunchBody>,
) -> Result<JsonAnswer<LaunchAnswer>, ApiError> {
    let wait_ms = body.wait_window_ms;
    if wait_ms.is_some_and(|wait| wait > LONGEST) {
        return Err(invalid("wait_window_ms", "more than 60000"));
    }
    check_one(&body)?;
    let running = within(DEADLINE, async { Ok(api.desktop().running().await?) }).await?;
    let start = start_body(body, &running).await?;
    let request_id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let request_id = request_id.unwrap_or_default().to_owned();
    let entry = start_on(&api, &running, caller, start, request_id).await?;
    let window = match wait_ms {
        None => None,
        Some(wait) => {
            let until = Instant::now() + Duration::from_millis(wait);
            let window = first_window(&api, &running, &entry, until).await?;
            Some(window.map(Into::into))
        }
    };
    Ok(JsonAnswer(LaunchAnswer {
        id: entry.id().to_string(),
        pid: entry.pid(),
        window,
    }))
}

fn invalid(field: &str, detail: &str) -> ApiError {
    ApiError::invalid_field(
        format!("The field \"{field}\" is not as it should be."),
        field,
        detail,
    )
    .with_code("invalid_field")
}

fn check_one(body: &LaunchBody) -> Result<(), ApiError> {
    match (&body.argv, &body.desktop_file) {
        (Some(argv), None) if argv.first().is_none_or(String::is_empty) => {
            Err(invalid("argv", "is empty"))
        }
        (Some(_), None) | (None, Some(_)) => Ok(()),
        (None, None) => Err(invalid("argv", "send argv or desktop_file")),
        (Some(_), Some(_)) => Err(invalid("desktop_file", "not together with argv")),
    }
}

/// The start of a process, as its own route would be asked for it.
async fn start_body(body: LaunchBody, running: &Arc<Running>) -> Result<StartBody, ApiError> {
    let (argv, folder) = match (body.argv, body.desktop_file) {
        (Some(argv), _) => (argv, None),
        (None, name) => {
            let (name, running) = (name.unwrap_or_default(), Arc::clone(running));
            let found =
                tokio::task::spawn_blocking(move || Application::find(&name, &running.environment));
            let found = found.await.expect("reading a file does not panic")?;
            let mut argv = found.argv;
            if found.in_terminal {
                argv.splice(0..0, ["xterm".to_owned(), "-e".to_owned()]);
            }
            (argv, found.directory)
        }
    };
    Ok(StartBody {
        argv: Some(argv),
        workdir: body.cwd.or(folder),
        env: body.env,
        background: Some(true),
        ..StartBody::default()
    })
}

async fn start_on(
    api: &ApiState,
    running: &Running,
    caller: Caller,
    start: StartBody,
    request_id: String,
) -> Result<Arc<Entry>, ApiError> {
    let (mut request, _) = start.check()?;
    work_on_machine(api, &mut request).await?;
    let mut desktop = desktop_variables(running);
    // Without a locale programs mistake typed text: that of the desktop's own programs, then.
    let named = ["LANG", "LC_ALL", "LC_CTYPE"];
    if !named.iter().any(|name| api.processes().gives(name)) {
        let locale = running
            .environment
            .iter()
            .filter(|(name, _)| name == "LANG");
        desktop.extend(locale.cloned());
    }
    let started = api.processes().start(request, caller, desktop, request_id);
    Ok(started.await?.entry)
}

/// The first window that the process or one that it started shows; `None` when it ended without one, or none came in
/// time.
async fn first_window(
    api: &ApiState,
    running: &Running,
    entry: &Entry,
    until: Instant,
) -> Result<Option<WindowInfo>, ApiError> {
    let leader = entry.pid();
    let is_its_own = move |window: &WindowInfo| {
        let pid = window.pid.and_then(|pid| i32::try_from(pid).ok());
        pid.is_some_and(|pid| members::belongs(pid, leader))
    };
    let mut status = entry.subscribe();
    let shown = running.attached.windows.wait_for(is_its_own, until);
    tokio::select! {
        biased;
        () = api.shutdown().stopped() => Ok(None),
        window = shown => Ok(window.map_err(crate::desktop::access::ManageError::from)?),
        _ = status.wait_for(|status| status.state == ProcessState::Exited) => Ok(None),
    }
}
