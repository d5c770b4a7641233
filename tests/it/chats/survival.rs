//! What a daemon that was killed leaves for the next one.

use std::{fs, time::Duration};

use reqwest::Method;
use serde_json::json;

use super::{A, B, C, answer, chat, get, of_chat, put, revoke, seen, token};
use crate::support::{
    self,
    daemon::{Daemon, Home},
};

const ARGS: &[&str] = &["--desktop", "off"];

async fn status(daemon: &Daemon, token: &str) -> (u16, String) {
    let (status, body) = answer(
        daemon
            .bare(Method::GET, "/api/v0/version")
            .bearer_auth(token),
    )
    .await;
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn tokens_that_were_answered_survive_a_kill_at_any_time() {
    let home = Home::new();
    let mut good: Vec<String> = Vec::new();
    let mut revoked: Vec<String> = Vec::new();
    for round in 0..6_u64 {
        let daemon = Daemon::start_in(&home, ARGS);
        for token in &good {
            assert_eq!(status(&daemon, token).await.0, 200);
        }
        for token in &revoked {
            assert_eq!(
                status(&daemon, token).await,
                (401, "token_revoked".to_owned())
            );
        }
        // While tokens are made and revoked, the daemon is killed at some moment.
        let work = async {
            loop {
                let made = daemon.request(Method::POST, "/api/v0/tokens");
                let Ok(made) = made.json(&json!({"scopes": ["git"]})).send().await else {
                    return;
                };
                let Ok(made) = made.json::<serde_json::Value>().await else {
                    return;
                };
                let text = |field: &str| made[field].as_str().expect("text").to_owned();
                if good.len() <= revoked.len() {
                    good.push(text("token"));
                    continue;
                }
                let path = format!("/api/v0/tokens/{}", text("id"));
                let gone = daemon.request(Method::DELETE, &path).send().await;
                if !gone.is_ok_and(|answer| answer.status() == 204) {
                    return; // not answered: it may have been revoked or not
                }
                revoked.push(text("token"));
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(40 + 23 * round), work).await;
        daemon.crash();
    }
    assert!(!good.is_empty() && !revoked.is_empty());
}

#[tokio::test]
async fn chats_and_paths_are_there_after_a_kill_and_after_a_stop() {
    let home = Home::new();
    let daemon = Daemon::start_in(&home, ARGS);
    let file = home.path().join("x").display().to_string();
    seen(&daemon, B, &[A]).await;
    put(&daemon, B, json!({"title": "x"})).await;
    let write = of_chat(
        &daemon,
        B,
        &[A],
        Method::POST,
        &format!("/api/v0/write-file?path={file}"),
    );
    assert_eq!(answer(write.body("x")).await.0, 200);
    let (id, secret) = token(&daemon, json!({"scopes": ["git"], "chat_id": B})).await;
    let folder = home.state().join("chats");
    let has = |name: &str, text: &str| {
        fs::read_to_string(folder.join(name)).is_ok_and(|all| all.contains(text))
    };
    support::eventually("it is written", || {
        has("chats.json", "\"x\"") && has("paths.json", &file)
    })
    .await;
    daemon.crash();
    let daemon = Daemon::start_in(&home, ARGS);
    let known = chat(&daemon, B).await;
    assert_eq!(
        (&known["title"], &known["parent_id"], &known["tokens"]),
        (&json!("x"), &json!(A), &json!(1))
    );
    assert_eq!(status(&daemon, &secret).await.0, 200);
    assert_eq!(revoke(&daemon, &id).await.0, 204);
    seen(&daemon, C, &[]).await;
    daemon.stop();
    let daemon = Daemon::start_in(&home, ARGS);
    assert_eq!(
        chat(&daemon, C).await["id"],
        C,
        "seen right before the stop"
    );
    assert_eq!(
        status(&daemon, &secret).await,
        (401, "token_revoked".to_owned())
    );
    let gone = answer(daemon.request(Method::DELETE, &format!("/api/v0/chats/{B}"))).await;
    assert_eq!(gone.1["paths_forgotten"], 1);
}

#[tokio::test]
async fn a_damaged_file_stops_nothing() {
    let home = Home::new();
    let daemon = Daemon::start_in(&home, ARGS);
    seen(&daemon, A, &[]).await;
    let (_, secret) = token(&daemon, json!({"scopes": ["git"]})).await;
    daemon.stop();
    let folder = home.state().join("chats");
    fs::write(folder.join("chats.json"), "{\"version\":1,\"all\":[{").expect("written");
    let daemon = Daemon::start_in(&home, ARGS);
    assert_eq!(get(&daemon, "/api/v0/chats").await.1["total"], 0);
    assert_eq!(
        status(&daemon, &secret).await.0,
        200,
        "the other files are whole"
    );
    assert!(daemon.log().contains("set aside"));
    let names = fs::read_dir(&folder).expect("a folder");
    let names = names.map(|entry| {
        entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned()
    });
    assert!(
        names
            .into_iter()
            .any(|name| name.starts_with("chats.json.damaged-"))
    );
}
