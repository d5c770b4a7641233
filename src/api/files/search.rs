//! Searching contents: as one answer, or a record a line while it is found.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::query::invalid;
use crate::{
    api::{
        error::{ApiError, ErrorBody, files::meaning},
        processes::Checked,
        state::ApiState,
        types::files::{
            names,
            search::{
                Binary, CaseWord, EndBody, FindingBody, OutputWord, Record, SearchAnswer,
                SearchBody, SortWord, Syntax,
            },
        },
    },
    vfs::{
        fault::Fault,
        ignore::selection,
        path::{ClientPath, Name, TreePath},
        search::{
            BadPattern, Case, Finding, Output, Pattern, Query, Resume, Summary, file_types, search,
        },
        view::{Last, Place},
    },
};

/// Lines around a match.
const MOST_CONTEXT: u64 = 50;
/// Records that wait for a client.
const RECORDS: usize = 256;

/// Searches file contents below a directory, or in one file, with ripgrep's engine and rules.
///
/// With `Accept: application/x-ndjson` each record is a line, sent when it is found; else one answer, in the order of the paths.
/// The last record tells how it ended. A search ends when its client goes away.
#[utoipa::path(post, path = "/api/v0/search", tag = "files", request_body = SearchBody,
    responses((status = 200, description = "What was found", body = SearchAnswer),
              (status = 400, description = "`invalid_field`, `bad_pattern`, `bad_cursor`", body = ErrorBody),
              (status = 404, description = "`not_found`", body = ErrorBody)))]
pub async fn search_files(
    State(api): State<ApiState>,
    headers: HeaderMap,
    Checked(body): Checked<SearchBody>,
) -> Result<Response, ApiError> {
    let lines = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("application/x-ndjson"));
    let root = names::path("root", body.root.as_deref(), body.root_base64.as_deref())?;
    let print = fingerprint(&body);
    let counts = body.output == Some(OutputWord::Counts);
    let view = api.vfs().view();
    let given = root.clone();
    let place = api
        .vfs()
        .run(&view, &root, move |view, _| resolve(view, &given))
        .await?;
    let query = query(&body, &place, lines, &print)?;
    let spelling = Spelling::new(&root, &place);
    let shape = Shape { spelling, counts };
    if lines {
        return Ok(stream(&api, view, place, query, shape, print));
    }
    let mount = std::sync::Arc::clone(&place.mount);
    let work = api.vfs().run_long_in(&mount, move |wanted| {
        let mut found = Vec::new();
        let summary = search(&view, &place, &query, wanted, &mut |finding| {
            found.push(shape.body(finding));
            true
        })?;
        Ok((found, summary))
    });
    let (found, summary) = work.await?;
    let (errors, matches) = found.into_iter().partition(|record| record.kind == "error");
    let end = EndBody::new(&summary, cursor(&summary, &print));
    Ok(Json(SearchAnswer {
        matches,
        errors,
        end,
    })
    .into_response())
}

/// How findings are shown.
struct Shape {
    spelling: Spelling,
    counts: bool,
}

impl Shape {
    fn body(&self, finding: Finding) -> FindingBody {
        let path = self.spelling.path(finding.path());
        FindingBody::new(finding, &path, self.counts, code)
    }
}

/// Paths begin with the root as the client spelled it, though links may lead elsewhere.
struct Spelling {
    /// Names of the root's own path.
    depth: usize,
    /// As the client spelled it, if that is another path.
    root: Option<TreePath>,
}

impl Spelling {
    fn new(given: &ClientPath, place: &Place) -> Self {
        let other = |spelled: &TreePath| *spelled != place.path;
        Self {
            depth: place.path.names().len(),
            root: given.spelled().filter(other),
        }
    }

    fn path(&self, found: &TreePath) -> Vec<u8> {
        let Some(root) = &self.root else {
            return found.to_bytes();
        };
        let mut path = root.clone();
        path.extend(&found.names()[self.depth..]);
        path.to_bytes()
    }
}

fn resolve(view: &crate::vfs::view::View, root: &ClientPath) -> crate::vfs::fault::Result<Place> {
    let place = view.resolve(root, Last::Follow)?;
    place.require("search")?;
    Ok(place)
}

fn code(fault: &Fault) -> &'static str {
    meaning(fault.kind()).1
}

fn stream(
    api: &ApiState,
    view: crate::vfs::view::View,
    place: Place,
    query: Query,
    shape: Shape,
    print: String,
) -> Response {
    let (sender, receiver) = mpsc::channel::<Bytes>(RECORDS);
    let vfs = api.vfs().clone();
    let shutdown = api.shutdown().clone();
    shutdown.clone().spawn(async move {
        let mount = std::sync::Arc::clone(&place.mount);
        let records = sender.clone();
        let work = vfs.run_long_in(&mount, move |wanted| {
            let summary = search(&view, &place, &query, wanted, &mut |finding| {
                let body = shape.body(finding);
                records
                    .blocking_send(line(&Record::Finding(Box::new(body))))
                    .is_ok()
            })?;
            // Who is cut off by a failure gets no end, and so knows.
            let end = EndBody::new(&summary, cursor(&summary, &print));
            let _ = records.blocking_send(line(&Record::End(Box::new(end))));
            Ok(())
        });
        tokio::select! {
            biased;
            () = shutdown.stopped() => {}
            () = sender.closed() => {}
            result = work => if let Err(fault) = result {
                tracing::warn!(%fault, "a search failed");
            },
        }
    });
    let stream = futures_util::stream::unfold(receiver, async |mut receiver| {
        let line = receiver.recv().await?;
        Some((Ok::<_, Infallible>(line), receiver))
    });
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, Body::from_stream(stream)).into_response()
}

fn line(record: &Record) -> Bytes {
    let mut line = serde_json::to_vec(record).expect("plain data");
    line.push(b'\n');
    line.into()
}

fn query(body: &SearchBody, place: &Place, lines: bool, print: &str) -> Result<Query, ApiError> {
    let bounded = |field: &str, value: Option<u64>, default: u64, most: u64| match value {
        None | Some(0) => Ok(default),
        Some(value) if value <= most => Ok(value),
        Some(_) => Err(invalid(field, format!("is more than {most}"))),
    };
    let context = bounded("context", body.context, 0, MOST_CONTEXT)?;
    let before = bounded("before", body.before, context, MOST_CONTEXT)?;
    let after = bounded("after", body.after, context, MOST_CONTEXT)?;
    let pattern = Pattern {
        text: body.pattern.clone(),
        literal: body.syntax == Some(Syntax::Literal),
        case: match body.case {
            None | Some(CaseWord::Sensitive) => Case::Sensitive,
            Some(CaseWord::Insensitive) => Case::Insensitive,
            Some(CaseWord::Smart) => Case::Smart,
        },
        word: body.word,
        multiline: body.multiline,
    };
    let sorted = body.sort.map_or(!lines, |sort| sort == SortWord::Path);
    let resume = body
        .cursor
        .as_deref()
        .map(|text| resume(text, print, sorted))
        .transpose()?;
    let timeout = bounded("timeout_ms", body.timeout_ms, 10_000, 600_000)?;
    Ok(Query {
        matcher: pattern.compile().map_err(|error| bad("pattern", &error))?,
        multiline: body.multiline,
        selection: selection(&place.path, &body.glob).map_err(|error| {
            bad(
                &format!("glob[{}]", error.index),
                &BadPattern::Refused(error.reason.clone()),
            )
        })?,
        types: file_types(&body.types).map_err(|error| bad("types", &error))?,
        by_type: body.types.iter().any(|name| !name.starts_with('!')),
        ignore: body.ignore.unwrap_or(true),
        hidden: body.hidden,
        binary_as_text: body.binary == Some(Binary::Text),
        before: usize::try_from(before).expect("at most 50"),
        after: usize::try_from(after).expect("at most 50"),
        limit_per_file: body.limit_per_file.filter(|limit| *limit > 0),
        limit: bounded("limit", body.limit, 1000, 100_000)?,
        max_bytes: bounded("max_bytes", body.max_bytes, 1 << 20, 64 << 20)?,
        deadline: Instant::now() + Duration::from_millis(timeout),
        output: match body.output {
            None | Some(OutputWord::Matches) => Output::Matches,
            Some(OutputWord::Files) => Output::Files,
            Some(OutputWord::Counts) => Output::Counts,
        },
        sorted,
        resume,
    })
}

fn bad(field: &str, error: &BadPattern) -> ApiError {
    ApiError::bad_request(
        "bad_pattern",
        format!("The field \"{field}\" is not as it should be."),
    )
    .with_detail(error.to_string())
    .with_validation(field.to_owned(), error.to_string())
}

/// Where a search goes on, as clients keep it.
#[derive(Deserialize, Serialize)]
struct Cursor {
    /// Fingerprint of the query.
    q: String,
    /// Names below the root.
    n: Vec<String>,
    /// Findings of that file that were given.
    g: u64,
}

/// Tells one query from another; how much is asked at a time does not matter.
fn fingerprint(body: &SearchBody) -> String {
    let plain = SearchBody {
        cursor: None,
        limit: None,
        max_bytes: None,
        timeout_ms: None,
        ..body.clone()
    };
    let text = serde_json::to_vec(&plain).expect("plain data");
    URL_SAFE_NO_PAD.encode(&Sha256::digest(&text)[..12])
}

fn cursor(summary: &Summary, print: &str) -> Option<String> {
    let resume = summary.resume.as_ref()?;
    let names = resume
        .names
        .iter()
        .map(|name| URL_SAFE_NO_PAD.encode(name.as_bytes()));
    let cursor = Cursor {
        q: print.to_owned(),
        n: names.collect(),
        g: resume.given,
    };
    Some(URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).expect("plain data")))
}

fn resume(text: &str, print: &str, sorted: bool) -> Result<Resume, ApiError> {
    let refused = |detail: &str| {
        ApiError::bad_request("bad_cursor", "The cursor does not fit this search.")
            .with_validation("cursor".to_owned(), detail.to_owned())
    };
    if !sorted {
        return Err(refused("goes with `sort: path` only"));
    }
    let bytes = URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| refused("is none of ours"))?;
    let cursor: Cursor = serde_json::from_slice(&bytes).map_err(|_| refused("is none of ours"))?;
    if cursor.q != print {
        return Err(refused("is of another search"));
    }
    let name = |text: &String| Name::new(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
    let names = cursor.n.iter().map(name).collect::<Option<Vec<_>>>();
    Ok(Resume {
        names: names.ok_or_else(|| refused("is none of ours"))?,
        given: cursor.g,
    })
}
