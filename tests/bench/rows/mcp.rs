//! The Model Context Protocol beside the routes that its tools are made of.

use serde_json::{Value, json};

use crate::{
    Outcome,
    cleanup::Place,
    daemon::Daemon,
    http::{Client, Request},
    options::Options,
    stats::{Contender, alternate},
    table::{Better, Figure, Report, Row},
};

const ACCEPT: (&str, &str) = ("Accept", "application/json, text/event-stream");
/// What a call may take longer than its route, in milliseconds.
const MORE: f64 = 1.0;

pub(super) fn measure(place: &Place, options: &Options, report: &mut Report) -> Outcome<()> {
    let daemon = Daemon::start(place, "1280x800")?;
    let _display = daemon.desktop()?;
    let mut session = Session::open(&daemon)?;
    sizes(&mut session, report)?;
    click(&daemon, &mut session, options, report)?;
    command(&daemon, &mut session, options, report)
}

/// A connection with a session.
struct Session {
    client: Client,
    id: String,
}

impl Session {
    fn open(daemon: &Daemon) -> Outcome<Self> {
        let mut client = daemon.client()?;
        let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "bench", "version": "1"}}});
        let hello = client.request("POST", "/mcp", &[ACCEPT], &hello.to_string());
        let id = client.expect(&hello, 200)?.session.ok_or("no session")?;
        let mut session = Self { client, id };
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let ready = session.message(&ready);
        session.client.expect(&ready, 202)?;
        Ok(session)
    }

    fn message(&self, message: &Value) -> Request {
        let headers = [ACCEPT, ("Mcp-Session-Id", self.id.as_str())];
        self.client
            .request("POST", "/mcp", &headers, &message.to_string())
    }

    fn call(&self, tool: &str, arguments: &Value) -> Request {
        self.message(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments}}))
    }
}

fn sizes(session: &mut Session, report: &mut Report) -> Outcome<()> {
    let list = session.message(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}));
    let body = session.client.expect(&list, 200)?.body;
    let text = std::str::from_utf8(body)?;
    let mut data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let message = data.rfind(|data| data.starts_with('{'));
    let message = message.ok_or("no message")?;
    let value: Value = serde_json::from_str(message)?;
    let tools = value["result"]["tools"].as_array().map_or(0, Vec::len);
    let kilobytes = f64::from(u32::try_from(message.len())?) / 1000.0;
    let tools = f64::from(u32::try_from(tools)?);
    report.add(
        Row::new(
            "tools/list, size",
            Figure::value(kilobytes, "KB", Better::Less),
        )
        .under(20.0),
    );
    report.add(Row::new("tools/list, tools", Figure::value(tools, "", Better::Less)).under(25.0));
    Ok(())
}

fn click(
    daemon: &Daemon,
    session: &mut Session,
    options: &Options,
    report: &mut Report,
) -> Outcome<()> {
    let mut route = daemon.client()?;
    let actions = json!([{"action": "left_click", "coordinate": [640, 400]}]);
    let body = json!({"width": 1280, "height": 800, "actions": actions, "screenshot": {"max_bytes": 600_000}});
    let by_route = route.post("/api/v0/desktop/actions", &body.to_string());
    let by_tool = session.call("computer", &json!({"actions": actions, "settle_ms": 0}));
    let mut contenders = [
        Contender::new(|| Ok(session.client.expect(&by_tool, 200)?.taken)),
        Contender::new(|| Ok(route.expect(&by_route, 200)?.taken)),
    ];
    alternate(20, options.samples(400), &mut contenders)?;
    let [tool, route] = &contenders;
    let more = tool.samples.quantile(50).as_secs_f64() - route.samples.quantile(50).as_secs_f64();
    let (whole, beside) = (Figure::time(&tool.samples), Figure::time(&route.samples));
    report.add(Row::new("MCP: click with picture", whole).beside(beside));
    let more = Figure::value(more * 1e3, "ms", Better::Less);
    report.add(Row::new("MCP: the same, over the route", more).under(MORE));
    Ok(())
}

fn command(
    daemon: &Daemon,
    session: &mut Session,
    options: &Options,
    report: &mut Report,
) -> Outcome<()> {
    let mut route = daemon.client()?;
    let body = json!({"command": "true", "wait_ms": 10_000});
    let by_route = route.post("/api/v0/processes/start", &body.to_string());
    let by_tool = session.call("execute", &json!({"command": "true"}));
    let mut contenders = [
        Contender::new(|| Ok(session.client.expect(&by_tool, 200)?.taken)),
        Contender::new(|| Ok(route.expect(&by_route, 200)?.taken)),
    ];
    alternate(20, options.samples(400), &mut contenders)?;
    let [tool, route] = &contenders;
    let (whole, beside) = (Figure::time(&tool.samples), Figure::time(&route.samples));
    report.add(
        Row::new("MCP: execute true", whole)
            .beside(beside)
            .under(4.0),
    );
    Ok(())
}
