//! One daemon: its orders are carried out in their order, and it is told what changed.
//!
//! Answers and changes go out by one writer. Changes are told as the newest status of each process, one batch at a time: the
//! next goes when the daemon has taken the last, so what a slow daemon is owed is never more than one status a process.

use std::{
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::Arc,
    time::Duration,
};

use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use super::{Shared, launch};
use crate::{
    proc::wire::{Launch, Order, Refusal, Report, Strings, VERSION},
    sys::{
        channel::{self, Frame, Receiver, Sender},
        signals,
    },
};

/// Answers that wait for the writer; when they are as many, no further order is read.
const ANSWERS: usize = 64;

/// How long a daemon may take to say hello.
const HELLO: Duration = Duration::from_secs(5);

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Over {
    /// The daemon is gone.
    Gone,
    /// Everything has ended because the daemon said so.
    Stopped,
}

/// What the two halves of a connection share.
#[derive(Debug)]
struct Flow {
    /// The daemon has taken the last batch, and has said hello.
    taken: Notify,
    hurry: Notify,
}

/// A daemon that has said hello.
#[derive(Debug)]
pub(super) struct Greeted {
    sender: Sender,
    receiver: Receiver,
}

/// Waits for the hello of whoever connected. `None` for one that says something else, or nothing.
pub(super) async fn greet(socket: UnixStream) -> Option<Greeted> {
    let (sender, mut receiver) = channel::open(socket).ok()?;
    let first = tokio::time::timeout(HELLO, receiver.receive()).await;
    let frame = first.ok()?.ok()??;
    if let Ok(Order::Hello { version }) = serde_json::from_slice(&frame.head) {
        if version != VERSION {
            tracing::error!(version, "a daemon of another version");
        }
        Some(Greeted { sender, receiver })
    } else {
        tracing::warn!("somebody connected who is no daemon");
        None
    }
}

/// Serves one daemon. May be dropped: orders that were begun are done, their answers are not sent.
pub(super) async fn serve(shared: &Arc<Shared>, daemon: Greeted) -> Over {
    let Greeted { sender, receiver } = daemon;
    let (answers, queue) = mpsc::channel(ANSWERS);
    let flow = Flow {
        taken: Notify::new(),
        hurry: Notify::new(),
    };
    tokio::select! {
        over = take_orders(shared, &flow, receiver, answers) => over,
        () = report(shared, &flow, sender, queue) => Over::Gone,
    }
}

async fn take_orders(
    shared: &Arc<Shared>,
    flow: &Flow,
    mut receiver: Receiver,
    answers: mpsc::Sender<Frame>,
) -> Over {
    if welcome(shared, &answers).await.is_err() {
        return Over::Gone;
    }
    flow.taken.notify_one();
    while let Ok(Some(frame)) = receiver.receive().await {
        let order = match serde_json::from_slice(&frame.head) {
            Ok(order) => order,
            Err(error) => {
                tracing::error!(%error, "an order of another version");
                return Over::Gone;
            }
        };
        match order {
            Order::Hello { .. } => {
                tracing::error!("a daemon said hello twice");
                return Over::Gone;
            }
            Order::Start { number, launch } => {
                // The place first: nothing may come between the start and its answer.
                let Ok(place) = answers.reserve().await else {
                    return Over::Gone;
                };
                place.send(start(shared, number, &launch, &frame.body));
            }
            Order::Signal {
                number,
                id,
                signal,
                members,
            } => {
                let Ok(place) = answers.clone().reserve_owned().await else {
                    return Over::Gone;
                };
                let (shared, spawner) = (Arc::clone(shared), shared.shutdown.clone());
                let signalled = async move {
                    let outcome = shared.signal(id, signal, members).await;
                    place.send(framed(&Report::Signalled { number, outcome }, None));
                };
                if members {
                    // What hangs in the kernel must not hold up other orders. As many as there are places for answers.
                    spawner.spawn(signalled);
                } else {
                    signalled.await;
                }
            }
            Order::CloseInput { id } => shared.close_input(id),
            Order::Forget { id } => shared.forget(id),
            Order::Taken => flow.taken.notify_one(),
            Order::Hurry => flow.hurry.notify_one(),
            Order::Stop { grace_ms } => {
                return stop(shared, flow, receiver, answers, grace_ms).await;
            }
        }
    }
    Over::Gone
}

fn framed(report: &Report, descriptor: Option<OwnedFd>) -> Frame {
    Frame {
        head: serde_json::to_vec(report).expect("plain data"),
        body: Vec::new(),
        descriptors: descriptor.into_iter().collect(),
    }
}

/// Tells all there is. Changes from now on follow.
async fn welcome(
    shared: &Shared,
    answers: &mpsc::Sender<Frame>,
) -> Result<(), mpsc::error::SendError<Frame>> {
    let ids: Vec<Uuid> = {
        let mut inner = shared.inner();
        inner.dirty.clear();
        inner.entries.keys().copied().collect()
    };
    let welcome = Report::Welcome {
        version: VERSION,
        since_ns: shared.since_ns,
        entries: ids.len(),
    };
    answers.send(framed(&welcome, None)).await?;
    for id in ids {
        // Nothing is removed meanwhile: only this daemon forgets, and its orders wait.
        let entry = shared.inner().entries.get(&id).map(|kept| {
            let input = kept.input.as_ref();
            let copy = input.and_then(|input| input.try_clone().ok());
            (kept.record.clone(), copy)
        });
        if let Some((record, input)) = entry {
            let entry = framed(&Report::Entry(Box::new(record)), input);
            answers.send(entry).await?;
        }
    }
    Ok(())
}

fn start(shared: &Arc<Shared>, number: u64, order: &Launch, body: &[u8]) -> Frame {
    let refused = |reason| framed(&Report::Refused { number, reason }, None);
    if shared.inner().stopping {
        return refused(Refusal::Stopping);
    }
    let Some(strings) = Strings::decode(body, order.arguments) else {
        return refused(Refusal::Spawn("the order is damaged".to_owned()));
    };
    match launch::launch(shared, order, &strings) {
        Ok(launched) => {
            let report = Report::Started {
                number,
                record: Box::new(launched.record),
                refused: launched.refused,
            };
            framed(&report, launched.input)
        }
        Err(reason) => refused(reason),
    }
}

/// Ends everything. Further orders are not taken, but for the one to hurry.
async fn stop(
    shared: &Shared,
    flow: &Flow,
    mut receiver: Receiver,
    answers: mpsc::Sender<Frame>,
    grace_ms: u64,
) -> Over {
    let hurried = async {
        loop {
            match receiver.receive().await {
                Ok(Some(frame)) => match serde_json::from_slice(&frame.head) {
                    Ok(Order::Hurry) => return,
                    Ok(Order::Taken) => flow.taken.notify_one(),
                    _ => {}
                },
                // The daemon is gone, and with it whoever could hurry: the grace is kept.
                Ok(None) | Err(_) => std::future::pending().await,
            }
        }
    };
    tracing::info!(signal = signals::TERM, "ending all processes");
    shared.stop(Duration::from_millis(grace_ms), hurried).await;
    let _ = answers.send(framed(&Report::Stopped, None)).await;
    // The writer ends when it has sent all and nobody can add to it.
    drop(answers);
    tokio::task::yield_now().await;
    Over::Stopped
}

/// Sends answers as they come, and changes when the daemon is ready for them.
async fn report(
    shared: &Shared,
    flow: &Flow,
    mut sender: Sender,
    mut queue: mpsc::Receiver<Frame>,
) {
    let mut ready = false;
    loop {
        let frame = tokio::select! {
            biased;
            answer = queue.recv() => match answer {
                Some(frame) => frame,
                // All is said; the other half tells how it ended.
                None => std::future::pending().await,
            },
            () = flow.taken.notified(), if !ready => {
                ready = true;
                continue;
            }
            all = changes(shared), if ready => {
                ready = false;
                framed(&Report::Changed { all }, None)
            }
        };
        if sender.send(frame).await.is_err() {
            return;
        }
    }
}

/// What changed, when something has. May be dropped: nothing is taken before it is complete.
async fn changes(shared: &Shared) -> Vec<(Uuid, crate::proc::record::Status)> {
    loop {
        let notified = shared.changed.notified();
        {
            let mut inner = shared.inner();
            if !inner.dirty.is_empty() {
                let inner = &mut *inner;
                return inner
                    .dirty
                    .drain()
                    .filter_map(|id| {
                        let kept = inner.entries.get(&id)?;
                        Some((id, kept.record.status.clone()))
                    })
                    .collect();
            }
        }
        notified.await;
    }
}
