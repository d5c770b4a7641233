//! Streams that wait: what many of them cost, and how soon one is noticed whose peer is gone.

use std::{
    io::Read,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{client::IntoClientRequest, handshake::client::Request},
};

use crate::{
    Outcome,
    cleanup::Place,
    options::Options,
    process::{pause, processor_seconds, resident},
    served::Served,
    suite::Measure,
    table::{Better, Figure, Report, Row},
};

pub(crate) const ROWS: &[(&str, Measure)] =
    &[("1000 idle WebSockets", idle), ("vanished peer", vanished)];

const MANY: u32 = 1000;
const PATH: &str = "/api/v0/git/watch";

fn request(ours: &Served) -> Outcome<Request> {
    let mut request = format!("ws://{}{PATH}", ours.address).into_client_request()?;
    let value = format!("Bearer {}", ours.token).parse()?;
    request.headers_mut().insert("authorization", value);
    Ok(request)
}

/// They answer pings and nothing else.
fn idle(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let ours = Served::start(place)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let before = resident(ours.pid())?;
    for _ in 0..MANY {
        let request = request(&ours)?;
        let (mut socket, _) = runtime.block_on(connect_async(request))?;
        runtime.spawn(async move { while let Some(Ok(_)) = socket.next().await {} });
    }
    let each = (resident(ours.pid())? - before) / f64::from(MANY);
    // Several rounds of pings.
    let time = Duration::from_secs(if options.quick { 16 } else { 60 });
    let spent = processor_seconds(ours.pid(), false);
    pause(time);
    let spent = (processor_seconds(ours.pid(), false) - spent) / time.as_secs_f64() * 100.0;
    report.add(
        Row::new(
            "chats: 1000 idle WebSockets, of a core",
            Figure::value(spent, "%", Better::Less),
        )
        .under(0.5),
    );
    report.add(
        Row::new(
            "chats: memory for each of 1000 idle WebSockets",
            Figure::value(each, "KiB", Better::Less),
        )
        .under(64.0),
    );
    Ok(())
}

/// A peer that does not answer any more: from its last answer until the daemon has let go of the connection.
fn vanished(place: &Place, _options: &Options, report: &mut Report) -> Outcome<()> {
    let ours = Served::start(place)?;
    let stream = std::net::TcpStream::connect(&ours.address)?;
    let (socket, _) = tokio_tungstenite::tungstenite::client(request(&ours)?, stream)
        .map_err(|error| error.to_string())?;
    let start = Instant::now();
    let mut stream = socket.into_inner();
    stream.set_read_timeout(Some(Duration::from_mins(2)))?;
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer)? > 0 {}
    report.add(
        Row::new(
            "chats: a peer that vanished is let go of after",
            Figure::value(start.elapsed().as_secs_f64(), "s", Better::Less),
        )
        .under(31.0),
    );
    Ok(())
}
