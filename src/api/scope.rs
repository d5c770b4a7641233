//! Which scope a route needs: one table, a row a route. A route without a row needs `admin`.

use axum::http::Method;
use utoipa::openapi::{
    ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder, path::Operation,
    security::SecurityRequirement,
};

use crate::chat::scope::{
    Scope::{self, Admin, DesktopControl, DesktopView, FilesRead, FilesWrite, Git, Process},
    Scopes,
};

/// What a route asks of whoever comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// No token at all.
    Nothing,
    /// A token, whatever it may do.
    Token,
    /// A token with all of these.
    All(&'static [Scope]),
}

const ANY: Need = Need::Token;
const VIEW: Need = Need::All(&[DesktopView]);
const CONTROL: Need = Need::All(&[DesktopControl]);
const LAUNCH: Need = Need::All(&[DesktopControl, Process]);
const RUN: Need = Need::All(&[Process]);
const READ: Need = Need::All(&[FilesRead]);
const WRITE: Need = Need::All(&[FilesWrite]);
const REPOSITORIES: Need = Need::All(&[Git]);
const ADMIN: Need = Need::All(&[Admin]);

/// Method, route and need, in the order of the route table. `HEAD` is `GET`. A row may be there before its route.
#[rustfmt::skip]
const ROWS: &[(&str, &str, Need)] = &[
    // operators
    ("GET", "/healthz", Need::Nothing),
    ("GET", "/readyz", ANY),
    ("GET", "/metrics", ADMIN),
    ("GET", "/docs", ANY),
    ("GET", "/docs.css", ANY),
    ("GET", "/api/v0/version", ANY),
    ("GET", "/api/v0/openapi.json", ANY),
    // the desktop
    ("GET", "/api/v0/desktop", VIEW),
    ("POST", "/api/v0/desktop/start", CONTROL),
    ("POST", "/api/v0/desktop/stop", CONTROL),
    ("POST", "/api/v0/desktop/restart", CONTROL),
    ("POST", "/api/v0/desktop/resize", CONTROL),
    ("GET", "/api/v0/desktop/screenshot", VIEW),
    ("GET", "/api/v0/desktop/input", VIEW),
    ("POST", "/api/v0/desktop/input/reset", CONTROL),
    ("GET", "/api/v0/desktop/clipboard", VIEW),
    ("PUT", "/api/v0/desktop/clipboard", CONTROL),
    ("GET", "/api/v0/desktop/control", VIEW),
    ("GET", "/api/v0/desktop/events", VIEW),
    ("GET", "/api/v0/desktop/windows", VIEW),
    ("POST", "/api/v0/desktop/windows/{id}/focus", CONTROL),
    ("POST", "/api/v0/desktop/windows/{id}/close", CONTROL),
    ("POST", "/api/v0/desktop/windows/{id}/move", CONTROL),
    ("POST", "/api/v0/desktop/windows/{id}/resize", CONTROL),
    ("POST", "/api/v0/desktop/windows/{id}/minimize", CONTROL),
    ("POST", "/api/v0/desktop/windows/{id}/maximize", CONTROL),
    ("POST", "/api/v0/desktop/launch", LAUNCH),
    // What does more than look is refused by the handler without `desktop:control`.
    ("POST", "/api/v0/desktop/action", VIEW),
    ("POST", "/api/v0/desktop/actions", CONTROL),
    ("GET", "/api/v0/computer/tools", VIEW),
    ("POST", "/api/v0/computer/anthropic", CONTROL),
    ("POST", "/api/v0/computer/openai", CONTROL),
    // Without `desktop:control` the viewer's input is dropped.
    ("GET", "/api/v0/desktop/vnc", VIEW),
    ("GET", "/api/experimental/chats/{chat}/desktop", VIEW),
    ("GET", "/api/experimental/chats/{chat}/stream/desktop", VIEW),
    // processes
    ("POST", "/api/v0/processes/start", RUN),
    ("GET", "/api/v0/processes/list", RUN),
    ("GET", "/api/v0/processes/tokens/{token}", RUN),
    ("GET", "/api/v0/processes/{id}", RUN),
    ("DELETE", "/api/v0/processes/{id}", RUN),
    ("GET", "/api/v0/processes/{id}/output", RUN),
    ("POST", "/api/v0/processes/{id}/signal", RUN),
    ("POST", "/api/v0/processes/{id}/stdin", RUN),
    ("POST", "/api/v0/processes/{id}/resize", RUN),
    ("GET", "/api/v0/processes/{id}/screen", RUN),
    ("GET", "/api/v0/processes/{id}/events", RUN),
    ("GET", "/api/v0/processes/{id}/attach", RUN),
    ("POST", "/api/v0/processes/{uuid}/cancel", RUN),
    // files that are read
    ("GET", "/api/v0/read-file", READ),
    ("GET", "/api/v0/read-file-lines", READ),
    ("POST", "/api/v0/list-directory", READ),
    ("GET", "/api/v0/resolve-path", READ),
    ("GET", "/api/v0/list", READ),
    ("GET", "/api/v0/glob", READ),
    ("GET", "/api/v0/stat", READ),
    ("POST", "/api/v0/stat", READ),
    ("POST", "/api/v0/search", READ),
    ("GET", "/api/v0/archive", READ),
    ("GET", "/api/v0/files/watch", READ),
    ("GET", "/api/v0/mounts", READ),
    ("GET", "/api/v0/mounts/{id}", READ),
    ("GET", "/api/v0/mounts/{id}/changes", READ),
    ("GET", "/api/v0/checkpoints", READ),
    ("GET", "/api/v0/checkpoints/{id}", READ),
    ("GET", "/api/v0/checkpoints/{id}/diff", READ),
    // files that are changed
    ("POST", "/api/v0/write-file", WRITE),
    ("PUT", "/api/v0/write-file", WRITE),
    ("POST", "/api/v0/write-file/{uuid}/cancel", WRITE),
    ("POST", "/api/v0/edit-files", WRITE),
    ("POST", "/api/v0/edit-files/{uuid}/cancel", WRITE),
    ("POST", "/api/v0/mkdir", WRITE),
    ("POST", "/api/v0/mkdir/{uuid}/cancel", WRITE),
    ("POST", "/api/v0/remove", WRITE),
    ("POST", "/api/v0/remove/{uuid}/cancel", WRITE),
    ("POST", "/api/v0/move", WRITE),
    ("POST", "/api/v0/move/{uuid}/cancel", WRITE),
    ("POST", "/api/v0/copy", WRITE),
    ("POST", "/api/v0/copy/{uuid}/cancel", WRITE),
    ("POST", "/api/v0/chmod", WRITE),
    ("POST", "/api/v0/chmod/{uuid}/cancel", WRITE),
    ("POST", "/api/v0/touch", WRITE),
    ("POST", "/api/v0/touch/{uuid}/cancel", WRITE),
    ("PUT", "/api/v0/archive", WRITE),
    ("POST", "/api/v0/archive/{uuid}/cancel", WRITE),
    ("POST", "/api/v0/materialize", WRITE),
    ("POST", "/api/v0/materialize/{uuid}/cancel", WRITE),
    // All mounts stand in the table that everybody shares.
    ("POST", "/api/v0/mounts", ADMIN),
    ("DELETE", "/api/v0/mounts/{id}", ADMIN),
    ("POST", "/api/v0/mounts/{uuid}/cancel", WRITE),
    ("POST", "/api/v0/mounts/{id}/commit", WRITE),
    ("POST", "/api/v0/mounts/{id}/discard", WRITE),
    ("POST", "/api/v0/checkpoints", WRITE),
    ("POST", "/api/v0/checkpoints/{id}/restore", WRITE),
    ("DELETE", "/api/v0/checkpoints/{id}", WRITE),
    // the Model Context Protocol: a tool asks for what its route does
    ("GET", "/mcp", ANY),
    ("POST", "/mcp", ANY),
    ("DELETE", "/mcp", ANY),
    // repositories
    ("GET", "/api/v0/git/watch", REPOSITORIES),
    ("GET", "/api/v0/git/status", REPOSITORIES),
    ("GET", "/api/v0/git/diff", REPOSITORIES),
    ("GET", "/api/v0/git/log", REPOSITORIES),
    ("GET", "/api/v0/git/show", REPOSITORIES),
    ("GET", "/api/v0/git/repos", REPOSITORIES),
    ("GET", "/api/experimental/chats/{chat}/git/watch", REPOSITORIES),
    ("GET", "/api/experimental/chats/{chat}/stream/git", REPOSITORIES),
    // chats and tokens
    ("GET", "/api/v0/chats", ANY),
    ("GET", "/api/v0/chats/{id}", ANY),
    ("PUT", "/api/v0/chats/{id}", ADMIN),
    ("DELETE", "/api/v0/chats/{id}", ADMIN),
    ("POST", "/api/v0/chats/{id}/archive", ADMIN),
    ("POST", "/api/v0/tokens", ADMIN),
    ("GET", "/api/v0/tokens", ADMIN),
    ("DELETE", "/api/v0/tokens/{id}", ADMIN),
];

fn row(method: &str, route: &str) -> Option<Need> {
    let method = if method == "HEAD" { "GET" } else { method };
    let mut rows = ROWS.iter();
    let row = rows.find(|(of, path, _)| *path == route && *of == method);
    row.map(|(_, _, need)| *need)
}

/// What a request needs that goes to `route`. What goes nowhere gets its 404 with any token.
pub fn need(method: &Method, route: Option<&str>) -> Need {
    let known = |route| row(method.as_str(), route).unwrap_or(ADMIN);
    route.map_or(ANY, known)
}

/// The first scope that these lack.
pub fn missing(need: Need, scopes: Scopes) -> Option<Scope> {
    match need {
        Need::Nothing | Need::Token => None,
        Need::All(all) => all.iter().copied().find(|scope| !scopes.include(*scope)),
    }
}

/// Names the scope of each operation in the document.
pub(super) fn describe(document: &mut OpenApi) {
    let schemes = document
        .components
        .iter()
        .flat_map(|all| all.security_schemes.keys());
    let ways: Vec<String> = schemes.cloned().collect();
    for (method, path, operation) in operations(document) {
        let scopes: Vec<_> = match row(method, &path).unwrap_or(ADMIN) {
            Need::Nothing => {
                operation.security = Some(Vec::new());
                add_door(operation, &["403", "421"]);
                continue;
            }
            Need::Token => Vec::new(),
            Need::All(scopes) => scopes.iter().map(|scope| scope.name()).collect(),
        };
        let needed = ways
            .iter()
            .map(|way| SecurityRequirement::new(way, scopes.clone()));
        operation.security = Some(needed.collect());
        add_door(operation, &["401", "403", "421"]);
    }
    let components = document.components.get_or_insert_default();
    for (status, description) in DOOR {
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("ErrorBody")))
            .build();
        let response = ResponseBuilder::new()
            .description(description)
            .content("application/json", content)
            .build();
        components
            .responses
            .insert(format!("Door{status}"), response.into());
    }
}

/// What the door answers, before a route sees the request.
const DOOR: [(&str, &str); 3] = [
    (
        "401",
        "`unauthorized`, `token_expired`, `token_revoked`: no token, or none that is known",
    ),
    (
        "403",
        "`origin_not_allowed`, `scope_required`, `chat_not_allowed`: the page, or what the token may do",
    ),
    (
        "421",
        "`host_not_allowed`: the Host header names another machine",
    ),
];

/// Adds the answers of the door that the operation does not describe itself.
fn add_door(operation: &mut Operation, statuses: &[&str]) {
    for status in statuses {
        operation
            .responses
            .responses
            .entry((*status).to_owned())
            .or_insert_with(|| RefOr::Ref(Ref::from_response_name(format!("Door{status}"))));
    }
}

/// Method, path and operation of each route of the document.
fn operations(
    document: &mut OpenApi,
) -> impl Iterator<Item = (&'static str, String, &mut Operation)> {
    document.paths.paths.iter_mut().flat_map(|(path, item)| {
        let all = [
            ("GET", item.get.as_mut()),
            ("PUT", item.put.as_mut()),
            ("POST", item.post.as_mut()),
            ("DELETE", item.delete.as_mut()),
            ("PATCH", item.patch.as_mut()),
            ("HEAD", item.head.as_mut()),
        ];
        let there = all
            .into_iter()
            .filter_map(|(method, operation)| Some((method, operation?)));
        there.map(|(method, operation)| (method, path.clone(), operation))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_route_of_the_document_has_a_row() {
        let mut document = crate::api::document();
        let lacking: Vec<_> = operations(&mut document)
            .filter(|(method, path, _)| row(method, path).is_none())
            .map(|(method, path, _)| format!("{method} {path}"))
            .collect();
        assert!(
            lacking.is_empty(),
            "add a row to the table above for: {lacking:?}"
        );
        assert!(
            operations(&mut document).count() > 60,
            "the document has the routes"
        );
    }

    #[test]
    fn no_route_has_two_rows() {
        let mut seen = HashSet::new();
        for (method, path, _) in ROWS {
            assert!(seen.insert((method, path)), "{method} {path}");
        }
    }

    #[test]
    fn what_is_in_no_row_is_for_admins() {
        assert_eq!(need(&Method::GET, Some("/api/v0/new")), ADMIN);
        assert_eq!(need(&Method::PATCH, Some("/api/v0/desktop")), ADMIN);
        assert_eq!(need(&Method::HEAD, Some("/api/v0/read-file")), READ);
        assert_eq!(need(&Method::GET, None), ANY);
        let view: Scopes = [DesktopView].into_iter().collect();
        assert_eq!(missing(LAUNCH, view), Some(DesktopControl));
        assert_eq!(missing(VIEW, view), None);
        assert_eq!(missing(ADMIN, Scopes::ADMIN), None);
    }
}
