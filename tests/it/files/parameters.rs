//! What every route that takes a path in its query refuses, and the names that all of them take.

use std::fs;

use reqwest::Method;
use serde_json::Value;

use super::helpers::{Case, query};
use crate::support::daemon::json;

/// Method, route, name of its path, and what it takes as numbers.
const ROUTES: [(&str, &str, &str, &[&str]); 9] = [
    ("GET", "read-file", "path", &["offset", "limit"]),
    ("GET", "read-file-lines", "path", &["offset", "limit"]),
    ("GET", "resolve-path", "path", &[]),
    ("GET", "stat", "path", &[]),
    ("GET", "list", "path", &["depth", "limit"]),
    ("GET", "archive", "path", &["level"]),
    ("GET", "glob", "root", &["limit"]),
    ("POST", "write-file", "path", &[]),
    ("PUT", "archive", "path", &["strip"]),
];

async fn ask(case: &Case, method: &str, route: &str, query: &str) -> (u16, Value) {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let path = format!("/api/v0/{route}?{query}");
    let request = case.daemon.request(method, &path);
    json(request.send().await.expect("an answer")).await
}

/// Status of a path that is none: `read-file-lines` tells of everything but its parameters in a body of 200.
fn refusal(route: &str) -> u16 {
    if route == "read-file-lines" { 200 } else { 400 }
}

fn details(body: &Value) -> String {
    body["validations"].to_string()
}

#[tokio::test]
async fn every_route_holds_its_query_to_what_it_is() {
    let case = Case::new();
    let there = query(&case.file("there", "text"));
    for (method, route, field, numbers) in ROUTES {
        let more = if route == "glob" { "&pattern=*" } else { "" };
        for missing in [String::new(), format!("{field}=")] {
            let asked = format!("{missing}{more}");
            let (status, body) = ask(&case, method, route, asked.trim_start_matches('&')).await;
            assert_eq!(status, 400, "{method} {route}?{asked}: {body}");
            assert_eq!(body["message"], "Query parameters have invalid values.");
            assert!(details(&body).contains("is required"), "{body}");
            assert_eq!(body["validations"][0]["field"], field, "{body}");
        }
        for relative in ["x", ".%2Fx", "~", "%2e%2e%2fx"] {
            let asked = format!("{field}={relative}{more}");
            let (status, body) = ask(&case, method, route, &asked).await;
            assert_eq!(body["code"], "path_not_absolute", "{route}: {body}");
            assert_eq!(status, refusal(route), "{route}: {body}");
        }
        for nul in ["%2Fx%00y"] {
            let (status, body) = ask(&case, method, route, &format!("{field}={nul}{more}")).await;
            assert_eq!(body["code"], "invalid_path", "{route}: {body}");
            assert_eq!(status, refusal(route), "{route}: {body}");
        }
        let long = format!("{field}=%2F{}{more}", "x".repeat(256));
        let (status, body) = ask(&case, method, route, &long).await;
        assert_eq!(body["code"], "name_too_long", "{route}: {body}");
        assert_eq!(status, refusal(route), "{route}: {body}");
        let path = format!("{field}={there}{more}");
        for wrong in [
            format!("{path}&nonsense=1"),
            format!("{path}&{field}={there}&{field}="),
        ] {
            let (status, body) = ask(&case, method, route, &wrong).await;
            assert_eq!(status, 400, "{method} {route}?{wrong}: {body}");
            // A list takes its parameter more than once, but nothing empty.
            let is_list = (method, route) == ("GET", "archive") && !wrong.contains("nonsense");
            let code = if is_list {
                "invalid_path"
            } else {
                "invalid_field"
            };
            assert_eq!(body["code"], code, "{route}: {body}");
        }
        for number in numbers {
            let (status, body) = ask(&case, method, route, &format!("{path}&{number}=-1")).await;
            assert_eq!(status, 400, "{route} {number}: {body}");
            assert!(details(&body).contains("value is negative"), "{body}");
            for value in ["1.5", "one", "99999999999999999999", "0x1", "1&LIMIT=2"] {
                let asked = format!("{path}&{number}={}", value.replace("LIMIT", number));
                let (status, body) = ask(&case, method, route, &asked).await;
                assert_eq!(status, 400, "{route}?{asked}: {body}");
            }
        }
    }
    assert_eq!(case.names(), ["there"], "and nothing was made");
}

#[tokio::test]
async fn odd_names_come_through_every_route() {
    let case = Case::new();
    for name in [
        "a b",
        "a&b=c",
        "a#b",
        "100%",
        "%41",
        "a+b",
        "-rf",
        "*",
        "...",
        "line\nfeed",
        "\u{1b}[31m",
        "\"quoted\"",
        "ÿ漢",
    ] {
        let directory = case.path(name);
        fs::create_dir(&directory).expect("made");
        let file = directory.join(name);
        let (status, body) = case.write(&file, "", "text").await;
        assert_eq!(status, 200, "{name:?}: {body}");
        assert_eq!(fs::read(&file).expect("written"), b"text", "{name:?}");
        for (method, route, field, _) in ROUTES {
            let path = query(if matches!(route, "list" | "glob" | "archive") {
                &directory
            } else {
                &file
            });
            let more = if route == "glob" { "&pattern=*" } else { "" };
            if method != "GET" {
                continue;
            }
            let path = format!("/api/v0/{route}?{field}={path}{more}");
            let answer = case.daemon.get(&path).await;
            assert_eq!(answer.status(), 200, "{route} {name:?}");
            let bytes = answer.bytes().await.expect("a body");
            if matches!(route, "list" | "glob" | "stat") {
                let body: Value = serde_json::from_slice(&bytes).expect("an object");
                let entry = if route == "stat" {
                    &body
                } else {
                    &body["entries"][0]
                };
                assert_eq!(entry["name"], name, "{route}: {body}");
            }
        }
    }
}
