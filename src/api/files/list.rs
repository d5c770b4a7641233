//! Listings: the compatible route, and trees page by page or as a stream.

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde::Serialize;

use super::query::{Fields, invalid};
use crate::{
    api::{
        checked::recoded,
        error::{ApiError, ErrorBody},
        extract::{JSON_LIMIT, parse_json, read_body},
        state::ApiState,
        types::files::{
            entry::EntryBody,
            names::shown,
            tree::{ErrorLine, ListAnswer, ListDirectoryAnswer, ListDirectoryBody},
        },
    },
    vfs::{
        Vfs, cursor,
        describe::Described,
        entry::EntryKind,
        fault::Fault,
        listing::{Lister, Question},
        path::ClientPath,
        traverse::{Key, Options, Order, SortBy},
    },
};

/// Entries of a page, when nothing is said, and at most.
const USUAL: usize = 1000;
const MOST: usize = 100_000;
/// Deepest listing.
const DEEPEST: usize = 64;
/// Entries that are looked at in one turn, for an answer in one piece.
const PART: usize = 4096;

const KINDS: [EntryKind; 8] = [
    EntryKind::File,
    EntryKind::Dir,
    EntryKind::Symlink,
    EntryKind::Fifo,
    EntryKind::Socket,
    EntryKind::Char,
    EntryKind::Block,
    EntryKind::Submodule,
];

/// Everything in one directory: directories first, then the rest, each in byte order.
#[utoipa::path(post, path = "/api/v0/list-directory", tag = "files", request_body = ListDirectoryBody,
    params(("path" = Option<String>, Query, description = "Absolute path; then the body is not looked at")),
    responses((status = 200, description = "Its entries", body = ListDirectoryAnswer),
              (status = 400, description = "`invalid_field`, `invalid_json`, `path_not_absolute`, `not_a_directory`, `link_loop`, `name_too_long`", body = ErrorBody),
              (status = 403, description = "`permission_denied`, `outside_mount`, `magic_link`, `reserved_path`", body = ErrorBody),
              (status = 404, description = "`not_found`", body = ErrorBody)))]
pub async fn list_directory(
    State(api): State<ApiState>,
    mut fields: Fields,
    request: Request,
) -> Result<Json<ListDirectoryAnswer>, ApiError> {
    let given = fields.optional_path("path")?;
    fields.finish()?;
    let body = read_body(request.into_body(), JSON_LIMIT).await?;
    let path = match given {
        Some(path) => path,
        None => from_body(api.vfs(), &body)?,
    };
    let contents = api.vfs().contents(&path).await?;
    Ok(Json(contents.into()))
}

fn from_body(vfs: &Vfs, body: &Bytes) -> Result<ClientPath, ApiError> {
    let body: ListDirectoryBody = parse_json(body).map_err(recoded)?;
    let mut bytes = match body.relativity.as_str() {
        "root" => Vec::new(),
        "home" => vfs.surroundings().home.given().to_vec(),
        other => {
            let message = format!("unsupported relativity type {other:?}");
            return Err(invalid("relativity", message.clone()).with_message(message));
        }
    };
    for name in &body.path {
        bytes.push(b'/');
        bytes.extend_from_slice(name.as_bytes());
    }
    if bytes.is_empty() {
        bytes.push(b'/');
    }
    ClientPath::parse(&bytes).map_err(|error| super::query::refused_path("path", error))
}

/// A directory and what is below it, each directory before its contents. With `Accept: application/x-ndjson` all of it, an entry a
/// line, a failure as `{"error": {…}}`.
#[utoipa::path(get, path = "/api/v0/list", tag = "files",
    params(("path" = String, Query, description = "Absolute path of a directory", pattern = "^/"),
           ("depth" = Option<u64>, Query, description = "Levels, 1 to 64; default 1", minimum = 1, maximum = 64),
           ("limit" = Option<u64>, Query, description = "Entries, at most 100000; default 1000", minimum = 1, maximum = 100_000),
           ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
           ("sort" = Option<String>, Query, description = "`name`, `size`, `mtime`, `type`; `-` in front reverses", pattern = "^-?(name|size|mtime|type)$"),
           ("dirs_first" = Option<bool>, Query, description = "Directories before the rest"),
           ("ignore" = Option<bool>, Query, description = "Leave out what gitignore leaves out"),
           ("hidden" = Option<bool>, Query, description = "`false`: leave out names that begin with a dot"),
           ("glob" = Option<Vec<String>>, Query, description = "Names that are given; `!` in front excludes; repeatable"),
           ("types" = Option<Vec<String>>, Query, description = "Types that are given; repeatable, or with commas"),
           ("metadata" = Option<bool>, Query, description = "`false`: names and types only")),
    responses((status = 200, description = "A page, or all lines", body = ListAnswer),
              (status = 400, description = "`invalid_field`, `path_not_absolute`, `not_a_directory`, `bad_cursor`, `bad_pattern`, `link_loop`", body = ErrorBody),
              (status = 403, description = "`permission_denied`, `outside_mount`, `magic_link`, `reserved_path`", body = ErrorBody),
              (status = 404, description = "`not_found`", body = ErrorBody),
              (status = 503, description = "`mount_busy`", body = ErrorBody)))]
pub async fn list_tree(
    State(api): State<ApiState>,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, ApiError> {
    let (question, limit, cursor) = read_question(fields)?;
    let id = format!("{question:?}");
    let position = cursor.map(|cursor| cursor::decode(&cursor, &id));
    let position = position.transpose().map_err(|error| {
        ApiError::bad_request("bad_cursor", "The cursor does not fit this request.")
            .with_validation("cursor".to_owned(), error.to_string())
    })?;
    let lister = api.vfs().list(question, position).await?;
    if takes_lines(&headers) {
        return Ok(lines(api.vfs().clone(), lister));
    }
    let path = shown(lister.path());
    let mut answer = ListAnswer {
        path: path.text,
        path_base64: path.base64,
        entries: Vec::new(),
        errors: Vec::new(),
        next_cursor: None,
    };
    let (opening, _) = around(&answer);
    let (mut text, rest) = page(api.vfs(), lister, limit, opening).await?;
    answer.errors = rest.errors.into_iter().map(Into::into).collect();
    answer.next_cursor = rest.next.map(|position| cursor::encode(&position, &id));
    text.extend_from_slice(&around(&answer).1);
    let kind = [(header::CONTENT_TYPE, "application/json")];
    Ok((kind, text).into_response())
}

/// What comes before the entries of an answer, and after them. They are written one after the other: as bodies, all those of a large
/// directory together would be several times as much.
fn around(answer: &ListAnswer) -> (Vec<u8>, Vec<u8>) {
    const PLACE: &str = "\"entries\":[";
    let text = serde_json::to_string(answer).expect("plain data");
    // In a text the quotes would have backslashes.
    let at = text.find(PLACE).expect("it has entries") + PLACE.len();
    let (before, after) = text.split_at(at);
    (before.into(), after.into())
}

/// What a page tells besides its entries.
struct Rest {
    errors: Vec<Fault>,
    next: Option<Vec<Key>>,
}

/// Adds the entries of a page to the text. While some are written, the next are looked at; some 30 MB of text are no work for the
/// threads that serve connections.
async fn page(
    vfs: &Vfs,
    lister: Lister,
    limit: usize,
    mut text: Vec<u8>,
) -> Result<(Vec<u8>, Rest), ApiError> {
    let (mut errors, mut left, mut first) = (Vec::new(), limit, true);
    let (mut lister, mut page) = vfs.page(lister, left.min(PART)).await?;
    loop {
        let (ready, count) = (page.entries, left.min(PART));
        left -= ready.len();
        errors.append(&mut page.errors);
        let ends = page.next.is_none() || left == 0 || ready.len() < count;
        let task = tokio::task::spawn_blocking(move || added(text, first, &ready));
        let task = async { task.await.map_err(|error| ApiError::internal(&error)) };
        first = false;
        if ends {
            let next = page.next;
            return Ok((task.await?, Rest { errors, next }));
        }
        let more = async { Ok(vfs.page(lister, left.min(PART)).await?) };
        ((lister, page), text) = tokio::try_join!(more, task)?;
    }
}

fn added(mut text: Vec<u8>, first: bool, entries: &[Described]) -> Vec<u8> {
    for (number, entry) in entries.iter().enumerate() {
        if !first || number > 0 {
            text.push(b',');
        }
        serde_json::to_writer(&mut text, &EntryBody::from(entry)).expect("plain data");
    }
    text
}

fn read_question(mut fields: Fields) -> Result<(Question, usize, Option<String>), ApiError> {
    let path = fields.path("path")?;
    let within = |name: &str, value: Option<u64>, usual: usize, most: usize| match value {
        None => Ok(usual),
        Some(value) => usize::try_from(value)
            .ok()
            .filter(|value| *value <= most)
            .ok_or_else(|| invalid(name, format!("at most {most} is allowed"))),
    };
    let depth = within("depth", fields.limit("depth")?, 1, DEEPEST)?;
    let limit = within("limit", fields.limit("limit")?, USUAL, MOST)?;
    let cursor = fields.text("cursor")?;
    let sort = fields.text("sort")?.unwrap_or_default();
    let (by, reverse) = sorting(&sort)?;
    let order = Order {
        by,
        reverse,
        dirs_first: fields.flag("dirs_first", false)?,
    };
    let options = Options {
        depth,
        ignore: fields.flag("ignore", false)?,
        hidden: fields.flag("hidden", true)?,
        order,
        attributes: fields.flag("metadata", true)?,
        ..Options::default()
    };
    let globs = fields.texts("glob")?;
    let kinds = kinds(&fields.texts("types")?)?;
    fields.finish()?;
    let question = Question {
        path,
        options,
        globs,
        kinds,
    };
    Ok((question, limit, cursor))
}

fn sorting(text: &str) -> Result<(SortBy, bool), ApiError> {
    let (name, reverse) = match text.strip_prefix('-') {
        Some(name) => (name, true),
        None => (text, false),
    };
    let by = match name {
        "" | "name" => SortBy::Name,
        "size" => SortBy::Size,
        "mtime" => SortBy::Mtime,
        "type" => SortBy::Type,
        _ => {
            let detail = format!("{text:?} is not one of name, size, mtime, type");
            return Err(invalid("sort", detail));
        }
    };
    Ok((by, reverse))
}

/// Types by their words, repeated or with commas.
pub(super) fn kinds(texts: &[String]) -> Result<Vec<EntryKind>, ApiError> {
    let words = texts.iter().flat_map(|text| text.split(','));
    let known = |word: &str| KINDS.into_iter().find(|kind| kind.word() == word);
    words
        .filter(|word| !word.is_empty())
        .map(|word| known(word).ok_or_else(|| invalid("types", format!("{word:?} is no type"))))
        .collect()
}

fn takes_lines(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("application/x-ndjson"))
}

/// Batches as they come, each written while the next is looked at; the work ends when the client has gone. A listing that breaks
/// off ends with a line that says so.
fn lines(vfs: Vfs, lister: Lister) -> Response {
    let batches = stream::unfold(Some((vfs, lister, Vec::new())), async |state| {
        let (vfs, lister, ready) = state?;
        let written = tokio::task::spawn_blocking(move || lines_of(ready));
        let (next, written) = tokio::join!(vfs.batch(lister), written);
        // Without its lines it must not end as if it were whole.
        let mut text = written.map_err(std::io::Error::other);
        let state = match next {
            Ok((_, batch)) if batch.is_empty() => None,
            Ok((lister, batch)) => Some((vfs, lister, batch)),
            Err(fault) => {
                if let Ok(text) = &mut text {
                    let error = fault.into();
                    push_line(text, &ErrorLine { error });
                }
                None
            }
        };
        Some((text.map(Bytes::from), state))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (kind, Body::from_stream(batches)).into_response()
}

fn lines_of(batch: Vec<Result<Described, Fault>>) -> Vec<u8> {
    let mut text = Vec::new();
    for item in batch {
        match item {
            Ok(entry) => push_line(&mut text, &EntryBody::from(&entry)),
            Err(fault) => {
                let error = fault.into();
                push_line(&mut text, &ErrorLine { error });
            }
        }
    }
    text
}

fn push_line(text: &mut Vec<u8>, line: &impl Serialize) {
    serde_json::to_writer(&mut *text, line).expect("plain data");
    text.push(b'\n');
}
