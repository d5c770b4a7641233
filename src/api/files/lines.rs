//! `GET /read-file-lines`: a page of numbered lines. Only a wrong parameter is an error; everything else is told in the answer.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    conditions::tags,
    query::{Fields, invalid, refused_path},
};
use crate::{
    api::{
        error::{ApiError, ErrorBody, fault_code},
        state::ApiState,
        types::files::lines::LinesAnswer,
    },
    proc::excerpt::clean,
    vfs::{
        fault::{Fault, Kind, Result as VfsResult},
        lines::{Ending, Over, Page, Reach, Refused, Wish},
        path::{ClientPath, PathError, quoted},
        provider::OpenFile,
        read::{self, MAX_ENDLESS, Source},
        tag::Tags,
    },
};

/// Larger files do not have their lines counted unasked.
const COUNTED_UNASKED: u64 = 64 * 1024 * 1024;

/// Where a NUL says that a file is no text.
const HEAD: usize = 8 * 1024;

const DEFAULT_FILE_SIZE: u64 = 1024 * 1024;
const DEFAULT_LINE_BYTES: u64 = 1024;
const DEFAULT_LINES: u64 = 2000;
const DEFAULT_BYTES: u64 = 32 * 1024;

/// What is asked for.
#[derive(Debug)]
struct Ask {
    path: Vec<u8>,
    wish: Wish,
    max_file_size: Option<u64>,
    total: bool,
    if_none_match: Option<Tags>,
}

impl Ask {
    fn read(mut fields: Fields, headers: &HeaderMap) -> Result<Self, ApiError> {
        let path = fields
            .bytes("path")?
            .ok_or_else(|| invalid("path", "\"path\" is required"))?;
        let first = fields.limit("offset")?.unwrap_or(1);
        let limit = fields.limit("limit")?;
        let max_file_size = fields.limit("max_file_size")?;
        let max_line_bytes = fields
            .limit("max_line_bytes")?
            .unwrap_or(DEFAULT_LINE_BYTES);
        let max_lines = fields.limit("max_response_lines")?.unwrap_or(DEFAULT_LINES);
        let max_bytes = fields.limit("max_response_bytes")?.unwrap_or(DEFAULT_BYTES);
        let partial = fields.flag("partial", false)?;
        let total = fields.flag("total", false)?;
        fields.finish()?;
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(Self {
            path,
            wish: Wish {
                first,
                limit: limit.unwrap_or(max_lines),
                max_line_bytes: size(max_line_bytes),
                max_lines,
                max_bytes: size(max_bytes),
                partial,
            },
            max_file_size: max_file_size.or((!partial).then_some(DEFAULT_FILE_SIZE)),
            total,
            if_none_match: tags(headers, &header::IF_NONE_MATCH)?,
        })
    }
}

/// What the file is, before a line is read.
struct Opened {
    source: Source,
    head: Head,
    tag: Option<String>,
    known: bool,
}

/// What the first bytes tell.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    binary: bool,
    encoding: Option<&'static str>,
}

/// Lines of a text file by their numbers, each behind its number and a TAB. With `partial` a budget that is reached ends the
/// page, and the answer says where to go on.
#[utoipa::path(get, path = "/api/v0/read-file-lines", tag = "files",
    params(("path" = String, Query, description = "Absolute path; any bytes, percent-encoded", pattern = "^/"),
           ("offset" = Option<u64>, Query, description = "First line, from 1"),
           ("limit" = Option<u64>, Query, description = "Lines at most; 0 is `max_response_lines`"),
           ("max_file_size" = Option<u64>, Query, description = "1,048,576; with `partial` none"),
           ("max_line_bytes" = Option<u64>, Query, description = "1,024: longer lines are cut"),
           ("max_response_lines" = Option<u64>, Query, description = "2,000"),
           ("max_response_bytes" = Option<u64>, Query, description = "32,768"),
           ("partial" = Option<bool>, Query, description = "A budget that is reached ends the page"),
           ("total" = Option<bool>, Query, description = "With `partial`: count the lines of a file above 64 MiB"),
           ("If-None-Match" = Option<String>, Header, description = "With `partial`: 304 when the file has one of these tags")),
    responses((status = 200, description = "The lines, or why there are none", body = LinesAnswer),
              (status = 304, description = "The caller has them"),
              (status = 400, description = "`invalid_field`", body = ErrorBody)))]
pub async fn read_file_lines(
    State(api): State<ApiState>,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, ApiError> {
    let ask = Ask::read(fields, &headers)?;
    let path = match ClientPath::parse(&ask.path) {
        Ok(path) => path,
        Err(error) => return Ok(Json(no_path(error)).into_response()),
    };
    match open(&api, &path, &ask).await {
        Err(fault) if fault.kind() == Kind::MountBusy => Err(fault.into()),
        Err(fault) => Ok(Json(cannot_open(&fault, &ask)).into_response()),
        Ok(opened) if opened.known => Ok(not_modified(opened.tag.as_deref())),
        Ok(opened) => Ok(Json(answer(&api, &ask, opened).await).into_response()),
    }
}

fn no_path(error: PathError) -> LinesAnswer {
    match error {
        PathError::NotAbsolute => {
            LinesAnswer::failed("path_not_absolute", "file path must be absolute")
        }
        other => LinesAnswer::failed(
            refused_path("path", other).code(),
            format!("open file: {other}"),
        ),
    }
}

fn cannot_open(fault: &Fault, ask: &Ask) -> LinesAnswer {
    let path = quoted(fault.path());
    let code = fault_code(fault.kind());
    let error = match fault.kind() {
        Kind::NotFound => format!("file does not exist: {path}"),
        Kind::PermissionDenied => format!("permission denied: {path}"),
        Kind::IsADirectory => format!("not a file: {path}"),
        Kind::NotRegular => format!("not a regular file: {path}"),
        // How much more it is, only reading all of it would tell.
        Kind::TooLarge => {
            let max = most(ask);
            format!(
                "the size of {path}, at least {} bytes, exceeds the maximum of {max} bytes",
                max + 1
            )
        }
        _ => format!("open file: {fault}"),
    };
    LinesAnswer::failed(code, error)
}

/// Most that is read of a file whose length is not known.
fn most(ask: &Ask) -> u64 {
    ask.max_file_size.unwrap_or(MAX_ENDLESS).min(MAX_ENDLESS)
}

async fn open(api: &ApiState, path: &ClientPath, ask: &Ask) -> VfsResult<Opened> {
    let view = api.vfs().view();
    let (walked, partial) = (path.clone(), ask.wish.partial);
    let most = most(ask);
    let conditions = ask.if_none_match.clone().filter(|_| partial);
    let opened = api.vfs().run(&view, path, move |view, wanted| {
        let source = read::open(view, &walked)?.with_length(most, wanted)?;
        if !partial {
            let head = Head::default();
            return Ok(Opened {
                source,
                head,
                tag: None,
                known: false,
            });
        }
        // The caller gets the kind of tag that it sent.
        let content = conditions.as_ref().is_some_and(Tags::needs_content);
        let tag = source.tag(content, wanted)?;
        let known =
            conditions.is_some_and(|conditions| is_one_of(&conditions, &source, tag.as_deref()));
        let head = head_of(&*source.file)?;
        Ok(Opened {
            source,
            head,
            tag,
            known,
        })
    });
    opened.await
}

/// Whether the caller has this version, or this content.
fn is_one_of(conditions: &Tags, source: &Source, tag: Option<&str>) -> bool {
    let Tags::These(given) = conditions else {
        return true;
    };
    let version = source.attributes.version.tag();
    given
        .iter()
        .any(|given| given.opaque == version || Some(given.opaque.as_str()) == tag)
}

fn head_of(file: &dyn OpenFile) -> VfsResult<Head> {
    let mut head = vec![0; HEAD];
    let count = file.read_at(&mut head, 0)?;
    head.truncate(count);
    let encoding = match head.as_slice() {
        [0xEF, 0xBB, 0xBF, ..] => Some("utf-8-bom"),
        [0xFF, 0xFE, ..] => Some("utf-16le"),
        [0xFE, 0xFF, ..] => Some("utf-16be"),
        _ => None,
    };
    Ok(Head {
        binary: head.contains(&0),
        encoding,
    })
}

fn not_modified(tag: Option<&str>) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    if let Some(tag) = tag {
        let tag = HeaderValue::from_str(&format!("\"{tag}\""));
        let tag = tag.expect("tags are plain");
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

async fn answer(api: &ApiState, ask: &Ask, opened: Opened) -> LinesAnswer {
    let size = opened.source.length.unwrap_or_default();
    let path = opened.source.path.to_string();
    if let Some(max) = ask.max_file_size.filter(|max| size > *max) {
        let error = format!(
            "the size of {path}, {size} bytes, exceeds the maximum of {max} bytes: search it, read a part of it by offset and \
             limit with a larger max_file_size, or page through it with partial"
        );
        return LinesAnswer::failed("file_too_large", error);
    }
    if opened.head.binary {
        let error = format!("{path} is binary: it has a NUL byte; read-file gives its bytes");
        return LinesAnswer {
            encoding: opened.head.encoding,
            ..LinesAnswer::failed("binary_file", error)
        };
    }
    let mut answer = LinesAnswer {
        success: true,
        file_size: size,
        ..LinesAnswer::default()
    };
    if ask.wish.partial {
        answer.etag = opened.tag.as_ref().map(|tag| format!("\"{tag}\""));
    }
    if size == 0 {
        return answer;
    }
    let reach = if ask.wish.partial && !ask.total && size > COUNTED_UNASKED {
        Reach::Page
    } else {
        Reach::End
    };
    let page = api
        .vfs()
        .lines()
        .page(api.vfs(), &opened.source, ask.wish, reach);
    match page.await {
        Err(refused) => refusal(&refused, ask, &path),
        Ok((page, total)) => {
            answer.total_lines = total.unwrap_or_default();
            fill(&mut answer, page, opened.head, ask.wish.partial);
            answer
        }
    }
}

fn fill(answer: &mut LinesAnswer, page: Page, head: Head, partial: bool) {
    answer.content = clean(&page.content);
    answer.lines_read = page.lines;
    if !partial {
        return;
    }
    let text = if page.unclean.is_empty() {
        "utf-8"
    } else {
        "unknown"
    };
    answer.encoding = Some(head.encoding.unwrap_or(text));
    answer.line_ending = Some(match page.ending {
        Ending::None => "none",
        Ending::Lf => "lf",
        Ending::Crlf => "crlf",
        Ending::Mixed => "mixed",
    });
    answer.next_offset = page.next;
    answer.invalid_utf8 = page.unclean;
    answer.cut_lines = page.cut;
}

fn refusal(refused: &Refused, ask: &Ask, path: &str) -> LinesAnswer {
    const HOW: &str = "read less at a time by offset and limit, or page with partial";
    match refused {
        Refused::Beyond(total) => LinesAnswer::failed(
            "invalid_field",
            format!(
                "offset {} is beyond the file length of {total} lines",
                ask.wish.first
            ),
        ),
        Refused::Over(Over::Bytes(most)) => LinesAnswer::failed(
            "output_too_large",
            format!("output would exceed {most} bytes: {HOW}"),
        ),
        Refused::Over(Over::Lines(most)) => LinesAnswer::failed(
            "output_too_large",
            format!("output would exceed {most} lines: {HOW}"),
        ),
        Refused::Fault(fault) => LinesAnswer::failed(
            fault_code(fault.kind()),
            format!("read file {path}: {fault}"),
        ),
    }
}
