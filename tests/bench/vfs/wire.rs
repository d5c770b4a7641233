//! Long bodies over a connection that is made right before: sent from a file, received piece by piece.

use std::{
    fs::File,
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use rustix::fs::sendfile;

use crate::Outcome;

/// What is read at a time.
const PIECE: usize = 256 * 1024;

/// A connection for one request after the other. What comes between them may take longer than servers keep one open, so
/// each begins with a new one, before its time begins.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    host: String,
    token: String,
    held: Vec<u8>,
}

/// What an answer was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    /// Bytes of the body.
    pub(crate) bytes: u64,
    /// From before the request was sent until the first bytes of the body were there.
    pub(crate) first: Duration,
    /// From before the request was sent until the last byte was there.
    pub(crate) taken: Duration,
}

/// Without Nagle's delay.
fn connect(address: &str) -> Outcome<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_mins(2)))?;
    Ok(stream)
}

/// How the end of a body is told (RFC 9112, 6.3).
enum Framing {
    Length(u64),
    Chunked,
}

impl Wire {
    /// Connects.
    pub(crate) fn connect(address: &str, token: &str) -> Outcome<Self> {
        Ok(Self {
            stream: connect(address)?,
            host: address.to_owned(),
            token: token.to_owned(),
            held: Vec::new(),
        })
    }

    fn again(&mut self) -> Outcome<()> {
        self.stream = connect(&self.host)?;
        Ok(())
    }

    fn head(&self, method: &str, path: &str, more: &str) -> String {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n{more}\r\n",
            self.host, self.token
        )
    }

    /// Sends a file as a body, from memory to the socket without a copy, and reads the whole answer, which must be good.
    pub(crate) fn put(&mut self, path: &str, file: &File) -> Outcome<Duration> {
        let length = file.metadata()?.len();
        let head = self.head("PUT", path, &format!("Content-Length: {length}\r\n"));
        self.again()?;
        let start = Instant::now();
        self.stream.write_all(head.as_bytes())?;
        let mut offset = 0;
        while offset < length {
            let left = usize::try_from(length - offset)?;
            if sendfile(&self.stream, file, Some(&mut offset), left)? == 0 {
                return Err("the file became shorter".into());
            }
        }
        self.receive(start, &mut |_| Ok(()))?;
        Ok(start.elapsed())
    }

    /// Asks, and hands each piece of the body on. The answer must be good.
    pub(crate) fn get(
        &mut self,
        path: &str,
        each: &mut dyn FnMut(&[u8]) -> Outcome<()>,
    ) -> Outcome<Received> {
        self.ask(&self.head("GET", path, ""), each)
    }

    /// Asks for lines of JSON, and hands each piece of them on. The answer must be good.
    pub(crate) fn get_lines(
        &mut self,
        path: &str,
        each: &mut dyn FnMut(&[u8]) -> Outcome<()>,
    ) -> Outcome<Received> {
        self.ask(
            &self.head("GET", path, "Accept: application/x-ndjson\r\n"),
            each,
        )
    }

    /// Asks by JSON for lines of JSON, and hands each piece of them on. The answer must be good.
    pub(crate) fn lines(
        &mut self,
        path: &str,
        body: &str,
        each: &mut dyn FnMut(&[u8]) -> Outcome<()>,
    ) -> Outcome<Received> {
        let more = format!(
            "Accept: application/x-ndjson\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        self.ask(&(self.head("POST", path, &more) + body), each)
    }

    fn ask(
        &mut self,
        request: &str,
        each: &mut dyn FnMut(&[u8]) -> Outcome<()>,
    ) -> Outcome<Received> {
        self.again()?;
        let start = Instant::now();
        self.stream.write_all(request.as_bytes())?;
        self.receive(start, each)
    }

    fn receive(
        &mut self,
        start: Instant,
        each: &mut dyn FnMut(&[u8]) -> Outcome<()>,
    ) -> Outcome<Received> {
        let mut piece = vec![0; PIECE];
        let framing = self.answer(&mut piece)?;
        let mut received = Received {
            bytes: 0,
            first: Duration::ZERO,
            taken: Duration::ZERO,
        };
        let mut pass = |bytes: &[u8]| {
            if received.bytes == 0 {
                received.first = start.elapsed();
            }
            received.bytes += bytes.len() as u64;
            each(bytes)
        };
        match framing {
            Framing::Length(length) => self.measured(length, &mut piece, &mut pass)?,
            Framing::Chunked => self.chunked(&mut piece, &mut pass)?,
        }
        received.taken = start.elapsed();
        Ok(received)
    }

    /// Reads the head of the answer; what came behind it is held.
    fn answer(&mut self, piece: &mut [u8]) -> Outcome<Framing> {
        self.held.clear();
        let end = loop {
            self.more(piece)?;
            if let Some(end) = self.held.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let body = self.held.split_off(end);
        let head = String::from_utf8(std::mem::replace(&mut self.held, body))?;
        if head.get(9..10) != Some("2") {
            let said = String::from_utf8_lossy(&self.held);
            return Err(format!("{}: {said:.400}", head.lines().next().unwrap_or("")).into());
        }
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (found, value) = line.split_once(':')?;
                found.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        match header("content-length") {
            Some(length) => Ok(Framing::Length(length.parse()?)),
            None => Ok(Framing::Chunked),
        }
    }

    /// Adds to what is held.
    fn more(&mut self, piece: &mut [u8]) -> Outcome<()> {
        match self.stream.read(piece)? {
            0 => Err("the connection was closed".into()),
            count => {
                self.held.extend_from_slice(&piece[..count]);
                Ok(())
            }
        }
    }

    fn measured(
        &mut self,
        length: u64,
        piece: &mut [u8],
        pass: &mut dyn FnMut(&[u8]) -> Outcome<()>,
    ) -> Outcome<()> {
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() {
            pass(&held)?;
        }
        let mut left = length - held.len() as u64;
        while left > 0 {
            match self.stream.read(piece)? {
                0 => return Err("the connection was closed".into()),
                count => {
                    pass(&piece[..count])?;
                    left -= count as u64;
                }
            }
        }
        Ok(())
    }

    /// Chunks and trailers (RFC 9112, 7.1).
    fn chunked(
        &mut self,
        piece: &mut [u8],
        pass: &mut dyn FnMut(&[u8]) -> Outcome<()>,
    ) -> Outcome<()> {
        loop {
            let line = self.line(piece)?;
            let mut left = usize::from_str_radix(line.split(';').next().unwrap_or(""), 16)?;
            if left == 0 {
                while !self.line(piece)?.is_empty() {}
                return Ok(());
            }
            let held = left.min(self.held.len());
            if held > 0 {
                pass(&self.held[..held])?;
                self.held.drain(..held);
                left -= held;
            }
            while left > 0 {
                let due = left.min(piece.len());
                match self.stream.read(&mut piece[..due])? {
                    0 => return Err("the connection was closed".into()),
                    count => {
                        pass(&piece[..count])?;
                        left -= count;
                    }
                }
            }
            self.line(piece)?;
        }
    }

    fn line(&mut self, piece: &mut [u8]) -> Outcome<String> {
        // So few bytes that what belongs to the body is not copied twice.
        let few = piece.len().min(4096);
        loop {
            if let Some(end) = self.held.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.held.drain(..=end).collect();
                return Ok(String::from_utf8(line)?.trim_end().to_owned());
            }
            self.more(&mut piece[..few])?;
        }
    }
}
