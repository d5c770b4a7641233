//! Trees as archives: out as a stream, in as a whole.

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde::Serialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::{
    query::{Fields, invalid, refused_path},
    receive::Incoming,
};
use crate::{
    api::{
        error::{ApiError, ErrorBody},
        identity::Work,
        state::ApiState,
        types::tool_calls::ToolCallHeaders,
    },
    vfs::{
        archive::{
            Format, UnpackError,
            pack::{Packing, check, pack, require_readable},
            unpack::{Unpacked, Unpacking, unpack},
        },
        path::ClientPath,
        provider::CHUNK,
        view::{Last, Place, View},
    },
};

/// Pieces that wait on their way.
const PIECES: usize = 4;
/// Tells how many entries were left out.
const SKIPPED: HeaderName = HeaderName::from_static("x-deskd-skipped");

const FORMATS: [(&str, Format); 3] = [
    ("tar", Format::Tar),
    ("tar.gz", Format::TarGz),
    ("zip", Format::Zip),
];

/// Sends directories and files as one archive, at constant memory.
///
/// Of one directory the names are relative to it; of several paths, each is below its own name. FIFOs, sockets and devices are left
/// out; their number is in the trailer `X-Deskd-Skipped`. A file that becomes shorter while it is read breaks the connection.
#[utoipa::path(get, path = "/api/v0/archive", tag = "files",
    params(("path" = Vec<String>, Query, description = "What goes in; may be given more than once"),
           ("format" = Option<String>, Query, description = "`tar` (default), `tar.gz`, `zip`", pattern = "^(tar|tar[.]gz|zip)$"),
           ("ignore" = Option<bool>, Query, description = "Leave out what gitignore names; default false"),
           ("glob" = Option<Vec<String>>, Query, description = "Which entries; `!` in front excludes"),
           ("level" = Option<u64>, Query, description = "Compression, 1 to 9; default 6", minimum = 1, maximum = 9)),
    responses((status = 200, description = "The archive"),
              (status = 400, description = "`invalid_field`, `bad_pattern`", body = ErrorBody),
              (status = 404, description = "`not_found`", body = ErrorBody)))]
pub async fn read_archive(
    State(api): State<ApiState>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let (paths, packing) = read_query(fields)?;
    let view = api.vfs().view();
    let first = paths[0].clone();
    let places = api.vfs().run(&view, &first, move |view, _| {
        let open = |path: &ClientPath| {
            let place = view.resolve(path, Last::Follow)?;
            require_readable(view, &place)?;
            Ok(place)
        };
        paths.iter().map(open).collect::<Result<Vec<Place>, _>>()
    });
    let places = places.await?;
    for place in &places {
        check(place, &packing).map_err(|error| {
            ApiError::bad_request("bad_pattern", "A glob is not as it should be.")
                .with_validation(format!("glob[{}]", error.index), error.to_string())
        })?;
    }
    let kind = match packing.format {
        Format::Tar => "application/x-tar",
        Format::TarGz => "application/gzip",
        Format::Zip => "application/zip",
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "sandbox; default-src 'none'",
        ),
        (header::TRAILER, "X-Deskd-Skipped"),
    ];
    Ok((headers, stream(&api, view, places, packing)).into_response())
}

fn read_query(mut fields: Fields) -> Result<(Vec<ClientPath>, Packing), ApiError> {
    let paths = fields.list("path");
    let packing = Packing {
        format: fields.word("format", &FORMATS, Format::Tar)?,
        ignore: fields.flag("ignore", false)?,
        globs: fields.texts("glob")?,
        level: match fields.limit("level")? {
            Some(level) if level > 9 => return Err(invalid("level", "is more than 9")),
            level => level.and_then(|level| u32::try_from(level).ok()),
        },
    };
    fields.finish()?;
    if paths.iter().all(Vec::is_empty) {
        return Err(invalid("path", "\"path\" is required"));
    }
    let parse =
        |path: &Vec<u8>| ClientPath::parse(path).map_err(|error| refused_path("path", error));
    let paths = paths.iter().map(parse).collect::<Result<_, _>>()?;
    Ok((paths, packing))
}

/// The archive while it is made. The work ends when the client has gone.
fn stream(api: &ApiState, view: View, places: Vec<Place>, packing: Packing) -> Body {
    let (sender, receiver) = mpsc::channel(PIECES);
    let vfs = api.vfs().clone();
    let shutdown = api.shutdown().clone();
    shutdown.clone().spawn(async move {
        let mut pieces = Pieces {
            sender: sender.clone(),
            held: BytesMut::with_capacity(CHUNK),
        };
        let mount = Arc::clone(&places[0].mount);
        let work = vfs.run_long_in(&mount, move |wanted| {
            let result = pack(&view, &places, &packing, &mut pieces, wanted);
            let end = match &result {
                Ok(skipped) => {
                    let told = HeaderMap::from_iter([(SKIPPED, HeaderValue::from(*skipped))]);
                    Ok(Frame::trailers(told))
                }
                Err(fault) => Err(io::Error::other(fault.clone())),
            };
            let _ = pieces.sender.blocking_send(end);
            result
        });
        tokio::select! {
            biased;
            () = shutdown.stopped() => {}
            () = sender.closed() => {}
            result = work => if let Err(fault) = result {
                tracing::warn!(%fault, "an archive broke off");
            },
        }
    });
    let stream = futures_util::stream::unfold(receiver, async |mut receiver: mpsc::Receiver<_>| {
        let frame = receiver.recv().await?;
        Some((frame, receiver))
    });
    Body::new(StreamBody::new(stream))
}

/// Collects what is written and passes it on in pieces. Fails when the client has gone.
struct Pieces {
    sender: mpsc::Sender<io::Result<Frame<Bytes>>>,
    held: BytesMut,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let piece = self.held.split().freeze();
        self.held.reserve(CHUNK);
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.sender
            .blocking_send(Ok(Frame::data(piece)))
            .map_err(gone)
    }
}

/// What was unpacked.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct UnpackedBody {
    /// Files.
    pub files: u64,
    /// Directories.
    pub dirs: u64,
    /// Links.
    pub links: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Devices and the like, which are left out.
    pub skipped: u64,
}

/// Unpacks an archive into a directory: all of it, or nothing.
///
/// It is unpacked beside the target and then renamed into place: until everything has been read and checked nothing changes, and a
/// failure while it is put in place is undone. Nothing is written through a link.
#[utoipa::path(put, path = "/api/v0/archive", tag = "files",
    params(("path" = String, Query, description = "The directory; made if missing"),
           ("format" = Option<String>, Query, description = "`tar`, `tar.gz`, `zip`; else recognised", pattern = "^(tar|tar[.]gz|zip)$"),
           ("strip" = Option<u64>, Query, description = "Names taken off each path; default 0"),
           ("overwrite" = Option<bool>, Query, description = "Files that are there are replaced; default true"),
           ("max_bytes" = Option<u64>, Query, description = "Default 64 GiB"),
           ("max_entries" = Option<u64>, Query, description = "Default 1,000,000"),
           ToolCallHeaders),
    responses((status = 200, description = "What was unpacked", body = UnpackedBody),
              (status = 400, description = "`invalid_field`, `bad_archive`, `unsafe_entry`, `not_a_directory`", body = ErrorBody),
              (status = 409, description = "`already_exists`, `link_in_the_way`", body = ErrorBody),
              (status = 413, description = "`archive_too_large`", body = ErrorBody)))]
pub async fn write_archive(
    State(api): State<ApiState>,
    touched: Work,
    mut fields: Fields,
    request: Request,
) -> Result<Json<UnpackedBody>, ApiError> {
    let path = fields.path("path")?;
    let formats = FORMATS.map(|(word, format)| (word, Some(format)));
    let how = Unpacking {
        format: fields.word("format", &formats, None)?,
        strip: usize::try_from(fields.number("strip")?.unwrap_or(0)).unwrap_or(usize::MAX),
        overwrite: fields.flag("overwrite", true)?,
        max_bytes: fields.limit("max_bytes")?.unwrap_or(64 << 30),
        max_entries: fields.limit("max_entries")?.unwrap_or(1_000_000),
    };
    fields.finish()?;
    let view = api.vfs().view();
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(PIECES);
    let mut incoming = Incoming::new(request.into_body());
    let target = path.clone();
    let records = api.vfs().records().clone();
    let work = api.vfs().run_long(&view, &target, move |view, wanted| {
        let mut body = Received {
            receiver,
            held: Bytes::new(),
        };
        Ok(unpack(view, &records, &path, &mut body, &how, wanted))
    });
    let receive = async {
        loop {
            match incoming.next().await {
                Ok(Some(piece)) => {
                    if sender.send(Ok(piece)).await.is_err() {
                        // It was refused before its end; a client that writes all of it first is still heard out.
                        incoming.refuse(false).await;
                        return None;
                    }
                }
                Ok(None) => {
                    drop(sender);
                    return None;
                }
                Err(error) => {
                    let _ = sender
                        .send(Err(io::Error::from(io::ErrorKind::UnexpectedEof)))
                        .await;
                    return Some(error);
                }
            }
        }
    };
    let (result, broken) = tokio::join!(work, receive);
    let done = told(result?, broken)?;
    touched.on([&target]);
    Ok(Json(done.into()))
}

/// What was unpacked is, whatever became of the connection then; what was not, because the body broke off, says so.
fn told(
    result: Result<Unpacked, UnpackError>,
    broken: Option<ApiError>,
) -> Result<Unpacked, ApiError> {
    result.map_err(|error| broken.unwrap_or_else(|| error.into()))
}

impl From<Unpacked> for UnpackedBody {
    fn from(done: Unpacked) -> Self {
        Self {
            files: done.files,
            dirs: done.dirs,
            links: done.links,
            bytes: done.bytes,
            skipped: done.skipped,
        }
    }
}

/// The body as blocking readers want it.
struct Received {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    held: Bytes,
}

impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.held.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.held = piece?,
                None => return Ok(0),
            }
        }
        let piece = self.held.split_to(self.held.len().min(buffer.len()));
        buffer[..piece.len()].copy_from_slice(&piece);
        Ok(piece.len())
    }
}

impl From<UnpackError> for ApiError {
    fn from(error: UnpackError) -> Self {
        let (status, code) = match &error {
            UnpackError::Fault(fault) => return fault.clone().into(),
            UnpackError::Unsafe { .. } => (StatusCode::BAD_REQUEST, "unsafe_entry"),
            UnpackError::Bad(_) => (StatusCode::BAD_REQUEST, "bad_archive"),
            UnpackError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "archive_too_large"),
            UnpackError::LinkInTheWay(_) => (StatusCode::CONFLICT, "link_in_the_way"),
            UnpackError::Exists(_) => (StatusCode::CONFLICT, "already_exists"),
        };
        Self::new(status, code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_unpacked_is_told_so_whatever_became_of_the_connection() {
        let broken = || ApiError::bad_request("body_incomplete", "It broke off.");
        let bad = || UnpackError::Bad("cut short".to_owned());
        let code = |result: Result<Unpacked, ApiError>| result.map_err(|error| error.code());
        assert!(told(Ok(Unpacked::default()), Some(broken())).is_ok());
        assert_eq!(
            code(told(Err(bad()), Some(broken()))),
            Err("body_incomplete")
        );
        assert_eq!(code(told(Err(bad()), None)), Err("bad_archive"));
    }
}
