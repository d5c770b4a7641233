//! The daemon's connection to the keeper: started with the first use, made again when it breaks.
//!
//! ```text
//!            something to say            the keeper ended
//!  Absent ---------------------> Joined ------------------> Absent, and joined again at once
//! ```
//!
//! - **Absent** holds nothing: no keeper was needed yet.
//! - **Joined** holds the connection and the questions that wait for their answers. One task writes, one reads, so that neither
//!   side can wait for the other to read.

use std::{
    collections::HashMap,
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    record::{Record, Status},
    wire::{LOG, Launch, Order, Refusal, Report, SOCKET, SignalOutcome, Strings, VERSION},
};
use crate::{
    shutdown::Shutdown,
    sys::{
        channel::{self, Frame, Receiver, Sender},
        child::{Process, Spec},
        logfile, private,
    },
};

/// Orders that wait for the writer; the next one waits for a place.
const ORDERS: usize = 256;
/// How long a keeper may take to say hello.
const HELLO: Duration = Duration::from_secs(30);
/// How long a keeper may take to end after it has said that all has ended.
const GOODBYE: Duration = Duration::from_secs(2);

/// What the link tells.
#[derive(Debug)]
pub(super) enum News {
    /// A process that is there, or has just been started.
    Known(Box<Record>, Option<OwnedFd>),
    /// What changed.
    Changed(Vec<(Uuid, Status)>),
    /// Since when the keeper knows its processes.
    Since(u64),
}

/// Where news go. Must not block.
pub(super) type Sink = Arc<dyn Fn(News) + Send + Sync>;

/// How the keeper is run.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) folder: PathBuf,
    pub(super) row: u64,
    pub(super) total: u64,
    pub(super) grace: Duration,
}

/// The keeper cannot be reached, or the daemon stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unreachable {
    Stopping,
    Failed(String),
}

/// Handle on the connection.
#[derive(Clone, Debug)]
pub(super) struct Link(mpsc::Sender<Ask>);

type Answer<T> = oneshot::Sender<Result<T, Unreachable>>;

#[derive(Debug)]
enum Ask {
    /// Make sure that there is a keeper, and that its processes are known.
    Join(Answer<()>),
    Start(Box<Launch>, Box<Strings>, Answer<Result<Uuid, Refusal>>),
    Signal(Uuid, i32, bool, Answer<SignalOutcome>),
    CloseInput(Uuid),
    Forget(Vec<Uuid>),
}

impl Link {
    /// Starts the task that owns the connection; it stops the keeper when `shutdown` says so.
    pub(super) fn spawn(settings: Settings, shutdown: &Shutdown, sink: Sink) -> Self {
        let (asks, queue) = mpsc::channel(ORDERS);
        let driver = Driver {
            settings,
            shutdown: shutdown.clone(),
            sink,
            joined: None,
            child: None,
            number: 0,
        };
        shutdown.spawn(driver.run(queue));
        Self(asks)
    }

    async fn ask<T>(&self, make: impl FnOnce(Answer<T>) -> Ask) -> Result<T, Unreachable> {
        let (answer, answered) = oneshot::channel();
        if self.0.send(make(answer)).await.is_err() {
            return Err(Unreachable::Stopping);
        }
        // Nobody answers when the driver has ended.
        answered.await.unwrap_or(Err(Unreachable::Stopping))
    }

    pub(super) async fn join(&self) -> Result<(), Unreachable> {
        self.ask(Ask::Join).await
    }

    /// Starts a process; it is in the table when this returns. Dropping the future does not call it off.
    pub(super) async fn start(
        &self,
        launch: Launch,
        strings: Strings,
    ) -> Result<Result<Uuid, Refusal>, Unreachable> {
        self.ask(|answer| Ask::Start(Box::new(launch), Box::new(strings), answer))
            .await
    }

    pub(super) async fn signal(
        &self,
        id: Uuid,
        signal: i32,
        members: bool,
    ) -> Result<SignalOutcome, Unreachable> {
        self.ask(|answer| Ask::Signal(id, signal, members, answer))
            .await
    }

    pub(super) async fn close_input(&self, id: Uuid) {
        let _ = self.0.send(Ask::CloseInput(id)).await;
    }

    pub(super) async fn forget(&self, ids: Vec<Uuid>) {
        if !ids.is_empty() {
            let _ = self.0.send(Ask::Forget(ids)).await;
        }
    }
}

#[derive(Debug)]
enum Waiting {
    Start(Answer<Result<Uuid, Refusal>>),
    Signal(Answer<SignalOutcome>),
}

/// What writer and reader of one connection share.
#[derive(Debug, Default)]
struct Shared {
    /// Guards the questions that wait; held for one operation of the map.
    waiting: Mutex<HashMap<u64, Waiting>>,
    /// A batch of changes was taken.
    taken: Notify,
    /// The entries of the hello are all there.
    known: CancellationToken,
    /// The connection is over.
    over: CancellationToken,
}

struct Joined {
    sender: Sender,
    shared: Arc<Shared>,
}

struct Driver {
    settings: Settings,
    shutdown: Shutdown,
    sink: Sink,
    joined: Option<Joined>,
    /// The keeper, when it was started by this daemon.
    child: Option<Process>,
    number: u64,
}

impl Driver {
    async fn run(mut self, mut queue: mpsc::Receiver<Ask>) {
        let stopped = self.shutdown.token().clone();
        loop {
            let shared = self
                .joined
                .as_ref()
                .map(|joined| Arc::clone(&joined.shared));
            let over = async {
                match &shared {
                    Some(shared) => shared.over.cancelled().await,
                    None => std::future::pending().await,
                }
            };
            let taken = async {
                match &shared {
                    Some(shared) => shared.taken.notified().await,
                    None => std::future::pending().await,
                }
            };
            let ask = tokio::select! {
                biased;
                () = stopped.cancelled() => break,
                () = over => None,
                () = taken => {
                    self.send(Order::Taken, Vec::new()).await;
                    continue;
                }
                ask = queue.recv() => match ask {
                    Some(ask) => Some(ask),
                    None => break,
                },
            };
            match ask {
                Some(ask) => self.carry_out(ask).await,
                None => self.lost().await,
            }
        }
        // What waits in the queue is answered by its end.
        drop(queue);
        self.stop().await;
    }

    /// The keeper ended without being asked, or the connection broke. What an ended one knew is in its journal, which the
    /// next one reads.
    async fn lost(&mut self) {
        tracing::error!("the keeper of processes is gone; looking for it, or starting another one");
        if let Some(joined) = self.joined.take() {
            fail_all(
                &joined.shared,
                "the connection to the keeper of processes broke",
            );
        }
        if let Some(child) = &self.child
            && tokio::time::timeout(GOODBYE, child.wait()).await.is_ok()
        {
            self.child = None;
        }
        if let Err(error) = self.join().await {
            tracing::error!(?error, "the keeper of processes cannot be started");
        }
    }

    async fn carry_out(&mut self, ask: Ask) {
        let ready = match &ask {
            Ask::Join(_) | Ask::Start(..) | Ask::Signal(..) => self.join().await,
            Ask::CloseInput(_) | Ask::Forget(_) => Ok(()),
        };
        match (ask, ready) {
            (Ask::Join(answer), ready) => {
                let _ = answer.send(ready);
            }
            (Ask::Start(_, _, answer), Err(error)) => {
                let _ = answer.send(Err(error));
            }
            (Ask::Signal(_, _, _, answer), Err(error)) => {
                let _ = answer.send(Err(error));
            }
            (Ask::Start(launch, strings, answer), Ok(())) => {
                let number = self.expect(Waiting::Start(answer));
                let body = strings.encode();
                self.send(Order::Start { number, launch }, body).await;
            }
            (Ask::Signal(id, signal, members, answer), Ok(())) => {
                let number = self.expect(Waiting::Signal(answer));
                let order = Order::Signal {
                    number,
                    id,
                    signal,
                    members,
                };
                self.send(order, Vec::new()).await;
            }
            (Ask::CloseInput(id), _) => self.send(Order::CloseInput { id }, Vec::new()).await,
            (Ask::Forget(ids), _) => {
                for id in ids {
                    self.send(Order::Forget { id }, Vec::new()).await;
                }
            }
        }
    }

    fn expect(&mut self, waiting: Waiting) -> u64 {
        self.number += 1;
        if let Some(joined) = &self.joined {
            let mut all = joined.shared.waiting.lock().expect("no panic while held");
            all.insert(self.number, waiting);
        }
        self.number
    }

    /// Sends an order; a broken connection is noticed by the reader, too.
    async fn send(&mut self, order: Order, body: Vec<u8>) {
        let Some(joined) = &mut self.joined else {
            return;
        };
        let frame = Frame {
            head: serde_json::to_vec(&order).expect("plain data"),
            body,
            descriptors: Vec::new(),
        };
        if joined.sender.send(frame).await.is_err() {
            joined.shared.over.cancel();
        }
    }

    /// Connects to the keeper that is there, or starts one, and waits until its processes are known.
    async fn join(&mut self) -> Result<(), Unreachable> {
        if self.joined.is_some() {
            return Ok(());
        }
        let failed = |error: &dyn std::error::Error| {
            let mut text = error.to_string();
            if let Some(source) = error.source() {
                text = format!("{text}: {source}");
            }
            Unreachable::Failed(text)
        };
        private::directory(&self.settings.folder).map_err(|error| failed(&error))?;
        let socket = if let Ok(socket) = channel::connect(&self.settings.folder, SOCKET) {
            socket
        } else {
            let (socket, child) = self.start_keeper().map_err(|error| failed(&error))?;
            self.child = Some(child);
            socket
        };
        let (sender, receiver) = channel::open(socket).map_err(|error| failed(&error))?;
        let shared = Arc::new(Shared::default());
        let reader = read(receiver, Arc::clone(&shared), Arc::clone(&self.sink));
        self.shutdown.spawn(reader);
        self.joined = Some(Joined {
            sender,
            shared: Arc::clone(&shared),
        });
        self.send(Order::Hello { version: VERSION }, Vec::new())
            .await;
        let known = tokio::time::timeout(HELLO, async {
            tokio::select! {
                () = shared.known.cancelled() => true,
                () = shared.over.cancelled() => false,
            }
        });
        if known.await == Ok(true) {
            return Ok(());
        }
        shared.over.cancel();
        self.joined = None;
        Err(Unreachable::Failed(
            "the keeper of processes does not answer; its log is keeper.log".to_owned(),
        ))
    }

    fn start_keeper(&self) -> io::Result<(UnixStream, Process)> {
        let folder = &self.settings.folder;
        let (ours, theirs) = UnixStream::pair()?;
        let theirs = OwnedFd::from(theirs);
        let log = logfile::open(&folder.join(LOG))?;
        let _ = logfile::trim(&folder.join(LOG));
        let keeper = Spec::new("/proc/self/exe")
            .name("deskd")
            .arguments(["keeper", "--folder"])
            .arguments([folder])
            .arguments(["--connection".to_owned(), theirs.as_raw_fd().to_string()])
            .arguments(["--spool-bytes".to_owned(), self.settings.row.to_string()])
            .arguments(["--spool-total".to_owned(), self.settings.total.to_string()])
            .directory(std::path::Path::new("/"))
            .errors(log)
            .pass(theirs);
        let keeper = keeper.start().map_err(|error| error.source)?;
        Ok((ours, keeper))
    }

    /// Ends all processes and the keeper. A keeper that was never needed is not started for it.
    async fn stop(mut self) {
        let grace_ms = u64::try_from(self.settings.grace.as_millis()).unwrap_or(u64::MAX);
        self.send(Order::Stop { grace_ms }, Vec::new()).await;
        let Some(mut joined) = self.joined.take() else {
            return;
        };
        tokio::select! {
            biased;
            () = joined.shared.over.cancelled() => {}
            () = self.shutdown.hurried() => {
                let hurry = serde_json::to_vec(&Order::Hurry).expect("plain data");
                let frame = Frame { head: hurry, ..Frame::default() };
                let _ = joined.sender.send(frame).await;
                joined.shared.over.cancelled().await;
            }
        }
        if let Some(child) = &self.child {
            // The socket is closed with its end, or a moment before.
            let _ = tokio::time::timeout(GOODBYE, child.wait()).await;
        }
    }
}

fn fail_all(shared: &Shared, why: &str) {
    let all = std::mem::take(&mut *shared.waiting.lock().expect("no panic while held"));
    for (_, waiting) in all {
        let error = Unreachable::Failed(why.to_owned());
        match waiting {
            Waiting::Start(answer) => drop(answer.send(Err(error))),
            Waiting::Signal(answer) => drop(answer.send(Err(error))),
        }
    }
}

/// Reads reports until the keeper is gone.
async fn read(mut receiver: Receiver, shared: Arc<Shared>, sink: Sink) {
    let mut missing = None;
    loop {
        let frame = tokio::select! {
            biased;
            () = shared.over.cancelled() => break,
            frame = receiver.receive() => frame,
        };
        let Ok(Some(frame)) = frame else { break };
        let Ok(report) = serde_json::from_slice(&frame.head) else {
            tracing::error!("a report of another version");
            break;
        };
        let descriptor = frame.descriptors.into_iter().next();
        if take_report(report, descriptor, &shared, &sink, &mut missing).is_break() {
            break;
        }
    }
    shared.over.cancel();
}

fn take_report(
    report: Report,
    descriptor: Option<OwnedFd>,
    shared: &Shared,
    sink: &Sink,
    missing: &mut Option<usize>,
) -> std::ops::ControlFlow<()> {
    let answer = |number| {
        let mut all = shared.waiting.lock().expect("no panic while held");
        all.remove(&number)
    };
    match report {
        Report::Welcome {
            version,
            since_ns,
            entries,
        } => {
            if version != VERSION {
                tracing::error!(version, "the keeper is of another version");
                return std::ops::ControlFlow::Break(());
            }
            *missing = Some(entries);
            sink(News::Since(since_ns));
        }
        Report::Entry(record) => {
            sink(News::Known(record, descriptor));
            *missing = missing.map(|count| count.saturating_sub(1));
        }
        Report::Started {
            number,
            record,
            refused,
        } => {
            let id = record.id;
            if !refused.is_empty() {
                tracing::warn!(process_id = %id, ?refused, "a process runs without");
            }
            sink(News::Known(record, descriptor));
            if let Some(Waiting::Start(waiting)) = answer(number) {
                let _ = waiting.send(Ok(Ok(id)));
            }
        }
        Report::Refused { number, reason } => {
            if let Some(Waiting::Start(waiting)) = answer(number) {
                let _ = waiting.send(Ok(Err(reason)));
            }
        }
        Report::Signalled { number, outcome } => {
            if let Some(Waiting::Signal(waiting)) = answer(number) {
                let _ = waiting.send(Ok(outcome));
            }
        }
        Report::Changed { all } => {
            sink(News::Changed(all));
            shared.taken.notify_one();
        }
        Report::Stopped => return std::ops::ControlFlow::Break(()),
    }
    if *missing == Some(0) {
        shared.known.cancel();
    }
    std::ops::ControlFlow::Continue(())
}
