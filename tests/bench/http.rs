//! The least HTTP/1.1 client that measures honestly: one connection, kept; requests made beforehand; no copies.

use std::{
    fmt::Write as _,
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::Outcome;

/// One kept connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    host: String,
    token: String,
    buffer: Vec<u8>,
    filled: usize,
}

/// A request as it goes over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Request(Vec<u8>);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    /// Status code.
    pub(crate) status: u16,
    /// `ETag`.
    pub(crate) etag: Option<String>,
    /// The body.
    pub(crate) body: &'a [u8],
    /// From before the first byte was sent until the last one was there.
    pub(crate) taken: Duration,
}

impl Client {
    /// Connects without Nagle's delay.
    pub(crate) fn connect(address: &str, token: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        Ok(Self {
            stream,
            host: address.to_owned(),
            token: token.to_owned(),
            buffer: vec![0; 1 << 20],
            filled: 0,
        })
    }

    /// A request with the token.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Request {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        let _ = write!(text, "Authorization: Bearer {}\r\n", self.token);
        for (name, value) in headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        if method != "GET" {
            let _ = write!(
                text,
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            );
        }
        text.push_str("\r\n");
        text.push_str(body);
        Request(text.into_bytes())
    }

    /// GET without a body.
    pub(crate) fn get(&self, path: &str) -> Request {
        self.request("GET", path, &[], "")
    }

    /// POST of JSON.
    pub(crate) fn post(&self, path: &str, body: &str) -> Request {
        self.request("POST", path, &[], body)
    }

    /// Sends, and waits for the whole answer.
    pub(crate) fn send(&mut self, request: &Request) -> Outcome<Answer<'_>> {
        let start = Instant::now();
        self.stream.write_all(&request.0)?;
        self.filled = 0;
        let head = loop {
            self.read_more()?;
            if let Some(end) = find(&self.buffer[..self.filled], b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = std::str::from_utf8(&self.buffer[..head])?;
        let status = text
            .get(9..12)
            .and_then(|code| code.parse().ok())
            .ok_or("not an HTTP answer")?;
        let etag = header(text, "etag").map(str::to_owned);
        let length: usize = match header(text, "content-length") {
            Some(length) => length.parse()?,
            None if matches!(status, 204 | 304) => 0,
            None => return Err("an answer without a length".into()),
        };
        while self.filled < head + length {
            self.read_more()?;
        }
        let taken = start.elapsed();
        Ok(Answer {
            status,
            etag,
            body: &self.buffer[head..head + length],
            taken,
        })
    }

    /// Sends, and wants this status.
    pub(crate) fn expect(&mut self, request: &Request, status: u16) -> Outcome<Answer<'_>> {
        let answer = self.send(request)?;
        if answer.status != status {
            let body = String::from_utf8_lossy(answer.body);
            return Err(format!("{} instead of {status}: {body:.400}", answer.status).into());
        }
        Ok(answer)
    }

    fn read_more(&mut self) -> Outcome<()> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        match self.stream.read(&mut self.buffer[self.filled..])? {
            0 => Err("the connection was closed".into()),
            read => {
                self.filled += read;
                Ok(())
            }
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
