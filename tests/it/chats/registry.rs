//! The registry over the wire.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{A, B, C, D, answer, chat, daemon, get, ids, put, roots, seen};
use crate::support::daemon::Daemon;

async fn archive(daemon: &Daemon, id: &str, body: Option<Value>) -> (u16, Value) {
    let request = daemon.request(Method::POST, &format!("/api/v0/chats/{id}/archive"));
    answer(match body {
        Some(body) => request.json(&body),
        None => request,
    })
    .await
}

#[tokio::test]
async fn a_chat_is_known_by_header_mention_or_put() {
    let daemon = daemon();
    seen(&daemon, B, &[A]).await;
    let known = chat(&daemon, B).await;
    assert_eq!(
        (&known["parent_id"], &known["ancestor_ids"]),
        (&json!(A), &json!([A]))
    );
    assert_eq!(known["title"], Value::Null);
    assert_eq!(
        (&known["archived"], &known["archived_at"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(known["processes"], json!({"running": 0, "kept": 0}));
    for count in ["repositories", "connections", "tokens"] {
        assert_eq!(known[count], 0, "{count}");
    }
    assert!(
        known["created_at"]
            .as_str()
            .is_some_and(|at| at.ends_with('Z'))
    );
    let (status, made) = put(&daemon, C, json!({"parent_id": B, "title": "x"})).await;
    assert_eq!(
        (status, &made["title"], &made["ancestor_ids"]),
        (200, &json!("x"), &json!([A, B]))
    );
    let (_, changed) = put(&daemon, C, json!({"parent_id": D})).await;
    assert_eq!(
        (&changed["title"], &changed["parent_id"]),
        (&json!("x"), &json!(D)),
        "what is left out stays"
    );
    assert_eq!(
        chat(&daemon, D).await["children"][0]["id"],
        C,
        "an unknown parent becomes known"
    );
    let (_, cleared) = put(&daemon, C, json!({"parent_id": null, "title": null})).await;
    assert_eq!(
        (&cleared["title"], &cleared["parent_id"]),
        (&Value::Null, &Value::Null)
    );
    let empty = daemon.request(Method::PUT, &format!("/api/v0/chats/{C}"));
    assert_eq!(answer(empty).await.0, 200, "a body may be left out");
    assert_eq!(
        get(
            &daemon,
            "/api/v0/chats/00000000-0000-0000-0000-0000000000ff"
        )
        .await
        .1["code"],
        "chat_not_found"
    );
}

/// The one seen longest ago goes, unless something holds it; whoever comes is served.
#[tokio::test]
async fn the_registry_is_bounded_and_refuses_nobody() {
    const BOUND: usize = 10_000;
    let daemon = daemon();
    let (_, titled) = put(&daemon, A, json!({"title": "stays"})).await;
    assert_eq!(titled["title"], "stays");
    seen(&daemon, B, &[]).await;
    let id = |number: usize| uuid::Uuid::from_u128(0x1000 + number as u128).to_string();
    // A hundred at a time, each with 64 ancestors: so few requests are enough.
    let mut known = 0;
    while known < BOUND {
        let above: Vec<_> = (known + 1..known + 15).map(id).collect();
        let above: Vec<_> = above.iter().map(String::as_str).collect();
        seen(&daemon, &id(known), &above).await;
        known += 15;
    }
    let (_, page) = get(&daemon, "/api/v0/chats?limit=1").await;
    assert_eq!(chat(&daemon, A).await["title"], "stays");
    let (status, _) = get(&daemon, &format!("/api/v0/chats/{B}")).await;
    assert_eq!(status, 404, "seen longest ago, and held by nothing");
    assert!(
        page["total"]
            .as_u64()
            .is_some_and(|total| total <= BOUND as u64)
    );
    seen(&daemon, C, &[]).await;
    assert_eq!(chat(&daemon, C).await["id"], C);
}

#[tokio::test]
async fn bad_changes_are_refused() {
    let daemon = daemon();
    seen(&daemon, B, &[A]).await;
    for (id, body, due) in [
        (A, json!({"parent_id": A}), (409, "chat_cycle")),
        (A, json!({"parent_id": B}), (409, "chat_cycle")),
        (A, json!({"parent_id": "x"}), (400, "invalid_chat_id")),
        (A, json!({"title": "x".repeat(201)}), (400, "invalid_field")),
        (A, json!({"title": 7}), (400, "invalid_field")),
        ("x", json!({}), (400, "invalid_chat_id")),
        (
            "00000000-0000-0000-0000-000000000000",
            json!({}),
            (400, "invalid_chat_id"),
        ),
    ] {
        let (status, answer) = put(&daemon, id, body.clone()).await;
        assert_eq!(
            (status, answer["code"].as_str()),
            (due.0, Some(due.1)),
            "{id} {body}"
        );
    }
    let level = |number: u32| format!("00000000-0000-0000-0001-{number:012}");
    for number in 1..16 {
        let body = json!({"parent_id": level(number - 1)});
        assert_eq!(put(&daemon, &level(number), body).await.0, 200);
    }
    let (status, answer) = put(&daemon, &level(16), json!({"parent_id": level(15)})).await;
    assert_eq!(
        (status, answer["code"].as_str()),
        (409, Some("chat_too_deep"))
    );
    for bad in ["limit=0", "limit=1001", "archived=maybe", "skip=-1"] {
        let (status, answer) = get(&daemon, &format!("/api/v0/chats?{bad}")).await;
        assert_eq!(
            (status, answer["code"].as_str()),
            (400, Some("invalid_field")),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn lists_embed_filter_and_page() {
    let daemon = daemon();
    seen(&daemon, B, &[A]).await;
    seen(&daemon, C, &[A, B]).await;
    seen(&daemon, D, &[]).await;
    let (_, list) = get(&daemon, "/api/v0/chats").await;
    assert_eq!(
        (ids(&list["chats"]), &list["total"]),
        (vec![D.to_owned(), A.to_owned()], &json!(2))
    );
    let below = &list["chats"][1]["children"];
    assert_eq!(ids(below), [B]);
    assert_eq!(ids(&below[0]["children"]), [C]);
    assert_eq!(roots(&daemon, "?limit=1").await, [D]);
    assert_eq!(roots(&daemon, "?limit=1&skip=1").await, [A]);
    assert_eq!(roots(&daemon, "?skip=2").await, [""; 0]);
    seen(&daemon, A, &[]).await;
    assert_eq!(
        roots(&daemon, "").await,
        [A, D],
        "the one seen last comes first"
    );
    assert_eq!(archive(&daemon, D, None).await.0, 200);
    assert_eq!(roots(&daemon, "").await, [A]);
    assert_eq!(roots(&daemon, "?archived=true").await, [D]);
    assert_eq!(roots(&daemon, "?archived=all").await, [A, D]);
}

#[tokio::test]
async fn archiving_goes_down_and_comes_back() {
    let daemon = daemon();
    seen(&daemon, B, &[A]).await;
    seen(&daemon, C, &[A, B]).await;
    seen(&daemon, D, &[A]).await;
    assert_eq!(archive(&daemon, D, Some(json!({}))).await.0, 200);
    let (_, body) = archive(&daemon, A, Some(json!({"archived": true}))).await;
    assert_eq!(body["archived"], true);
    assert!(body["archived_at"].is_string());
    let all_archived = body["children"]
        .as_array()
        .expect("children")
        .iter()
        .all(|c| c["archived"] == true);
    assert!(all_archived);
    let (status, body) = archive(&daemon, C, Some(json!({"archived": false}))).await;
    assert_eq!((status, &body["code"]), (409, &json!("parent_archived")));
    seen(&daemon, C, &[A, B]).await;
    assert_eq!(
        chat(&daemon, C).await["archived"],
        true,
        "a request brings nothing back"
    );
    let (status, _) = archive(&daemon, A, Some(json!({"archived": false}))).await;
    assert_eq!(status, 200);
    for (id, due) in [(A, false), (B, false), (C, false), (D, true)] {
        assert_eq!(chat(&daemon, id).await["archived"], due, "{id}");
    }
    let unknown = "00000000-0000-0000-0000-0000000000ff";
    assert_eq!(
        archive(&daemon, unknown, None).await.1["code"],
        "chat_not_found"
    );
    assert_eq!(
        archive(&daemon, "x", None).await.1["code"],
        "invalid_chat_id"
    );
}

#[tokio::test]
async fn nothing_stands_unarchived_below_an_archived_parent_whoever_comes_first() {
    let daemon = Arc::new(daemon());
    for round in 0..50_u32 {
        let id = |who: u32| format!("00000000-0000-0000-{round:04}-{who:012}");
        let (above, below) = (id(1), id(2));
        put(&daemon, &below, json!({"parent_id": above})).await;
        archive(&daemon, &above, None).await;
        archive(&daemon, &above, Some(json!({"archived": false}))).await;
        archive(&daemon, &below, None).await;
        let mut both = JoinSet::new();
        for (id, archived) in [(above.clone(), true), (below.clone(), false)] {
            let daemon = Arc::clone(&daemon);
            both.spawn(async move {
                archive(&daemon, &id, Some(json!({"archived": archived})))
                    .await
                    .0
            });
        }
        let statuses = both.join_all().await;
        assert!(
            statuses.iter().all(|status| [200, 409].contains(status)),
            "{statuses:?}"
        );
        let parent = chat(&daemon, &above).await;
        assert_eq!(
            (&parent["archived"], &parent["children"][0]["archived"]),
            (&json!(true), &json!(true))
        );
    }
}
