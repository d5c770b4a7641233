//! The daemon under test, without a desktop.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{Outcome, cleanup::Place, http::Client, served::Served};

/// A running daemon with its keeper.
#[derive(Debug)]
pub(crate) struct Ours(Served);

impl Ours {
    /// Starts it, and its keeper with a first command.
    pub(crate) fn start(place: &Place) -> Outcome<Self> {
        let ours = Self(Served::start(place)?);
        ours.client()?.run(&json!({"argv": ["true"]}))?;
        Ok(ours)
    }

    /// A connection to it.
    pub(crate) fn client(&self) -> Outcome<Commands> {
        Ok(Commands {
            client: self.0.client()?,
            last: String::new(),
        })
    }

    /// A client that is attached to a process.
    pub(crate) fn attach(&self, id: &str) -> Outcome<Attached> {
        Attached::connect(&self.0.address, &self.0.token, id)
    }

    /// Daemon and keeper.
    pub(crate) fn pids(&self) -> Outcome<(u32, u32)> {
        let daemon = self.0.pid();
        for task in fs::read_dir(format!("/proc/{daemon}/task"))? {
            let children = fs::read_to_string(task?.path().join("children"))?;
            if let Some(keeper) = children.split_whitespace().next() {
                return Ok((daemon, keeper.parse()?));
            }
        }
        Err("the daemon has no keeper".into())
    }
}

/// Calls of the process routes on one kept connection.
#[derive(Debug)]
pub(crate) struct Commands {
    client: Client,
    /// The process that was started last.
    last: String,
}

impl Commands {
    /// Starts a command, and gives its id.
    pub(crate) fn begin(&mut self, body: &Value) -> Outcome<String> {
        let request = self
            .client
            .post("/api/v0/processes/start", &body.to_string());
        let answer: Value = serde_json::from_slice(self.client.expect(&request, 200)?.body)?;
        Ok(answer["id"].as_str().ok_or("no id")?.to_owned())
    }

    /// Starts a command and waits for its end in one request; how long that took, and the result.
    pub(crate) fn run(&mut self, body: &Value) -> Outcome<(Duration, Value)> {
        let mut body = body.clone();
        body["wait_ms"] = 600_000.into();
        let request = self
            .client
            .post("/api/v0/processes/start", &body.to_string());
        let answer = self.client.expect(&request, 200)?;
        let taken = answer.taken;
        let answer: Value = serde_json::from_slice(answer.body)?;
        answer["id"]
            .as_str()
            .unwrap_or_default()
            .clone_into(&mut self.last);
        Ok((taken, answer["result"].clone()))
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self, id: &str) -> Outcome<Value> {
        let path = format!("/api/v0/processes/{id}/output?wait=true");
        let request = self.client.get(&path);
        Ok(serde_json::from_slice(
            self.client.expect(&request, 200)?.body,
        )?)
    }

    /// Kills all members.
    pub(crate) fn kill(&mut self, id: &str) -> Outcome<()> {
        let path = format!("/api/v0/processes/{id}/signal");
        let request = self.client.post(&path, r#"{"signal":"kill"}"#);
        self.client.expect(&request, 200)?;
        Ok(())
    }

    /// Forgets the process that ran last.
    pub(crate) fn forget_last(&mut self) -> Outcome<()> {
        let path = format!("/api/v0/processes/{}", self.last);
        let request = self.client.request("DELETE", &path, &[], "");
        self.client.expect(&request, 204)?;
        Ok(())
    }

    /// Writes to its standard input.
    pub(crate) fn input(&mut self, id: &str, text: &str) -> Outcome<()> {
        let path = format!("/api/v0/processes/{id}/stdin");
        let request = self.client.post(&path, text);
        self.client.expect(&request, 200)?;
        Ok(())
    }

    /// What it printed.
    pub(crate) fn text(&mut self, id: &str, stream: &str) -> Outcome<String> {
        let path = format!("/api/v0/processes/{id}/output?stream={stream}");
        let request = self.client.get(&path);
        let body: Value = serde_json::from_slice(self.client.expect(&request, 200)?.body)?;
        Ok(body["output"].as_str().ok_or("no output")?.to_owned())
    }
}

/// The server's half of a WebSocket (RFC 6455), frame by frame.
#[derive(Debug)]
pub(crate) struct Attached(BufReader<TcpStream>);

impl Attached {
    fn connect(address: &str, token: &str, id: &str) -> Outcome<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET /api/v0/processes/{id}/attach HTTP/1.1\r\nHost: {address}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line)?;
        if !line.contains(" 101 ") {
            return Err(format!("not attached: {line}").into());
        }
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line)?;
        }
        let mut this = Self(stream);
        this.frame()?; // who it is attached to
        Ok(this)
    }

    /// The bytes of the next frame of output.
    pub(crate) fn output(&mut self) -> Outcome<Vec<u8>> {
        loop {
            let (kind, mut payload) = self.frame()?;
            if kind == 2 {
                payload.remove(0);
                return Ok(payload);
            }
        }
    }

    fn frame(&mut self) -> Outcome<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.0.read_exact(&mut head)?;
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.0.read_exact(&mut length)?;
                u64::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                self.0.read_exact(&mut length)?;
                u64::from_be_bytes(length)
            }
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length)?];
        self.0.read_exact(&mut payload)?;
        Ok((head[0] & 15, payload))
    }
}
