//! `GET /read-file`: bytes of a file, whole, in part, or only if they are others than the caller has.

use std::{
    ops::Range,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::mpsc;

use super::{
    conditions::tags,
    query::{Fields, invalid},
    range::{self, Asked},
};
use crate::{
    api::{
        error::{ApiError, ErrorBody},
        state::ApiState,
    },
    proc::excerpt::clean,
    vfs::{
        entry::Time,
        fault::{Fault, Result as VfsResult},
        mime::mime,
        path::ClientPath,
        provider::CHUNK,
        read::{self, Pieces, Source},
        tag::{self, ContentHash, Tags, hash_file},
    },
};

/// How long a client may take nothing.
const IDLE: Duration = Duration::from_mins(1);

/// Characters that stand for themselves in a name by RFC 8187 (`attr-char`).
const ATTRIBUTE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// What is asked for.
#[derive(Debug)]
struct Ask {
    path: ClientPath,
    offset: u64,
    limit: Option<u64>,
    range: Option<String>,
    if_range: Option<String>,
    if_none_match: Option<Tags>,
    content_tag: bool,
    download: bool,
}

impl Ask {
    fn read(mut fields: Fields, method: &Method, headers: &HeaderMap) -> Result<Self, ApiError> {
        let text = |name: &HeaderName| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.map(str::to_owned)
        };
        let path = fields.path("path")?;
        let (offset, limit) = (fields.number("offset")?, fields.limit("limit")?);
        let download = fields.flag("download", false)?;
        let content_tag = fields.word("digest", &[("sha256", true)], false)?;
        fields.finish()?;
        let range = text(&header::RANGE).filter(|_| *method == Method::GET);
        if range.is_some() && (offset.is_some() || limit.is_some()) {
            return Err(invalid(
                "range",
                "a range goes together with neither offset nor limit",
            ));
        }
        Ok(Self {
            path,
            offset: offset.unwrap_or(0),
            limit,
            range,
            if_range: text(&header::IF_RANGE),
            if_none_match: tags(headers, &header::IF_NONE_MATCH)?,
            content_tag,
            download,
        })
    }

    /// Whether the content is hashed anyway.
    fn needs_content(&self) -> bool {
        let asked = |text: &String| text.starts_with("\"h-");
        self.content_tag
            || self.if_none_match.as_ref().is_some_and(Tags::needs_content)
            || self.if_range.as_ref().is_some_and(asked)
    }

    fn range_of(&self, size: u64) -> Range<u64> {
        let start = self.offset.min(size);
        let end = self
            .limit
            .map_or(size, |limit| start.saturating_add(limit).min(size));
        start..end
    }
}

/// A file and its tags.
struct Found {
    source: Source,
    hash: Option<ContentHash>,
    /// The tag to show, without quotes.
    tag: Option<String>,
}

async fn find(api: &ApiState, ask: &Ask) -> VfsResult<Found> {
    let view = api.vfs().view();
    let (path, content, hashed) = (ask.path.clone(), ask.content_tag, ask.needs_content());
    let found = api.vfs().run(&view, &ask.path, move |view, wanted| {
        let source = read::open(view, &path)?;
        let mut hash = None;
        if hashed && source.length.is_some() {
            let read = hash_file(&*source.file, wanted);
            hash = Some(read.map_err(|fault| fault.at(source.path.to_bytes()))?);
        }
        let tag = match &hash {
            Some(hash) if content => Some(hash.tag()),
            _ => source.tag(false, wanted)?,
        };
        Ok(Found { source, hash, tag })
    });
    found.await
}

impl Found {
    fn is_known_to(&self, ask: &Ask) -> bool {
        let version = &self.source.attributes.version;
        let is = |tags: &Tags| tags.matches(version, self.hash.as_ref(), false);
        self.source.length.is_some() && ask.if_none_match.as_ref().is_some_and(is)
    }

    /// Whether a range may be given: the caller has the rest of the same content.
    fn goes_with(&self, ask: &Ask) -> bool {
        let Some(condition) = &ask.if_range else {
            return true;
        };
        if let Ok(tags) = Tags::parse(condition) {
            let version = &self.source.attributes.version;
            return tags != Tags::Any && tags.matches(version, self.hash.as_ref(), true);
        }
        let asked = httpdate::parse_http_date(condition).ok();
        asked.is_some() && asked == self.date(tag::now())
    }

    /// When it was changed, once the second of that is over: within it the date would not tell two changes apart (RFC 9110,
    /// 8.8.2.2).
    fn date(&self, now: Time) -> Option<SystemTime> {
        let changed = self.source.attributes.mtime.seconds;
        let told = self.source.length.is_some() && changed < now.seconds;
        told.then(|| date_of(changed)).flatten()
    }

    fn describe(&self, headers: &mut HeaderMap, ask: &Ask) {
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("sandbox; default-src 'none'"),
        );
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, no-cache"),
        );
        if self.source.length.is_some() {
            headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            if let Some(date) = self.date(tag::now()) {
                let date = HeaderValue::from_str(&httpdate::fmt_http_date(date));
                headers.insert(header::LAST_MODIFIED, date.expect("letters and digits"));
            }
        }
        if let Some(tag) = &self.tag {
            let tag = HeaderValue::from_str(&format!("\"{tag}\""));
            headers.insert(header::ETAG, tag.expect("tags are plain"));
        }
        if ask.download {
            headers.insert(header::CONTENT_DISPOSITION, attachment(name_of(&ask.path)));
        }
    }
}

/// The last name as the caller wrote it.
fn name_of(path: &ClientPath) -> &[u8] {
    let mut names = path.given().rsplit(|byte| *byte == b'/');
    names.find(|name| !name.is_empty()).unwrap_or_default()
}

/// RFC 6266 with RFC 8187: a plain name for old clients, the name itself for all others.
fn attachment(name: &[u8]) -> HeaderValue {
    let name = clean(name);
    let plain: String = name
        .chars()
        .map(|c| match c {
            '"' | '\\' | '%' => '_',
            c if c.is_ascii_graphic() || c == ' ' => c,
            _ => '_',
        })
        .collect();
    let exact = utf8_percent_encode(&name, ATTRIBUTE);
    let value = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}");
    HeaderValue::from_str(&value).expect("nothing but plain characters")
}

/// A date of the years that HTTP can write.
fn date_of(seconds: i64) -> Option<SystemTime> {
    let seconds = u64::try_from(seconds).ok();
    let seconds = seconds.filter(|seconds| *seconds < 253_402_300_800)?;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Sends the bytes of a file. Links are followed. A file that becomes shorter breaks the connection off; what is added
/// meanwhile is not sent.
#[utoipa::path(get, path = "/api/v0/read-file", tag = "files",
    params(("path" = String, Query, description = "Absolute path; any bytes, percent-encoded", pattern = "^/"),
           ("offset" = Option<u64>, Query, description = "First byte, from 0"),
           ("limit" = Option<u64>, Query, description = "Bytes at most; 0 is all"),
           ("download" = Option<bool>, Query, description = "To be saved by a browser under its name"),
           ("digest" = Option<String>, Query, description = "`sha256`: `ETag` is made of the content", pattern = "^sha256$"),
           ("Range" = Option<String>, Header, description = "One range of bytes; several are the whole file"),
           ("If-Range" = Option<String>, Header, description = "A tag or a date: the range only of this content, else the whole"),
           ("If-None-Match" = Option<String>, Header, description = "Tags: 304 when the file has one of them")),
    responses((status = 200, description = "The bytes", content_type = "application/octet-stream", body = Vec<u8>),
              (status = 206, description = "The bytes of the range", content_type = "application/octet-stream", body = Vec<u8>),
              (status = 304, description = "The caller has them"),
              (status = 400, description = "`invalid_field`, `path_not_absolute`, `not_a_file`, `not_regular_file`, `not_a_directory`, `link_loop`, `name_too_long`", body = ErrorBody),
              (status = 403, description = "`permission_denied`, `outside_mount`, `magic_link`, `reserved_path`", body = ErrorBody),
              (status = 404, description = "`not_found`", body = ErrorBody),
              (status = 416, description = "`range_not_satisfiable`", body = ErrorBody),
              (status = 503, description = "`mount_busy`", body = ErrorBody)))]
pub async fn read_file(
    State(api): State<ApiState>,
    method: Method,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, ApiError> {
    let ask = Ask::read(fields, &method, &headers)?;
    let found = find(&api, &ask).await?;
    if found.is_known_to(&ask) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        found.describe(response.headers_mut(), &ask);
        return Ok(response);
    }
    let (status, part) = choose(&found, &ask)?;
    let size = found.source.length;
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        send(&api, &found.source, part.clone()).await?
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(mime(name_of(&ask.path))),
    );
    if let Some(size) = size {
        headers.insert(header::CONTENT_LENGTH, (part.end - part.start).into());
        if status == StatusCode::PARTIAL_CONTENT {
            let range = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            let range = HeaderValue::from_str(&range).expect("digits");
            headers.insert(header::CONTENT_RANGE, range);
        }
    }
    found.describe(headers, &ask);
    Ok(response)
}

/// Which bytes are sent.
fn choose(found: &Found, ask: &Ask) -> Result<(StatusCode, Range<u64>), ApiError> {
    let Some(size) = found.source.length else {
        let end = ask
            .limit
            .map_or(u64::MAX, |limit| ask.offset.saturating_add(limit));
        return Ok((StatusCode::OK, ask.offset..end));
    };
    let asked = match &ask.range {
        Some(text) if found.goes_with(ask) => range::parse(text, size),
        _ => Asked::Whole,
    };
    match asked {
        Asked::Whole => Ok((StatusCode::OK, ask.range_of(size))),
        Asked::Part(part) => Ok((StatusCode::PARTIAL_CONTENT, part)),
        Asked::Unsatisfiable => {
            let size = format!("bytes */{size}");
            let size = HeaderValue::from_str(&size).expect("digits");
            let refusal = ApiError::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "range_not_satisfiable",
                "The file has no bytes in this range.",
            );
            Err(refusal.with_header(header::CONTENT_RANGE, size))
        }
    }
}

/// What fits into one piece is read at once, so that a failure still has a status; the rest is read while it is sent.
async fn send(api: &ApiState, source: &Source, part: Range<u64>) -> Result<Body, ApiError> {
    let length = part.end - part.start;
    let mut pieces = Pieces::new(api.vfs().clone(), source.clone(), part);
    let first = pieces.next().await?;
    if source.length.is_some() && length <= CHUNK as u64 {
        return Ok(Body::from(first.unwrap_or_default()));
    }
    let (give, take) = mpsc::channel(1);
    api.shutdown().spawn(async move {
        let mut piece = Ok(first);
        loop {
            let last = !matches!(piece, Ok(Some(_)));
            // While one piece waits for the client, the next is read.
            let given = tokio::time::timeout(IDLE, give.send(piece)).await;
            if last || !matches!(given, Ok(Ok(()))) {
                return;
            }
            piece = pieces.next().await;
        }
    });
    Ok(Body::from_stream(stream::unfold(Some(take), pass)))
}

type Taken = mpsc::Receiver<VfsResult<Option<Bytes>>>;

/// The next piece for the connection. Only an end that was told is one: else the connection is broken off, so that half a file
/// is never taken for a whole.
async fn pass(take: Option<Taken>) -> Option<(Result<Bytes, BrokenOff>, Option<Taken>)> {
    let mut take = take?;
    match take.recv().await {
        Some(Ok(Some(piece))) => Some((Ok(piece), Some(take))),
        Some(Ok(None)) => None,
        Some(Err(fault)) => Some((Err(BrokenOff::Fault(fault)), None)),
        None => Some((Err(BrokenOff::Idle), None)),
    }
}

/// Why the rest of a file was not sent.
#[derive(Debug, thiserror::Error)]
enum BrokenOff {
    #[error("the file could not be read to its end")]
    Fault(#[source] Fault),
    #[error("the client took nothing for {} s", IDLE.as_secs())]
    Idle,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_downloads_are_plain_and_exact() {
        let value = attachment("a \"ü\n.txt".as_bytes());
        assert_eq!(
            value.to_str().expect("plain"),
            "attachment; filename=\"a ___.txt\"; filename*=UTF-8''a%20%22%C3%BC%0A.txt"
        );
    }

    #[test]
    fn times_that_http_cannot_write_are_left_out() {
        assert_eq!(date_of(0), Some(UNIX_EPOCH));
        assert_eq!(date_of(-1), None);
        assert_eq!(date_of(253_402_300_800), None);
    }
}
