//! The registry, the tokens and the path store when they are full; a chat that is deleted.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use deskd::{chat::Chats, shutdown::Shutdown};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Outcome,
    cleanup::Place,
    http::Client,
    options::Options,
    process::until,
    served::Served,
    stats::{Contender, Samples, alternate},
    suite::Measure,
    table::{Better, Figure, Report, Row},
};

pub(crate) const ROWS: &[(&str, Measure)] = &[
    ("full registry", full),
    ("adding a path", adding),
    ("deleting a chat", deleting),
];

/// Chats and tokens of a full daemon.
const CHATS: usize = 10_000;
const TOKENS: usize = 1000;

fn figure(samples: Vec<Duration>) -> Figure {
    Figure::time(&samples.into_iter().collect::<Samples>())
}

fn chat(number: usize) -> String {
    Uuid::from_u128(0xc0ff_ee00 + number as u128).to_string()
}

/// Fills the registry, and hands out tokens; the last of them.
fn fill(client: &mut Client) -> Outcome<String> {
    for number in 0..CHATS {
        let headers = [("Coder-Chat-Id", chat(number))];
        let headers = headers.each_ref().map(|(name, value)| (*name, &**value));
        let request = client.request("GET", "/api/v0/version", &headers, "");
        client.expect(&request, 200)?;
    }
    let mut token = String::new();
    for number in 0..TOKENS {
        let body = json!({"scopes": ["files:read"], "chat_id": chat(number)});
        let request = client.post("/api/v0/tokens", &body.to_string());
        let answer: Value = serde_json::from_slice(client.expect(&request, 201)?.body)?;
        answer["token"]
            .as_str()
            .ok_or("no token")?
            .clone_into(&mut token);
    }
    Ok(token)
}

fn full(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let state = place.folder("full-")?;
    let ours = Served::start_in(place, &state)?;
    let token = fill(&mut ours.client()?)?;
    let mut bare = ours.client()?;
    let mut checked = Client::connect(&ours.address, &token)?;
    // Both answer a constant; only one of them needs a token and belongs to a chat.
    let free = bare.get("/healthz");
    let header = [("Coder-Chat-Id", chat(TOKENS - 1))];
    let header = header.each_ref().map(|(name, value)| (*name, &**value));
    let guarded = checked.request("GET", "/api/v0/version", &header, "");
    let mut contenders = [
        Contender::new(|| Ok(bare.expect(&free, 200)?.taken)),
        Contender::new(|| Ok(checked.expect(&guarded, 200)?.taken)),
    ];
    alternate(200, options.samples(5000), &mut contenders)?;
    let [free, guarded] = contenders.map(|contender| contender.samples.quantile(50));
    let more = (guarded.as_secs_f64() - free.as_secs_f64()) * 1e6;
    report.add(
        Row::new(
            "chats: check of chat, token and scope of a request, 10 000 chats, 1000 tokens",
            Figure::value(more, "µs", Better::Less).note("a guarded route against an open one"),
        )
        .under(20.0),
    );
    let mut client = ours.client()?;
    let page = client.get("/api/v0/chats?limit=100");
    let taken = (0..options.samples(200)).map(|_| Ok(client.expect(&page, 200)?.taken));
    let taken = figure(taken.collect::<Outcome<Vec<_>>>()?);
    report.add(Row::new("chats: page of 100 roots out of 10 000", taken).under(5.0));
    drop(client);
    drop(ours);
    let mut starts = Vec::new();
    for _ in 0..options.samples(20) {
        let start = Instant::now();
        let again = Served::start_in(place, &state)?;
        starts.push(start.elapsed());
        drop(again);
    }
    report.add(
        Row::new(
            "chats: start with 10 000 chats and 1000 tokens",
            figure(starts),
        )
        .under(50.0),
    );
    Ok(())
}

/// In this process: over the wire it would be lost in the request.
fn adding(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let folder = place.folder("paths-")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let samples = runtime.block_on(async {
        let shutdown = Shutdown::new();
        let chats = Chats::open(folder, &shutdown)?;
        let of = |number: u128| Uuid::from_u128(number);
        let ancestors: Arc<[Uuid]> = [of(2), of(3), of(4)].into();
        chats.arrive(of(1), &ancestors, Default::default);
        let signals: Vec<_> = (0..1000).map(|_| chats.subscribe(of(1))).collect();
        let mut samples = Vec::new();
        for number in 0..options.samples(20_000) {
            let path = format!("/srv/tree/file{number}");
            let start = Instant::now();
            chats.worked_on(of(1), &ancestors, [path.as_bytes()]);
            samples.push(start.elapsed());
        }
        drop(signals);
        shutdown.stop();
        Outcome::Ok(samples)
    })?;
    let middle = samples.iter().copied().collect::<Samples>().quantile(50);
    report.add(
        Row::new(
            "chats: adding a path for a chat with 3 ancestors, 1000 subscribers",
            Figure::value(middle.as_secs_f64() * 1e6, "µs", Better::Less),
        )
        .under(5.0),
    );
    Ok(())
}

/// Starts 100 processes of a chat, and deletes it.
fn delete(ours: &Served, command: &str, number: usize) -> Outcome<Duration> {
    let mut client = ours.client()?;
    let id = chat(number);
    let ready = "/api/v0/processes/list?limit=1000&state=running";
    for _ in 0..100 {
        let body = json!({"command": command, "background": true}).to_string();
        let start = client.request(
            "POST",
            "/api/v0/processes/start",
            &[("Coder-Chat-Id", &id)],
            &body,
        );
        client.expect(&start, 200)?;
    }
    let running = client.request("GET", ready, &[("Coder-Chat-Id", &id)], "");
    until("100 processes", Duration::from_secs(10), || {
        let answer = client.expect(&running, 200).ok()?;
        let body: Value = serde_json::from_slice(answer.body).ok()?;
        (body["total"] == 100).then_some(())
    })?;
    let delete = client.request("DELETE", &format!("/api/v0/chats/{id}"), &[], "");
    Ok(client.expect(&delete, 200)?.taken)
}

fn deleting(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let ours = Served::start(place)?;
    let willing = (0..options.samples(10)).map(|number| delete(&ours, "exec sleep 600", number));
    let willing = willing.collect::<Outcome<Vec<_>>>()?;
    report.add(
        Row::new(
            "chats: deleting one with 100 processes that end on SIGTERM",
            figure(willing),
        )
        .under(200.0),
    );
    let deaf = "trap '' TERM; while :; do sleep 600; done";
    let stubborn = delete(&ours, deaf, 100)?;
    report.add(
        Row::new(
            "chats: deleting one with 100 processes that ignore SIGTERM",
            Figure::value(stubborn.as_secs_f64(), "s", Better::Less).note("a grace of 5 s and 1 s"),
        )
        .under(6.0),
    );
    Ok(())
}
