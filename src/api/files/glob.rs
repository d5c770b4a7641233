//! Finding entries by their names.

use std::time::Duration;

use axum::{Json, extract::State};
use tokio::time::{Instant, timeout_at};

use super::{
    list::kinds,
    query::{Fields, invalid},
};
use crate::{
    api::{
        error::{ApiError, ErrorBody},
        state::ApiState,
        types::files::{entry::EntryBody, tree::GlobAnswer},
    },
    vfs::{
        cursor,
        describe::Described,
        listing::Question,
        traverse::{Key, Options},
    },
};

/// Entries of an answer, when nothing is said, and at most.
const USUAL: u64 = 1000;
const MOST: u64 = 100_000;
/// Entries that are looked for at a time: between them the clock is looked at.
const SLICE: usize = 1000;

/// In which order entries are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Path,
    Size,
    Mtime,
}

const SORTS: [(&str, (Sort, bool)); 6] = [
    ("path", (Sort::Path, false)),
    ("-path", (Sort::Path, true)),
    ("size", (Sort::Size, false)),
    ("-size", (Sort::Size, true)),
    ("mtime", (Sort::Mtime, false)),
    ("-mtime", (Sort::Mtime, true)),
];

/// The entries below a directory whose names fit a pattern: `**`, `*`, `?`, `[…]`, `{a,b}`; one without `/` fits names at any
/// depth, one with `!` in front excludes.
#[utoipa::path(get, path = "/api/v0/glob", tag = "files",
    params(("root" = String, Query, description = "Absolute path of a directory", pattern = "^/"),
           ("pattern" = Vec<String>, Query, description = "What names must be; repeatable"),
           ("ignore" = Option<bool>, Query, description = "`false`: also what gitignore leaves out"),
           ("hidden" = Option<bool>, Query, description = "Also names that begin with a dot"),
           ("types" = Option<Vec<String>>, Query, description = "Types that are given"),
           ("sort" = Option<String>, Query, description = "`path` (default), `size`, `mtime`; `-` in front reverses. A cursor comes with `path` alone", pattern = "^-?(path|size|mtime|path)$"),
           ("metadata" = Option<bool>, Query, description = "`false`: names and types only"),
           ("limit" = Option<u64>, Query, description = "Entries, at most 100000; default 1000", minimum = 1, maximum = 100_000),
           ("cursor" = Option<String>, Query, description = "`next_cursor` of the answer before"),
           ("timeout_ms" = Option<u64>, Query, description = "Default 10000, at most 600000", minimum = 1, maximum = 600_000)),
    responses((status = 200, description = "What was found", body = GlobAnswer),
              (status = 400, description = "`invalid_field`, `not_a_directory`, `bad_pattern`, `bad_cursor`", body = ErrorBody),
              (status = 404, description = "`not_found`", body = ErrorBody)))]
pub async fn find_names(
    State(api): State<ApiState>,
    mut fields: Fields,
) -> Result<Json<GlobAnswer>, ApiError> {
    let Ask {
        question,
        order: (sort, reverse),
        limit,
        patience,
        cursor,
    } = Ask::new(&mut fields)?;
    fields.finish()?;
    let id = format!("glob {sort:?} {reverse} {question:?}");
    let position = cursor
        .map(|text| cursor::decode(&text, &id))
        .transpose()
        .map_err(|error| {
            ApiError::bad_request("bad_cursor", "The cursor does not fit this request.")
                .with_validation("cursor".to_owned(), error.to_string())
        })?;
    let in_order = sort == Sort::Path && !reverse;
    let search = Search {
        api: &api,
        question,
        most: if in_order { limit } else { usize::MAX },
        deadline: Instant::now() + patience,
    };
    let mut found = search.run(position).await?;
    if !in_order {
        found.entries.sort_by(|a, b| order(sort, a, b));
        if reverse {
            found.entries.reverse();
        }
        if found.entries.len() > limit {
            found.entries.truncate(limit);
            found.stopped = "limit";
        }
        found.next = None;
    }
    Ok(Json(GlobAnswer {
        entries: found.entries.iter().map(EntryBody::from).collect(),
        next_cursor: found.next.map(|position| cursor::encode(&position, &id)),
        stopped: found.stopped,
    }))
}

struct Ask {
    question: Question,
    order: (Sort, bool),
    limit: usize,
    patience: Duration,
    cursor: Option<String>,
}

impl Ask {
    fn new(fields: &mut Fields) -> Result<Self, ApiError> {
        let path = fields.path("root")?;
        let globs = fields.texts("pattern")?;
        if globs.is_empty() {
            return Err(invalid("pattern", "\"pattern\" is required"));
        }
        let order = fields.word("sort", &SORTS, (Sort::Path, false))?;
        let options = Options {
            ignore: fields.flag("ignore", true)?,
            hidden: fields.flag("hidden", false)?,
            attributes: fields.flag("metadata", true)? || order.0 != Sort::Path,
            ..Options::default()
        };
        let kinds = kinds(&fields.texts("types")?)?;
        let bounded = |name: &str, value: Option<u64>, usual, most| match value.unwrap_or(usual) {
            value if value <= most => Ok(value),
            _ => Err(invalid(name, format!("at most {most} is allowed"))),
        };
        let limit = bounded("limit", fields.limit("limit")?, USUAL, MOST)?;
        let patience = bounded("timeout_ms", fields.limit("timeout_ms")?, 10_000, 600_000)?;
        Ok(Self {
            question: Question {
                path,
                options,
                globs,
                kinds,
            },
            order,
            limit: usize::try_from(limit).expect("at most 100000"),
            patience: Duration::from_millis(patience),
            cursor: fields.text("cursor")?,
        })
    }
}

fn order(sort: Sort, a: &Described, b: &Described) -> std::cmp::Ordering {
    let facts = |entry: &Described| {
        entry
            .facts
            .as_ref()
            .map(|facts| (facts.attributes.size, facts.attributes.mtime))
    };
    let (one, other) = (facts(a), facts(b));
    let first = match sort {
        Sort::Path => std::cmp::Ordering::Equal,
        Sort::Size => one.map(|facts| facts.0).cmp(&other.map(|facts| facts.0)),
        Sort::Mtime => one.map(|facts| facts.1).cmp(&other.map(|facts| facts.1)),
    };
    first.then_with(|| a.path.cmp(&b.path))
}

struct Search<'a> {
    api: &'a ApiState,
    question: Question,
    most: usize,
    deadline: Instant,
}

struct Found {
    entries: Vec<Described>,
    next: Option<Vec<Key>>,
    stopped: &'static str,
}

impl Search<'_> {
    async fn run(&self, mut position: Option<Vec<Key>>) -> Result<Found, ApiError> {
        let vfs = self.api.vfs();
        let (mut entries, mut begun) = (Vec::new(), None);
        loop {
            let count = SLICE.min(self.most - entries.len());
            let slice = async {
                let lister = match begun.take() {
                    Some(lister) => lister,
                    None => vfs.list(self.question.clone(), position.clone()).await?,
                };
                Ok::<_, ApiError>(vfs.page(lister, count).await?)
            };
            let Ok(slice) = timeout_at(self.deadline, slice).await else {
                return Ok(Found {
                    entries,
                    next: position,
                    stopped: "timeout",
                });
            };
            let (lister, page) = slice?;
            // One that has taken its time is begun anew.
            begun = (page.entries.len() == count).then_some(lister);
            entries.extend(page.entries);
            match page.next {
                None => {
                    return Ok(Found {
                        entries,
                        next: None,
                        stopped: "done",
                    });
                }
                next if entries.len() >= self.most => {
                    return Ok(Found {
                        entries,
                        next,
                        stopped: "limit",
                    });
                }
                next => position = next,
            }
        }
    }
}
