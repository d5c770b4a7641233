//! Each scope against each route of the OpenAPI document.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use super::{answer, daemon, get, token, with};
use crate::support::daemon::Daemon;

const SCOPES: [&str; 7] = [
    "desktop:view",
    "desktop:control",
    "process",
    "files:read",
    "files:write",
    "git",
    "admin",
];

/// What a route asks for, in the words of the contract and not of the table.
fn due(method: &str, path: &str) -> &'static [&'static str] {
    const READS: [&str; 11] = [
        "read-file",
        "read-file-lines",
        "list-directory",
        "resolve-path",
        "list",
        "glob",
        "stat",
        "search",
        "mounts",
        "archive",
        "files/watch",
    ];
    let get = method == "get";
    let Some(route) = path.strip_prefix("/api/v0/") else {
        return match path {
            "/metrics" => &["admin"],
            "/healthz" | "/readyz" | "/mcp" => &[],
            path if path.contains("/git") => &["git"],
            path if path.ends_with("/desktop") => &["desktop:view"],
            other => panic!("say what {other} needs"),
        };
    };
    let (area, _) = route.split_once('/').unwrap_or((route, ""));
    match area {
        "version" => &[],
        "chats" if get => &[],
        "chats" | "tokens" => &["admin"],
        "git" => &["git"],
        "processes" => &["process"],
        "desktop" if route == "desktop/launch" => &["desktop:control", "process"],
        "desktop" if get || route == "desktop/action" => &["desktop:view"],
        "computer" if get => &["desktop:view"],
        "desktop" | "computer" => &["desktop:control"],
        "mounts" if !get && !route.ends_with("cancel") => &["admin"],
        "mounts" | "archive" if !get => &["files:write"],
        _ if READS.contains(&area) || READS.contains(&route) || route.starts_with("mounts/") => {
            &["files:read"]
        }
        _ => &["files:write"],
    }
}

/// Whether a scope is enough for one that is due.
fn covers(scope: &str, due: &str) -> bool {
    scope == due
        || scope == "admin"
        || (scope, due) == ("desktop:control", "desktop:view")
        || (scope, due) == ("files:write", "files:read")
}

/// Method and path of every route, with something in the place of each variable.
async fn routes(daemon: &Daemon) -> Vec<(String, String)> {
    let (_, document) = get(daemon, "/api/v0/openapi.json").await;
    let paths = document["paths"].as_object().expect("paths");
    let mut routes = Vec::new();
    for (path, item) in paths {
        for method in item.as_object().expect("an item").keys() {
            routes.push((method.clone(), path.clone()));
        }
    }
    routes
}

#[tokio::test]
async fn each_scope_opens_its_routes_and_no_other() {
    let daemon = daemon();
    let routes = routes(&daemon).await;
    assert!(routes.len() > 60);
    for scope in SCOPES {
        let (_, token) = token(&daemon, json!({"scopes": [scope]})).await;
        for (method, path) in &routes {
            let lacking = due(method, path).iter().find(|due| !covers(scope, due));
            let path = path
                .replace("{id}", "00000000-0000-0000-0000-000000000001")
                .replace("{chat}", "00000000-0000-0000-0000-000000000001")
                .replace("{uuid}", "x")
                .replace("{token}", "x");
            let verb: Method = method.to_uppercase().parse().expect("a method");
            let (status, body) = answer(daemon.bare(verb, &path).bearer_auth(&token)).await;
            if let Some(lacking) = lacking {
                assert_eq!(
                    (status, body["code"].as_str(), body["detail"].as_str()),
                    (403, Some("scope_required"), Some(*lacking)),
                    "{scope}: {method} {path}"
                );
            } else {
                let refused = status == 401 || body["code"] == "scope_required";
                assert!(!refused, "{scope}: {method} {path} gave {status} {body}");
            }
        }
    }
}

#[tokio::test]
async fn the_document_names_the_scopes() {
    let daemon = daemon();
    let (_, document) = get(&daemon, "/api/v0/openapi.json").await;
    for (method, path) in routes(&daemon).await {
        let operation = &document["paths"][&path][&method];
        let named = operation["security"][0]["bearer"].as_array();
        let named = named
            .into_iter()
            .flatten()
            .filter_map(|scope| scope.as_str());
        let due = due(&method, &path).iter().copied();
        assert_eq!(
            named.collect::<BTreeSet<_>>(),
            due.collect(),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn what_a_body_asks_for_needs_its_scope() {
    let daemon = daemon();
    let ask = async |scope: &str, path: &str, body: serde_json::Value| {
        let (_, token) = token(&daemon, json!({"scopes": [scope]})).await;
        let request = daemon.bare(Method::POST, path).bearer_auth(&token);
        let (status, body) = answer(request.json(&body)).await;
        (
            status,
            body["code"].as_str().unwrap_or_default().to_owned(),
            body["detail"].clone(),
        )
    };
    let action = "/api/v0/desktop/action";
    for looks in ["screenshot", "cursor_position"] {
        let (status, code, _) = ask("desktop:view", action, json!({"action": looks})).await;
        assert_eq!((status, &code[..]), (503, "desktop_disabled"), "{looks}");
    }
    for acts in [
        json!({"action": "left_click", "coordinate": [1, 1]}),
        json!({}),
        json!({"action": "wait"}),
    ] {
        let (status, code, detail) = ask("desktop:view", action, acts.clone()).await;
        assert_eq!(
            (status, &code[..], detail),
            (403, "scope_required", json!("desktop:control")),
            "{acts}"
        );
    }
    let start = "/api/v0/processes/start";
    let (status, code, detail) = ask(
        "process",
        start,
        json!({"command": "true", "user": "nobody"}),
    )
    .await;
    assert_eq!(
        (status, &code[..], detail),
        (403, "scope_required", json!("admin"))
    );
    let (status, ..) = ask("process", start, json!({"command": "true"})).await;
    assert_eq!(status, 200);
    let launch = json!({"argv": ["true"]});
    for scope in ["desktop:control", "process"] {
        let (status, code, _) = ask(scope, "/api/v0/desktop/launch", launch.clone()).await;
        assert_eq!((status, &code[..]), (403, "scope_required"));
    }
}

#[tokio::test]
async fn whoever_needs_no_token_may_do_everything() {
    let daemon = with(&["--no-auth"]);
    let (status, _) = answer(daemon.bare(Method::GET, "/api/v0/tokens")).await;
    assert_eq!(status, 200);
    let missing = answer(daemon.bare(Method::GET, "/api/v0/nothing")).await;
    assert_eq!(missing.0, 404);
}
