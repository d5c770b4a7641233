//! Starting at most once.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{as_chat, daemon, get, id_of, output, run, start, try_start};

const CHAT: &str = "00000000-0000-0000-0000-00000000000a";
const OTHER: &str = "00000000-0000-0000-0000-00000000000b";

#[tokio::test]
async fn the_same_start_attaches_and_another_one_conflicts() {
    let daemon = daemon();
    let body = json!({"command": "echo a", "client_token": "t", "env": {"A": "1"}});
    let first = start(&daemon, body.clone()).await;
    let mut waits = body.clone();
    waits["wait_ms"] = 60_000.into();
    let again = start(&daemon, waits).await;
    assert_eq!(again["id"], first["id"]);
    assert_eq!(
        (&again["attached"], &again["started"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(again["client_token"], "t");
    assert_eq!(again["result"]["output"], "a\n");
    for (field, value) in [
        ("command", json!("echo b")),
        ("env", json!({"A": "2"})),
        ("background", json!(true)),
        ("workdir", json!("/")),
        ("stdin", json!("pipe")),
        ("timeout_ms", json!(5)),
    ] {
        let mut other = body.clone();
        other[field] = value;
        let (status, answer) = try_start(&daemon, other).await;
        assert_eq!(
            (status, &answer["code"]),
            (409, &json!("client_token_conflict")),
            "{field}"
        );
    }
    let by_chat = as_chat(&daemon, CHAT, "", Method::POST, "/start", Some(body)).await;
    assert_eq!(
        (by_chat.0, &by_chat.1["code"]),
        (409, &json!("client_token_conflict"))
    );
    let (_, token) = get(&daemon, "/tokens/t").await;
    assert_eq!(
        (&token["found"], &token["process_id"]),
        (&json!(true), &first["id"])
    );
    assert_eq!(token["pending"], false);
    assert!(token["token_index_age_ms"].is_u64());
    let (_, token) = get(&daemon, "/tokens/none").await;
    assert_eq!(
        (&token["found"], &token["process_id"]),
        (&json!(false), &json!(""))
    );
}

#[tokio::test]
async fn eight_starts_at_once_are_one_process() {
    let daemon = daemon();
    let body = json!({"command": "echo $$", "client_token": "one", "wait_ms": 60_000});
    let all = (0..8).map(|_| start(&daemon, body.clone()));
    let all = futures_util::future::join_all(all).await;
    let started = all.iter().filter(|answer| answer["started"] == true);
    assert_eq!(started.count(), 1);
    for answer in &all {
        assert_eq!(answer["id"], all[0]["id"]);
        assert_eq!(answer["result"]["output"], all[0]["result"]["output"]);
    }
}

#[tokio::test]
async fn what_is_being_started_can_be_killed_as_soon_as_it_is_known() {
    let daemon = daemon();
    for round in 0..20 {
        let token = format!("t{round}");
        let body = json!({"command": "trap '' TERM; cat", "stdin": "pipe", "client_token": token});
        let starting = super::start(&daemon, body);
        let killing = async {
            let id = loop {
                let (_, state) = super::get(&daemon, &format!("/tokens/{token}")).await;
                if state["found"] == true {
                    break state["process_id"].as_str().expect("an id").to_owned();
                }
            };
            let (status, answer) = super::signal(&daemon, &id, "kill").await;
            assert_eq!(status, 200, "{answer}");
            id
        };
        let (started, id) = tokio::join!(starting, killing);
        assert_eq!(started["id"], id);
        let body = super::exited(&daemon, &id).await;
        assert_eq!(body["ending"]["signal"], "SIGKILL");
    }
}

#[tokio::test]
async fn a_failed_start_and_a_forgotten_process_free_the_token() {
    let daemon = daemon();
    let bad = json!({"argv": ["there-is-no-such-program"], "client_token": "t"});
    assert_eq!(try_start(&daemon, bad).await.0, 500);
    let good = json!({"command": "true", "client_token": "t"});
    let first = start(&daemon, good.clone()).await;
    assert_eq!(first["started"], true);
    let id = first["id"].as_str().expect("an id");
    super::ended(&daemon, id).await;
    let path = format!("/api/v0/processes/{id}");
    let gone = daemon.request(Method::DELETE, &path).send().await;
    assert_eq!(gone.expect("an answer").status(), 204);
    assert_eq!(get(&daemon, &format!("/{id}")).await.0, 404);
    let again = start(&daemon, good).await;
    assert_eq!(again["started"], true);
    assert_ne!(again["id"], first["id"]);
}

#[tokio::test]
async fn odd_tokens_round_trip_and_other_chats_learn_nothing() {
    let daemon = daemon();
    let token = "a/b c?d=é&%41";
    let body = json!({"command": "true", "client_token": token});
    let (_, first) = as_chat(&daemon, CHAT, "", Method::POST, "/start", Some(body)).await;
    assert_eq!(first["client_token"], token);
    let path = "/tokens/a%2Fb%20c%3Fd%3D%C3%A9%26%2541";
    let (_, mine) = as_chat(&daemon, CHAT, "", Method::GET, path, None).await;
    assert_eq!(
        (&mine["found"], &mine["process_id"]),
        (&json!(true), &first["id"])
    );
    let (status, theirs) = as_chat(&daemon, OTHER, "", Method::GET, path, None).await;
    assert_eq!(
        (status, &theirs["found"], &theirs["pending"]),
        (200, &json!(false), &json!(false))
    );
    assert_eq!(get(&daemon, "/tokens/%FF").await.1["found"], false);
}

#[tokio::test]
async fn a_moved_default_directory_is_no_conflict() {
    let daemon = daemon();
    let body = json!({"command": "pwd", "client_token": "t"});
    let first = run(&daemon, body.clone()).await;
    assert!(first["output"].as_str().expect("text").len() > 2);
    std::fs::rename(daemon.home().path(), daemon.home().path()).expect("there");
    let again = start(&daemon, body).await;
    assert_eq!(again["attached"], true);
}

#[tokio::test]
async fn the_owner_of_a_token_is_not_disturbed_by_a_waiter_that_leaves() {
    let daemon = daemon();
    let body = json!({"command": "echo x; cat", "stdin": "pipe", "client_token": "t"});
    let id = id_of(&daemon, body.clone()).await;
    let mut waiting = body;
    waiting["wait_ms"] = 60_000.into();
    let request = daemon
        .request(Method::POST, "/api/v0/processes/start")
        .timeout(Duration::from_millis(200))
        .json(&waiting);
    assert!(request.send().await.expect_err("it leaves").is_timeout());
    assert_eq!(output(&daemon, &id, "").await["running"], true);
    let (_, list) = get(&daemon, "/list").await;
    assert_eq!(list["total"], 1);
}
