//! Lists, and who sees what.

use reqwest::Method;
use serde_json::{Value, json};

use super::{as_chat, daemon, ended, get, id_of, with};

const PARENT: &str = "00000000-0000-0000-0000-00000000000a";
const CHILD: &str = "00000000-0000-0000-0000-00000000000b";
const SIBLING: &str = "00000000-0000-0000-0000-00000000000c";

async fn start_as(
    daemon: &crate::support::daemon::Daemon,
    chat: &str,
    ancestors: &str,
    command: &str,
) -> String {
    let body = json!({"command": command, "stdin": "pipe"});
    let (status, answer) =
        as_chat(daemon, chat, ancestors, Method::POST, "/start", Some(body)).await;
    assert_eq!(status, 200, "{answer}");
    answer["id"].as_str().expect("an id").to_owned()
}

fn ids(list: &Value) -> Vec<&str> {
    let all = list["processes"].as_array().expect("an array");
    all.iter()
        .map(|entry| entry["id"].as_str().expect("an id"))
        .collect()
}

#[tokio::test]
async fn lists_are_ordered_cut_and_filtered() {
    let daemon = daemon();
    assert_eq!(
        get(&daemon, "/list").await.1,
        json!({"processes": [], "total": 0})
    );
    let mut done = Vec::new();
    for number in 0..12 {
        let id = id_of(&daemon, json!({"command": format!("exit {number}")})).await;
        ended(&daemon, &id).await;
        done.insert(0, id);
    }
    let older = id_of(
        &daemon,
        json!({"command": "cat", "stdin": "pipe", "background": true}),
    )
    .await;
    let newer = id_of(&daemon, json!({"command": "cat", "stdin": "pipe"})).await;
    let (_, list) = get(&daemon, "/list").await;
    let mut due = vec![newer.as_str(), &older];
    due.extend(done.iter().take(8).map(String::as_str));
    assert_eq!((ids(&list), &list["total"]), (due, &json!(14)));
    assert_eq!(list["processes"][1]["background"], true);
    assert!(list["processes"][0].get("exit_code").is_none());
    assert!(list["processes"][0].get("exited_at_unix").is_none());
    assert!(list["processes"][2]["exited_at_unix"].is_u64());
    let total = async |query: &str| {
        let (status, list) = get(&daemon, &format!("/list?{query}")).await;
        assert_eq!(status, 200, "{query}: {list}");
        (ids(&list).len(), list["total"].as_u64().expect("a number"))
    };
    assert_eq!(total("limit=3").await, (3, 14));
    assert_eq!(total("all=true").await, (14, 14));
    assert_eq!(total("state=running").await, (2, 2));
    assert_eq!(total("state=exited&limit=1").await, (1, 12));
    assert_eq!(total("state=output_open").await, (0, 0));
    assert_eq!(total("state=running,exited&all=true").await, (14, 14));
    for bad in ["limit=0", "limit=10001", "state=gone", "all=maybe"] {
        let (status, body) = get(&daemon, &format!("/list?{bad}")).await;
        assert_eq!(
            (status, &body["code"]),
            (400, &json!("invalid_field")),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_foreign_process_is_as_if_it_were_not_there() {
    let daemon = daemon();
    let above = format!("[\"{PARENT}\"]");
    let id = start_as(&daemon, CHILD, &above, "cat").await;
    let routes = [
        (Method::GET, format!("/{id}"), None),
        (Method::GET, format!("/{id}/output"), None),
        (Method::GET, format!("/{id}/events"), None),
        (Method::GET, format!("/{id}/screen"), None),
        (
            Method::POST,
            format!("/{id}/signal"),
            Some(json!({"signal": "kill"})),
        ),
        (Method::POST, format!("/{id}/signal"), Some(json!({}))),
        (Method::POST, format!("/{id}/stdin"), Some(json!("x"))),
        (
            Method::POST,
            format!("/{id}/resize"),
            Some(json!({"rows": 1, "cols": 1})),
        ),
        (Method::DELETE, format!("/{id}"), None),
    ];
    for (method, path, body) in &routes {
        let (status, answer) =
            as_chat(&daemon, SIBLING, &above, method.clone(), path, body.clone()).await;
        assert_eq!(
            (status, &answer["code"]),
            (404, &json!("process_not_found")),
            "{method} {path}"
        );
    }
    let list = async |chat: &str, query: &str| {
        let path = format!("/list{query}");
        let (_, list) = as_chat(&daemon, chat, "", Method::GET, &path, None).await;
        list["total"].as_u64().expect("a number")
    };
    assert_eq!(list(CHILD, "").await, 1);
    assert_eq!(list(SIBLING, "").await, 0);
    assert_eq!(list(PARENT, "").await, 0, "only when it is asked for");
    assert_eq!(list(PARENT, "?descendants=true").await, 1);
    assert_eq!(list("", "").await, 1, "no chat sees all");
    assert_eq!(list("nonsense", "").await, 1);
    // An ancestor reads and signals.
    let path = format!("/{id}/output");
    assert_eq!(
        as_chat(&daemon, PARENT, "", Method::GET, &path, None)
            .await
            .0,
        200
    );
    let path = format!("/{id}/signal");
    let kill = Some(json!({"signal": "kill"}));
    assert_eq!(
        as_chat(&daemon, PARENT, "", Method::POST, &path, kill)
            .await
            .0,
        200
    );
    let body = ended(&daemon, &id).await;
    assert_eq!(body["ending"]["signal"], "SIGKILL");
}

#[tokio::test]
async fn what_has_no_chat_is_everybodys() {
    let daemon = daemon();
    let id = id_of(&daemon, json!({"command": "true"})).await;
    ended(&daemon, &id).await;
    let path = format!("/{id}");
    let (status, entry) = as_chat(&daemon, CHILD, "", Method::GET, &path, None).await;
    assert_eq!(status, 200);
    assert!(entry.get("chat_id").is_none());
    assert_eq!(
        as_chat(&daemon, CHILD, "", Method::DELETE, &path, None)
            .await
            .0,
        204
    );
    assert_eq!(get(&daemon, &path).await.0, 404);
}

#[tokio::test]
async fn exited_processes_are_forgotten_by_a_timer_those_with_a_token_later() {
    let daemon = with(&[
        "--process-retention",
        "2",
        "--process-token-retention",
        "600",
    ]);
    let named = id_of(&daemon, json!({"command": "echo x", "client_token": "t"})).await;
    let lives = id_of(&daemon, json!({"command": "cat", "stdin": "pipe"})).await;
    ended(&daemon, &named).await;
    // The last one, for each start sweeps, too.
    let plain = json!({"command": "echo x", "wait_ms": 60_000});
    let plain = super::start(&daemon, plain).await;
    assert_eq!(plain["result"]["output"], "x\n");
    let plain = plain["id"].as_str().expect("an id").to_owned();
    let history = daemon.home().state().join("processes/history");
    assert!(history.join(&named).exists());
    let gone = async || get(&daemon, &format!("/{plain}")).await.0 == 404;
    crate::support::eventually_async("the timer has forgotten it", gone).await;
    crate::support::eventually("its output is removed", || !history.join(&plain).exists()).await;
    for id in [&named, &lives] {
        assert_eq!(get(&daemon, &format!("/{id}")).await.0, 200);
    }
    let running = daemon
        .request(Method::DELETE, &format!("/api/v0/processes/{lives}"))
        .send()
        .await
        .expect("an answer");
    let (status, body) = crate::support::daemon::json(running).await;
    assert_eq!((status, &body["code"]), (409, &json!("process_running")));
}
