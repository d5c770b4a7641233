//! Bringing a desktop up, adopting one that an earlier daemon left, and clearing one away.

use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tokio_util::sync::CancellationToken;

use super::{
    Config, StartError,
    attach::{Attached, attach},
    authority, command,
    gate::Gate,
    provider::{self, Folder, Parts, Place, Provider, host, portabledesktop, xvnc},
    readiness,
    session::{self, Found, ProcessId, Session},
    x11::Address,
};
use crate::{
    shutdown::Shutdown,
    sys::{child::Process, procfs},
    telemetry::Metrics,
};

/// How long portabledesktop's own window manager may take before we start ours.
const FOREIGN_WINDOW_MANAGER: Duration = Duration::from_secs(2);
/// How long a killed process may take to be gone.
const KILLED: Duration = Duration::from_secs(2);
/// So often what is left is looked for: programs may start others while they end.
const ROUNDS: usize = 10;

/// A desktop that is up.
#[derive(Debug)]
pub struct Live {
    /// Its files.
    pub folder: Folder,
    /// Who runs it.
    pub provider: Provider,
    /// Its programs.
    pub parts: Parts,
    /// Where it is.
    pub place: Place,
    /// Our connections.
    pub attached: Attached,
    /// When its X server was started.
    pub since: Instant,
}

/// Everything the work on a desktop needs to know.
#[derive(Clone, Debug)]
pub struct Context {
    /// What to run.
    pub config: Arc<Config>,
    /// Where figures go.
    pub metrics: Arc<Metrics>,
    /// Between texts and the keys of viewers.
    pub gate: Gate,
    /// When to stop, and when to skip graces.
    pub shutdown: Shutdown,
}

/// Brings a desktop up. When it fails, or is cancelled, everything it started is gone before it returns.
pub async fn bring_up(context: &Context, cancel: CancellationToken) -> Result<Live, StartError> {
    let config = &context.config;
    let provider = provider::choose(config)?;
    if provider == Provider::Host {
        return join(context, cancel).await;
    }
    let folder = Folder::create(config)?;
    let mut parts = Parts::default();
    let result = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(StartError::Cancelled),
        result = start(context, provider, &folder, &mut parts) => result,
    };
    match result {
        Ok((place, attached)) => {
            let live = Live {
                folder,
                provider,
                parts,
                place,
                attached,
                since: Instant::now(),
            };
            save(&live);
            Ok(live)
        }
        Err(error) => {
            clear(context, &folder, &parts).await;
            Err(error)
        }
    }
}

/// Connects to a desktop that is there already. Its folder is never made: there is nothing to put into it.
async fn join(context: &Context, cancel: CancellationToken) -> Result<Live, StartError> {
    if !host::SUPPORTED {
        return Err(StartError::NoHostSupport);
    }
    let config = &context.config;
    let folder = Folder::new(config, session::new_id().map_err(StartError::Random)?);
    let place = host::place(config, &folder.id)?;
    let attached = tokio::select! {
        biased;
        () = cancel.cancelled() => return Err(StartError::Cancelled),
        attached = host::attach(context, &place) => attached?,
    };
    Ok(Live {
        folder,
        provider: Provider::Host,
        parts: Parts::default(),
        place,
        attached,
        since: Instant::now(),
    })
}

async fn start(
    context: &Context,
    provider: Provider,
    folder: &Folder,
    parts: &mut Parts,
) -> Result<(Place, Attached), StartError> {
    let config = &context.config;
    session::announce(&folder.record(), &folder.id).map_err(|source| StartError::File {
        path: folder.record(),
        source,
    })?;
    let place = match provider {
        Provider::Xvnc => xvnc::launch(config, folder, parts).await?,
        Provider::Portabledesktop => portabledesktop::launch(config, folder, parts).await?,
        Provider::Host => unreachable!("it is joined, not started"),
    };
    let attached = match provider {
        Provider::Xvnc => watched(folder, parts, ready(context, &place, Dress::Ours)).await?,
        Provider::Portabledesktop | Provider::Host => {
            let root = watched(
                folder,
                parts,
                readiness::answers(&place.address, config.limits.connection),
            )
            .await?;
            if !watched(
                folder,
                parts,
                readiness::managed(root, FOREIGN_WINDOW_MANAGER),
            )
            .await?
            {
                xvnc::write_configuration(folder)?;
                parts.window_manager = Some(xvnc::start_window_manager(
                    config,
                    folder,
                    &place.environment,
                )?);
            }
            watched(folder, parts, ready(context, &place, Dress::Theirs)).await?
        }
    };
    Ok((place, attached))
}

/// Who says how the root window looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dress {
    /// We do: a bare X server has no background and no arrow.
    Ours,
    /// Whoever was there before us.
    Theirs,
}

/// Everything that must be true of a desktop, at once, and our connections to it.
async fn ready(context: &Context, place: &Place, dress: Dress) -> Result<Attached, StartError> {
    let limits = context.config.limits;
    let root = async {
        let mut root = readiness::answers(&place.address, limits.connection).await?;
        if dress == Dress::Ours {
            root = readiness::painted(root, limits.connection).await?;
        }
        readiness::must_be_managed(root, limits.window_manager).await
    };
    let greeting = async {
        match &place.rfb {
            Some(rfb) => readiness::greets(rfb, limits.rfb).await,
            None => Ok(()),
        }
    };
    let ((), (), attached) = tokio::try_join!(root, greeting, attach(context, &place.address))?;
    Ok(attached)
}

/// Does a step, and gives up when a program dies meanwhile.
async fn watched<T>(
    folder: &Folder,
    parts: &Parts,
    step: impl Future<Output = Result<T, StartError>>,
) -> Result<T, StartError> {
    let gone = |part: &Option<Arc<Process>>| {
        let part = part.clone();
        async move {
            match part {
                Some(process) => process.wait().await,
                None => std::future::pending().await,
            }
        }
    };
    let server = if parts.launcher.is_some() {
        "portabledesktop"
    } else {
        "xvnc"
    };
    tokio::select! {
        biased;
        ending = gone(&parts.server) => Err(folder.ended(server, ending)),
        ending = gone(&parts.window_manager) => Err(folder.ended("openbox", ending)),
        result = step => result,
    }
}

/// Starts the window manager alone and waits until it is there.
pub async fn start_window_manager(
    context: &Context,
    folder: &Folder,
    place: &Place,
) -> Result<Arc<Process>, StartError> {
    let config = &context.config;
    xvnc::write_configuration(folder)?;
    let process = xvnc::start_window_manager(config, folder, &place.environment)?;
    let parts = Parts {
        window_manager: Some(process.clone()),
        ..Parts::default()
    };
    let ready = async {
        let root = readiness::answers(&place.address, config.limits.connection).await?;
        readiness::must_be_managed(root, config.limits.window_manager).await
    };
    match watched(folder, &parts, ready).await {
        Ok(()) => Ok(process),
        Err(error) => {
            process.stop(Duration::ZERO, std::future::ready(())).await;
            Err(error)
        }
    }
}

/// Writes the record for the next daemon. Without it the desktop works, and is not adopted.
pub fn save(live: &Live) {
    let (Some(server), Some(rfb)) = (live.parts.server.as_deref(), &live.place.rfb) else {
        return;
    };
    let record = Session {
        id: live.folder.id.clone(),
        provider: live.provider,
        display: live.place.address.display.clone(),
        runtime: live.folder.runtime().to_owned(),
        xauthority: live.place.xauthority.clone(),
        rfb: rfb.clone(),
        server: server.into(),
        launcher: live.parts.launcher.as_deref().map(ProcessId::from),
        window_manager: live.parts.window_manager.as_deref().map(ProcessId::from),
    };
    if let Err(error) = session::write(&live.folder.record(), &record) {
        tracing::warn!(%error, "the desktop's record cannot be written: it will not survive this daemon");
    }
}

/// Whether an earlier daemon left something.
pub fn left_behind(config: &Config) -> bool {
    session::read(&provider::record_of(config)) != Found::Nothing
}

/// Takes over the desktop that an earlier daemon left, if it still works; otherwise clears away what is left of it and
/// says why it was not taken.
pub async fn adopt(
    context: &Context,
    cancel: CancellationToken,
) -> Result<Live, Option<StartError>> {
    let config = &context.config;
    match session::read(&provider::record_of(config)) {
        Found::Nothing => Err(None),
        Found::Unreadable(id) => {
            if let Some(id) = id {
                clear(context, &Folder::new(config, id), &Parts::default()).await;
            }
            let _ = fs::remove_file(provider::record_of(config));
            Err(None)
        }
        Found::Session(session) => {
            let folder = Folder::found(config, &session);
            let parts = found_parts(&session);
            let result = tokio::select! {
                biased;
                () = cancel.cancelled() => Err(StartError::Cancelled),
                result = take_over(context, &session, &folder, parts.clone()) => result,
            };
            if let Err(error) = &result {
                tracing::info!(
                    error = error.sentence(),
                    "the desktop of the last daemon is cleared away"
                );
                clear(context, &folder, &parts).await;
            }
            result.map_err(Some)
        }
    }
}

fn found_parts(session: &Session) -> Parts {
    let mark = Session::mark(&session.id);
    let find = |id: ProcessId| {
        let process = Process::adopt(id.pid, Some(id.started))?;
        procfs::has_environment(id.pid, &mark).then(|| Arc::new(process))
    };
    Parts {
        server: find(session.server),
        launcher: session.launcher.and_then(find),
        window_manager: session.window_manager.and_then(find),
        bus: None,
        display: Some(session.display.clone()),
    }
}

async fn take_over(
    context: &Context,
    session: &Session,
    folder: &Folder,
    mut parts: Parts,
) -> Result<Live, StartError> {
    let config = &context.config;
    let server = parts.server.clone();
    let server = server
        .ok_or_else(|| folder.ended(session.provider.name(), crate::sys::child::Ending::Gone))?;
    let place = found_place(config, session, folder);
    if session.window_manager.is_some() && parts.window_manager.is_none() {
        let started = watched(
            folder,
            &parts,
            start_window_manager(context, folder, &place),
        )
        .await?;
        parts.window_manager = Some(started);
    }
    let attached = watched(folder, &parts, ready(context, &place, Dress::Theirs)).await?;
    attached.release().await;
    let live = Live {
        folder: folder.clone(),
        provider: session.provider,
        parts,
        place,
        attached,
        since: procfs::started_at(server.started()).unwrap_or_else(Instant::now),
    };
    save(&live);
    Ok(live)
}

fn found_place(config: &Config, session: &Session, folder: &Folder) -> Place {
    let base = command::base_environment(&config.base_env, &session.id);
    let bus = Some(folder.bus()).filter(|path| path.exists());
    let xauthority = session.xauthority.clone();
    let file = xauthority.as_ref().and_then(|path| fs::read(path).ok());
    let number = session.display.trim_start_matches(':');
    Place {
        environment: command::desktop_environment(
            &base,
            &session.display,
            xauthority.as_deref(),
            bus.as_deref(),
        ),
        address: Address {
            display: session.display.clone(),
            cookie: file.and_then(|file| authority::find(&file, number)),
        },
        rfb: Some(session.rfb.clone()),
        xauthority,
    }
}

/// Ends everything that belongs to a session, programs first and the X server last, and removes its files.
pub async fn clear(context: &Context, folder: &Folder, parts: &Parts) {
    let grace = context.config.stop_grace;
    let mark = Session::mark(&folder.id);
    let servers: Vec<i32> = [&parts.server, &parts.launcher]
        .into_iter()
        .flatten()
        .map(|process| process.pid())
        .collect();
    end_marked(&mark, &servers, grace, &context.shutdown).await;
    for process in [&parts.launcher, &parts.server].into_iter().flatten() {
        process.stop(grace, context.shutdown.hurried()).await;
    }
    end_marked(&mark, &[], grace, &context.shutdown).await;
    for process in parts.all() {
        process.stop(Duration::ZERO, std::future::ready(())).await;
    }
    if let Some(display) = &parts.display {
        remove_display(display, parts.server.as_deref());
    }
    let _ = fs::remove_dir_all(folder.runtime());
    let _ = fs::remove_file(folder.record());
}

/// TERM to all that carry the mark, and KILL to those that are there after the grace, until there are none.
async fn end_marked(mark: &[u8], spared: &[i32], grace: Duration, shutdown: &Shutdown) {
    for _ in 0..ROUNDS {
        let found: Vec<Process> = procfs::marked(mark)
            .into_iter()
            .filter(|stat| !spared.contains(&stat.pid))
            .filter_map(|stat| Process::adopt(stat.pid, Some(stat.started)))
            .collect();
        if found.is_empty() {
            return;
        }
        signal_all(&found, Signal::TERM);
        tokio::select! {
            biased;
            () = all_ended(&found) => continue,
            () = shutdown.hurried() => {}
            () = tokio::time::sleep(grace) => {}
        }
        signal_all(&found, Signal::KILL);
        if tokio::time::timeout(KILLED, all_ended(&found))
            .await
            .is_err()
        {
            tracing::warn!("a program of the desktop cannot be killed");
            return;
        }
    }
}

fn signal_all(processes: &[Process], signal: Signal) {
    for process in processes {
        process.signal(signal);
    }
}

async fn all_ended(processes: &[Process]) {
    for process in processes {
        process.ended().await;
    }
}

/// Removes what an X server that was killed leaves in /tmp; nothing that another one may have taken.
fn remove_display(display: &str, server: Option<&Process>) {
    let number = display.trim_start_matches(':');
    let socket = PathBuf::from(format!("/tmp/.X11-unix/X{number}"));
    let lock = PathBuf::from(format!("/tmp/.X{number}-lock"));
    let refused = |path: &Path| {
        UnixStream::connect(path)
            .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    };
    if refused(&socket) {
        let _ = fs::remove_file(&socket);
    }
    let holder: Option<i32> = fs::read_to_string(&lock)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let dead =
        |pid| server.is_some_and(|server| server.pid() == pid) || procfs::stat(pid).is_none();
    if holder.is_some_and(dead) {
        let _ = fs::remove_file(&lock);
    }
}
