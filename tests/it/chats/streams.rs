//! Desktop and repositories by chat: the same as by their own routes, for whoever may see them.

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{A, B, answer, chat, closed, get, revoke, seen, start, token, websocket};
use crate::{
    hostile::eventually,
    support::daemon::{Daemon, PATIENCE},
    vnc::Viewer,
};

fn names(chat: &str) -> [String; 2] {
    ["desktop", "stream/desktop"].map(|name| format!("/api/experimental/chats/{chat}/{name}"))
}

#[tokio::test]
async fn the_desktop_is_seen_by_every_name() {
    let daemon = Daemon::start(&[]);
    let own = daemon.token();
    let mut sizes = Vec::new();
    for path in [&names(A)[..], &["/api/v0/desktop/vnc".to_owned()]].concat() {
        let socket = websocket(&daemon, &own, &[], &path)
            .await
            .expect("upgraded");
        let mut viewer = Viewer::over(socket).await;
        viewer.look().await;
        sizes.push((viewer.client.width, viewer.client.height));
    }
    assert_eq!(sizes, [(1280, 800); 3]);
    assert_eq!(
        chat(&daemon, A).await["id"],
        A,
        "a chat not seen before is no error"
    );
}

#[tokio::test]
async fn a_token_that_may_only_look_moves_nothing() {
    let daemon = Daemon::start(&[]);
    let (id, looks) = token(&daemon, json!({"scopes": ["desktop:view"], "chat_id": A})).await;
    let (_, acts) = token(
        &daemon,
        json!({"scopes": ["desktop:control"], "chat_id": A}),
    )
    .await;
    let path = &names(A)[1];
    let socket = websocket(&daemon, &acts, &[], path)
        .await
        .expect("upgraded");
    let mut actor = Viewer::over(socket).await;
    let socket = websocket(&daemon, &looks, &[], &format!("{path}?view_only=false"))
        .await
        .expect("upgraded");
    let mut watcher = Viewer::over(socket).await;
    let (_, desktop) = get(&daemon, "/api/v0/desktop").await;
    let viewers = desktop["viewers"].as_array().expect("viewers");
    let only: Vec<_> = viewers
        .iter()
        .map(|viewer| viewer["view_only"].as_bool())
        .collect();
    assert_eq!(only, [Some(false), Some(true)]);
    assert!(viewers.iter().all(|viewer| viewer["chat_id"] == A));
    assert_eq!(chat(&daemon, A).await["connections"], 2);
    // What the watcher sends is dropped; what the actor sends behind it arrives.
    watcher.client.pointer(500, 500, 0).await.expect("sent");
    watcher.look().await;
    actor.client.pointer(77, 88, 0).await.expect("sent");
    let pointer = async || {
        let picture = daemon.get("/api/v0/desktop/screenshot").await;
        picture.headers()["x-deskd-cursor"]
            .to_str()
            .expect("text")
            .to_owned()
    };
    eventually("the pointer is where the actor put it", async || {
        pointer().await == "77,88"
    })
    .await;
    watcher.client.pointer(500, 500, 0).await.expect("sent");
    watcher.look().await;
    assert_eq!(pointer().await, "77,88");
    assert_eq!(revoke(&daemon, &id).await.0, 204);
    assert_eq!(watcher.closed().await, (1008, "token revoked".to_owned()));
    actor.look().await;
}

#[tokio::test]
async fn what_fails_is_answered_before_the_upgrade() {
    let daemon = Daemon::start(&["--desktop", "off"]);
    let own = daemon.token();
    let (_, bound) = token(&daemon, json!({"scopes": ["desktop:view"], "chat_id": A})).await;
    let (_, blind) = token(&daemon, json!({"scopes": ["git"]})).await;
    seen(&daemon, B, &[]).await;
    for name in 0..2 {
        let path = |chat: &str| names(chat)[name].clone();
        for (token, path, due) in [
            (&own, path("x"), (400, "invalid_chat_id")),
            (
                &own,
                path("00000000-0000-0000-0000-000000000000"),
                (400, "invalid_chat_id"),
            ),
            (&own, path(A), (503, "desktop_disabled")),
            (&bound, path(A), (503, "desktop_disabled")),
            (&bound, path(B), (404, "chat_not_found")),
            (
                &bound,
                path("00000000-0000-0000-0000-0000000000ff"),
                (404, "chat_not_found"),
            ),
            (&blind, path(A), (403, "scope_required")),
            (&"deskd_x".to_owned(), path(A), (401, "unauthorized")),
        ] {
            let refused = websocket(&daemon, token, &[], &path).await;
            let (status, body) = refused.expect_err("no upgrade");
            assert_eq!(
                (status, body["code"].as_str()),
                (due.0, Some(due.1)),
                "{path}"
            );
        }
        let plain = answer(daemon.request(Method::GET, &path(A))).await;
        assert_eq!(
            (plain.0, &plain.1["code"]),
            (426, &json!("websocket_required"))
        );
    }
    // Below its own chat a bound token may look, too.
    seen(&daemon, B, &[A]).await;
    let refused = websocket(&daemon, &bound, &[], &names(B)[0]).await;
    assert_eq!(refused.expect_err("there is no desktop").0, 503);
}

#[tokio::test]
async fn a_stream_ends_with_its_chat() {
    let daemon = Daemon::start(&[]);
    let mut socket = websocket(&daemon, &daemon.token(), &[], &names(A)[0])
        .await
        .expect("upgraded");
    let gone = answer(daemon.request(Method::DELETE, &format!("/api/v0/chats/{A}")));
    let (gone, frame) = tokio::join!(gone, closed(&mut socket));
    assert_eq!(gone.0, 200);
    assert_eq!(frame, (1001, "chat deleted".to_owned()));
}

#[tokio::test]
async fn the_repositories_of_a_chat_are_told_by_every_name() {
    let daemon = Daemon::start(&["--desktop", "off"]);
    let folder = daemon.home().path().join("repository");
    std::fs::create_dir(&folder).expect("a folder");
    let make = "git init -q -b main . && echo text > new";
    let order = json!({"command": make, "workdir": folder, "wait_ms": 60_000});
    start(&daemon, B, &[A], order).await;
    let own = daemon.token();
    let mut told = Vec::new();
    for path in [
        format!("/api/v0/git/watch?chat_id={B}"),
        format!("/api/experimental/chats/{B}/git/watch"),
        format!("/api/experimental/chats/{B}/stream/git"),
        format!("/api/experimental/chats/{A}/stream/git"),
    ] {
        let mut socket = websocket(&daemon, &own, &[], &path)
            .await
            .expect("upgraded");
        let repository = timeout(PATIENCE, async {
            loop {
                let Some(Ok(message)) = socket.next().await else {
                    panic!("{path} ended");
                };
                let text = message.into_text().unwrap_or_default();
                let message: Value = serde_json::from_str(&text).unwrap_or_default();
                if let Some(repository) = message["repositories"].get(0) {
                    return repository.clone();
                }
            }
        });
        let mut repository = repository.await.expect("in time");
        repository["scan_ms"].take();
        told.push(repository);
    }
    assert!(
        told[0]["repo_root"]
            .as_str()
            .is_some_and(|root| root.ends_with("/repository"))
    );
    assert_eq!(told[0]["branch"], "main");
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    assert_eq!(chat(&daemon, B).await["repositories"], 1);
    let (_, bound) = token(&daemon, json!({"scopes": ["git"], "chat_id": B})).await;
    for (path, due) in [
        (
            format!("/api/v0/git/watch?chat_id={A}"),
            (403, "chat_not_allowed"),
        ),
        (
            format!("/api/experimental/chats/{A}/git/watch"),
            (404, "chat_not_found"),
        ),
        (
            format!("/api/experimental/chats/{A}/stream/git"),
            (404, "chat_not_found"),
        ),
    ] {
        let refused = websocket(&daemon, &bound, &[], &path).await;
        let (status, body) = refused.expect_err("not its own");
        assert_eq!(
            (status, body["code"].as_str()),
            (due.0, Some(due.1)),
            "{path}"
        );
    }
    let repos = daemon.bare(Method::GET, &format!("/api/v0/git/repos?chat_id={A}"));
    assert_eq!(
        answer(repos.bearer_auth(&bound)).await.1["code"],
        "chat_not_allowed"
    );
}
