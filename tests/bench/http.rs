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
    /// `Mcp-Session-Id`.
    pub(crate) session: Option<String>,
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
        let session = header(text, "mcp-session-id").map(str::to_owned);
        let length: Option<usize> = match header(text, "content-length") {
            Some(length) => Some(length.parse()?),
            None if matches!(status, 204 | 304) => Some(0),
            None => None,
        };
        let length = match length {
            Some(length) => length,
            None => self.read_chunks(head)?,
        };
        while self.filled < head + length {
            self.read_more()?;
        }
        let taken = start.elapsed();
        Ok(Answer {
            status,
            etag,
            session,
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

    /// Reads pieces to the last one (RFC 9112, 7.1), and puts them together behind the head: their bytes.
    fn read_chunks(&mut self, head: usize) -> Outcome<usize> {
        let (mut read, mut written) = (head, head);
        loop {
            let end = loop {
                if let Some(end) = find(&self.buffer[read..self.filled], b"\r\n") {
                    break read + end;
                }
                self.read_more()?;
            };
            let size = std::str::from_utf8(&self.buffer[read..end])?;
            let size = usize::from_str_radix(size.trim(), 16)?;
            let from = end + 2;
            while self.filled < from + size + 2 {
                self.read_more()?;
            }
            if size == 0 {
                return Ok(written - head);
            }
            self.buffer.copy_within(from..from + size, written);
            written += size;
            read = from + size + 2;
        }
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
