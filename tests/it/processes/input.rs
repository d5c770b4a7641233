//! Standard input and terminals.

use futures_util::{StreamExt, stream::FuturesUnordered};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    ROOT, bytes_of, daemon, ended, exited, get, id_of, post, printed, printed_so, run, signal,
};
use crate::support::daemon::{self as support, Daemon};

async fn write(
    daemon: &Daemon,
    id: &str,
    query: &str,
    body: impl Into<reqwest::Body>,
) -> (u16, Value) {
    let path = format!("{ROOT}/{id}/stdin{query}");
    let request = daemon.request(Method::POST, &path).body(body);
    support::json(request.send().await.expect("an answer")).await
}

#[tokio::test]
async fn everything_that_is_sent_arrives_and_the_end_after_it() {
    let daemon = daemon();
    let id = id_of(
        &daemon,
        json!({"command": "wc -c; echo done", "stdin": "pipe"}),
    )
    .await;
    let chunk = vec![b'x'; 10 << 20];
    for _ in 0..9 {
        let (status, answer) = write(&daemon, &id, "", chunk.clone()).await;
        assert_eq!(
            (status, answer),
            (200, json!({"written": 10 << 20, "eof": false}))
        );
    }
    let (status, answer) = write(&daemon, &id, "?eof=true", chunk).await;
    assert_eq!(
        (status, answer),
        (200, json!({"written": 10 << 20, "eof": true}))
    );
    assert_eq!(ended(&daemon, &id).await["output"], "104857600\ndone\n");
    let (status, answer) = write(&daemon, &id, "", "x").await;
    assert_eq!((status, &answer["code"]), (409, &json!("stdin_not_open")));
}

#[tokio::test]
async fn bodies_of_several_clients_are_never_mixed() {
    let daemon = daemon();
    let id = id_of(&daemon, json!({"command": "cat", "stdin": "pipe"})).await;
    let bodies: Vec<String> = (0..10_u8)
        .map(|number| char::from(b'a' + number).to_string().repeat(100_000))
        .collect();
    let all = bodies
        .iter()
        .map(|body| write(&daemon, &id, "", body.clone()));
    for (status, answer) in futures_util::future::join_all(all).await {
        assert_eq!(status, 200, "{answer}");
    }
    write(&daemon, &id, "?eof=true", "").await;
    let bytes = bytes_of(&daemon, &id, "stdout", 1_048_576).await;
    assert_eq!(bytes.len(), 1_000_000);
    let changes = bytes.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert_eq!(changes, 9);
}

#[tokio::test]
async fn closed_readers_and_those_without_input_say_so() {
    let daemon = daemon();
    let without = id_of(&daemon, json!({"command": "wc -c"})).await;
    assert_eq!(
        ended(&daemon, &without).await["output"],
        "0\n",
        "the null device"
    );
    let (status, answer) = write(&daemon, &without, "", "x").await;
    assert_eq!((status, &answer["code"]), (409, &json!("stdin_not_open")));
    let script = "exec <&-; echo closed; while kill -0 $PPID; do read x < /dev/zero; done";
    let id = id_of(&daemon, json!({"command": script, "stdin": "pipe"})).await;
    printed(&daemon, &id, "closed").await;
    let (status, answer) = write(&daemon, &id, "", vec![0; 100_000]).await;
    assert_eq!((status, &answer["code"]), (409, &json!("stdin_closed")));
    assert_eq!(answer["written"], 0);
    signal(&daemon, &id, "kill").await;
}

#[tokio::test]
async fn more_writers_than_may_wait_are_refused() {
    let daemon = daemon();
    let id = id_of(&daemon, json!({"argv": ["sleep", "1000"], "stdin": "pipe"})).await;
    // One writes, and is stuck behind a full pipe; sixteen wait.
    let mut many: FuturesUnordered<_> = (0..20)
        .map(|_| write(&daemon, &id, "", vec![b'x'; 1 << 20]))
        .collect();
    for _ in 0..3 {
        let (status, answer) = many.next().await.expect("an answer");
        assert_eq!((status, &answer["code"]), (429, &json!("stdin_busy")));
    }
    assert_eq!(signal(&daemon, &id, "kill").await.0, 200);
    while let Some((status, answer)) = many.next().await {
        assert_eq!(status, 409, "{answer}");
        let code = answer["code"].as_str().expect("a code");
        assert!(["stdin_closed", "stdin_not_open"].contains(&code), "{code}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_leaves_what_it_sent() {
    let daemon = daemon();
    let id = id_of(&daemon, json!({"command": "cat", "stdin": "pipe"})).await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<&str, std::io::Error>>(1);
    let stream = futures_util::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|item| (item, receiver))
    });
    let path = format!("{ROOT}/{id}/stdin");
    let request = daemon
        .request(Method::POST, &path)
        .body(reqwest::Body::wrap_stream(stream))
        .send();
    let leave = async {
        sender.send(Ok("half")).await.expect("sent");
        printed(&daemon, &id, "half").await;
        let _ = sender.send(Err(std::io::Error::other("gone"))).await;
    };
    let (_, ()) = tokio::join!(request, leave);
    let (status, _) = write(&daemon, &id, "?eof=true", " rest").await;
    assert_eq!(status, 200, "the next one has its turn");
    assert_eq!(ended(&daemon, &id).await["output"], "half rest");
}

#[tokio::test]
async fn a_terminal_has_a_size_and_tells_of_changes() {
    let daemon = daemon();
    let script = "trap 'stty size' WINCH; stty size; tty; echo $TERM; while :; do read x; done";
    let body = json!({"command": script, "pty": {"rows": 30, "cols": 100, "term": "vt220"}});
    let id = id_of(&daemon, body).await;
    let text = printed(&daemon, &id, "vt220").await;
    assert!(text.starts_with("30 100\r\n/dev/pts/"), "{text}");
    let resized = post(
        &daemon,
        &format!("/{id}/resize"),
        json!({"rows": 31, "cols": 101}),
    )
    .await;
    assert_eq!(resized, (200, json!({"rows": 31, "cols": 101})));
    write(&daemon, &id, "", "\n").await;
    printed(&daemon, &id, "31 101").await;
    for bad in [
        json!({"rows": 0, "cols": 1}),
        json!({"rows": 1}),
        json!({"rows": 1, "cols": 4097}),
    ] {
        let (status, answer) = post(&daemon, &format!("/{id}/resize"), bad.clone()).await;
        assert_eq!(
            (status, &answer["code"]),
            (400, &json!("invalid_field")),
            "{bad}"
        );
    }
    // Ctrl-C is a byte to the terminal and a signal to the program.
    write(&daemon, &id, "", "\u{3}").await;
    assert_eq!(ended(&daemon, &id).await["ending"]["signal"], "SIGINT");
    exited(&daemon, &id).await;
    let (status, answer) = post(
        &daemon,
        &format!("/{id}/resize"),
        json!({"rows": 1, "cols": 1}),
    )
    .await;
    assert_eq!((status, &answer["code"]), (409, &json!("process_exited")));
    let pipe = id_of(&daemon, json!({"command": "true"})).await;
    let (status, answer) = post(
        &daemon,
        &format!("/{pipe}/resize"),
        json!({"rows": 1, "cols": 1}),
    )
    .await;
    assert_eq!((status, &answer["code"]), (409, &json!("not_a_pty")));
    let (status, answer) = get(&daemon, &format!("/{pipe}/screen")).await;
    assert_eq!((status, &answer["code"]), (409, &json!("not_a_pty")));
}

#[tokio::test]
async fn the_end_of_a_terminal_is_a_character() {
    let daemon = daemon();
    let id = id_of(&daemon, json!({"command": "cat; echo after", "pty": {}})).await;
    let (status, answer) = write(&daemon, &id, "?eof=true", "line\n").await;
    assert_eq!((status, answer), (200, json!({"written": 5, "eof": true})));
    let body = exited(&daemon, &id).await;
    assert_eq!(
        (&body["exit_code"], &body["stdout_bytes"]),
        (&json!(0), &json!(19))
    );
}

#[tokio::test]
async fn a_screen_is_what_a_person_would_see() {
    let daemon = daemon();
    let script = r"printf 'one\ntwo\n\033[1;5HX\033]2;title\007'; read x";
    let id = id_of(
        &daemon,
        json!({"command": script, "pty": {"rows": 4, "cols": 20}}),
    )
    .await;
    printed(&daemon, &id, "title").await;
    let (status, screen) = get(&daemon, &format!("/{id}/screen")).await;
    assert_eq!(status, 200);
    assert_eq!(screen["lines"], json!(["one X", "two", "", ""]));
    assert_eq!(
        screen["cursor"],
        json!({"row": 0, "col": 5, "visible": true})
    );
    assert_eq!((&screen["rows"], &screen["cols"]), (&json!(4), &json!(20)));
    assert_eq!(
        (&screen["title"], &screen["alternate_screen"]),
        (&json!("title"), &json!(false))
    );
    write(&daemon, &id, "", "\n").await;
    ended(&daemon, &id).await;
    let (_, screen) = get(&daemon, &format!("/{id}/screen")).await;
    assert_eq!(screen["running"], false, "it stays readable");
}

#[tokio::test]
async fn an_editor_can_be_driven_by_its_screen() {
    let daemon = daemon();
    let file = daemon.home().path().join("text");
    let body = json!({"argv": ["vim", "-u", "NONE", "-N", file], "pty": {"rows": 10, "cols": 40}});
    let id = id_of(&daemon, body).await;
    let screen = async |wanted: &str| {
        let shows = async || {
            let (_, screen) = get(&daemon, &format!("/{id}/screen")).await;
            screen["lines"].to_string().contains(wanted)
        };
        crate::support::eventually_async(wanted, shows).await;
    };
    screen("~").await;
    write(&daemon, &id, "", "ihello from vim").await;
    screen("hello from vim").await;
    let (_, now) = get(&daemon, &format!("/{id}/screen")).await;
    assert_eq!(now["alternate_screen"], true);
    assert_eq!(now["cursor"]["col"], 14);
    write(&daemon, &id, "", "\u{1b}:wq\n").await;
    assert_eq!(ended(&daemon, &id).await["exit_code"], 0);
    assert_eq!(
        std::fs::read_to_string(file).expect("the file"),
        "hello from vim\n"
    );
}

#[tokio::test]
async fn job_control_works() {
    let daemon = daemon();
    // Without line editing, what is typed early waits in the terminal for whoever reads it.
    let body = json!({
        "argv": ["bash", "--norc", "--noediting", "-i"],
        "pty": {},
        "env": {"PS1": "PROMPT>"},
    });
    let id = id_of(&daemon, body).await;
    let behind = |text: &str, mark: &str, wanted: &str| {
        let rest = text.rsplit_once(mark).map(|(_, rest)| rest);
        rest.is_some_and(|rest| rest.contains(wanted))
    };
    printed(&daemon, &id, "PROMPT>").await;
    write(&daemon, &id, "", "cat\nechoed\n").await;
    printed_so(&daemon, &id, |text| text.matches("echoed\r\n").count() == 2).await;
    write(&daemon, &id, "", "\u{1a}").await;
    printed_so(&daemon, &id, |text| behind(text, "Stopped", "PROMPT>")).await;
    write(&daemon, &id, "", "fg\nagain\n").await;
    printed_so(&daemon, &id, |text| text.matches("again\r\n").count() == 2).await;
    write(&daemon, &id, "", "\u{3}").await;
    printed_so(&daemon, &id, |text| behind(text, "^C", "PROMPT>")).await;
    write(&daemon, &id, "", "exit 6\n").await;
    assert_eq!(ended(&daemon, &id).await["exit_code"], 6);
}

#[tokio::test]
async fn a_terminal_keeps_its_last_words() {
    let daemon = daemon();
    for number in 0..50 {
        let body = json!({"command": format!("printf '%2000d' {number}; printf last"), "pty": {}});
        let result = run(&daemon, body).await;
        assert!(
            result["output"].as_str().expect("text").ends_with("last"),
            "{number}"
        );
    }
}
