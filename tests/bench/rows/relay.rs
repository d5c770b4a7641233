//! The relay: a producer that never rests behind it, viewers that only count before it.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use crate::{
    Outcome,
    cleanup::Place,
    daemon::Daemon,
    options::Options,
    process::{Running, processor_seconds, program, proportional, until},
    producer,
    table::{Better, Figure, Limit, Report, Row},
    viewer::Viewer,
};

const PATH: &str = "/api/v0/desktop/vnc";
const CHAT_PATH: &str = "/api/experimental/chats/6f1a86a0-3c53-4b5b-9a4e-0d4e2b7c9f10/desktop";
const WARM_UP: Duration = Duration::from_millis(200);
const TIME: Duration = Duration::from_millis(600);
const IDLE_VIEWERS: u16 = 50;

/// Someone who carries bytes: how a viewer gets to it, and whose time and memory count.
struct Carrier<'a> {
    open: Box<dyn Fn() -> Outcome<Viewer> + 'a>,
    pid: u32,
    children: bool,
    throughput: Vec<f64>,
    cost: Vec<f64>,
    memory: f64,
}

impl<'a> Carrier<'a> {
    fn new(pid: u32, children: bool, open: impl Fn() -> Outcome<Viewer> + 'a) -> Self {
        Self {
            open: Box::new(open),
            pid,
            children,
            throughput: Vec::new(),
            cost: Vec::new(),
            memory: 0.0,
        }
    }

    /// One viewer that takes all it gets: gigabytes a second, and processor seconds a gigabyte.
    fn carry(&mut self) -> Outcome<()> {
        let mut viewer = (self.open)()?;
        let flood = viewer.flood(WARM_UP, TIME)?;
        let before = processor_seconds(self.pid, self.children);
        let (bytes, taken) = viewer.count(flood)?;
        let used = processor_seconds(self.pid, self.children) - before;
        self.throughput.push(bytes / 1e9 / taken.as_secs_f64());
        self.cost.push(used / (bytes / 1e9));
        Ok(())
    }

    /// KiB for each of many viewers that wait.
    fn weigh(&mut self) -> Outcome<()> {
        let before = proportional(self.pid, self.children)?;
        let viewers: Outcome<Vec<Viewer>> = (0..IDLE_VIEWERS).map(|_| (self.open)()).collect();
        let viewers = viewers?;
        let after = proportional(self.pid, self.children)?;
        self.memory = (after - before) / f64::from(IDLE_VIEWERS);
        drop(viewers);
        Ok(())
    }

    fn figures(&mut self) -> [Figure; 3] {
        [
            Figure::value(middle(&mut self.throughput), "GB/s", Better::More),
            Figure::value(middle(&mut self.cost), "s/GB", Better::Less),
            Figure::value(self.memory, "KiB", Better::Less),
        ]
    }
}

fn middle(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

pub(super) fn measure(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let source = place.path().join("producer");
    producer::start(&source)?;
    let (copy, copy_address) = producer::bare_copy(place, &source)?;
    let by_tcp = websockify(place, &producer::start_tcp()?.to_string())?;
    let by_socket = websockify(place, &format!("--unix-target={}", source.display()))?;
    let daemon = Daemon::start(place, "1280x800")?;
    daemon.desktop()?;
    // Where the daemon looks for the desktop's RFB server, there is ours now.
    let rfb = daemon.rfb()?;
    fs::rename(&rfb, rfb.with_extension("xvnc"))?;
    producer::start(&rfb)?;
    let token = daemon.token()?;

    let mut carriers = [
        Carrier::new(copy.pid(), false, || {
            Viewer::plain(&copy_address.to_string())
        }),
        Carrier::new(daemon.pid(), false, || {
            Viewer::websocket(&daemon.address, PATH, &token)
        }),
        Carrier::new(by_tcp.0.pid(), true, || {
            Viewer::websocket(&by_tcp.1.to_string(), "/", "")
        }),
        Carrier::new(by_socket.0.pid(), true, || {
            Viewer::websocket(&by_socket.1.to_string(), "/", "")
        }),
        Carrier::new(daemon.pid(), false, || {
            Viewer::websocket(&daemon.address, CHAT_PATH, &token)
        }),
    ];
    // Many short turns: a connection runs at one of a few speeds, by where the kernel put its ends.
    // Memory first: what a flood has left in a carrier's buffers would hide what waiting viewers take.
    for carrier in &mut carriers {
        carrier.weigh()?;
    }
    for _ in 0..options.samples(21) {
        for carrier in &mut carriers {
            carrier.carry()?;
        }
    }
    let [floor, ours, peer, socket_peer, by_chat] = carriers.each_mut().map(Carrier::figures);
    let [throughput, cost, memory] = ours;
    let [floor_throughput, floor_cost, _] = floor;
    let [peer_throughput, peer_cost, peer_memory] = peer;
    let [socket_throughput, socket_cost, _] = socket_peer;
    let [by_chat, _, _] = by_chat;
    let direct = throughput.clone();
    let on_socket = "websockify --unix-target";
    report.add(
        Row::new("relay, throughput", throughput)
            .floor(floor_throughput, Limit::AtLeast(0.7))
            .peer("websockify", peer_throughput, Some(2.0))
            .peer(on_socket, socket_throughput, None),
    );
    report.add(
        Row::new(
            "relay by the route of a chat; beside the route of the desktop",
            by_chat,
        )
        .floor(direct, Limit::AtLeast(0.9)),
    );
    report.add(
        Row::new("relay, processor time", cost)
            .beside(floor_cost)
            .peer("websockify", peer_cost, Some(2.0))
            .peer(on_socket, socket_cost, None),
    );
    report.add(
        Row::new("relay, memory a viewer", memory)
            .under(1024.0)
            .peer("websockify", peer_memory, None),
    );
    Ok(())
}

/// Its way with a target: an address, or the option for a Unix socket.
fn websockify(place: &Place, target: &str) -> Outcome<(Running, SocketAddr)> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut command = program(place, "websockify");
    match target.strip_prefix("--") {
        Some(_) => command.args([target, &address.to_string()]),
        None => command.args([&address.to_string(), target]),
    };
    let running = Running(command.spawn()?);
    until("websockify", Duration::from_secs(10), || {
        TcpStream::connect(address).ok()
    })?;
    Ok((running, address))
}
