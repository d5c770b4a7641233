//! Requests of tool calls run once, on every route that writes.
//!
//! A route joins by an entry in [`SUBJECTS`]: everything here is then asked of it.

mod alone;
mod files;
mod processes;

use std::path::{Path, PathBuf};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{
    daemon::Daemon,
    tool_calls::{Answer, ToolCall},
};

/// A route that writes: a request of it that runs adds a line to a file.
struct Subject {
    /// The request; those with different texts are different requests.
    request: fn(&Daemon, file: &Path, text: &str) -> RequestBuilder,
    /// Path of the cancellation of a call.
    cancel: fn(&str) -> String,
}

const SUBJECTS: [Subject; 3] = [
    Subject {
        request: processes::append,
        cancel: |uuid| format!("/api/v0/processes/{uuid}/cancel"),
    },
    Subject {
        request: files::append,
        cancel: |uuid| format!("/api/v0/write-file/{uuid}/cancel"),
    },
    Subject {
        request: files::insert,
        cancel: |uuid| format!("/api/v0/edit-files/{uuid}/cancel"),
    },
];

fn daemon() -> Daemon {
    Daemon::start(&["--desktop", "off"])
}

fn file_in(daemon: &Daemon) -> PathBuf {
    daemon.home().path().join("written")
}

fn lines(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().filter(|line| *line != files::LAST);
    lines.map(str::to_owned).collect()
}

impl Subject {
    async fn send(&self, daemon: &Daemon, call: &ToolCall, text: &str) -> Answer {
        let request = (self.request)(daemon, &file_in(daemon), text);
        call.send(request).await
    }

    /// Runs; panics unless it is 200.
    async fn run(&self, daemon: &Daemon, call: &ToolCall, text: &str) -> Answer {
        let answer = self.send(daemon, call, text).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        answer
    }

    async fn refused(&self, daemon: &Daemon, call: &ToolCall) -> (u16, String) {
        self.send(daemon, call, "refused").await.refusal()
    }

    fn cancellation(&self, daemon: &Daemon, uuid: &str) -> RequestBuilder {
        daemon.request(Method::POST, &(self.cancel)(uuid))
    }

    async fn cancel(&self, daemon: &Daemon, call: &ToolCall) -> Answer {
        let request = self.cancellation(daemon, &call.uuid().to_string());
        call.send(request).await
    }
}

fn not_started() -> Value {
    json!({"started": false, "status_code": 0, "body": null})
}

#[tokio::test]
async fn a_repeat_gets_the_same_bytes_and_runs_nothing() {
    for subject in SUBJECTS {
        let daemon = daemon();
        let call = ToolCall::new(1, 5, "tool/use #7 é");
        let first = subject.run(&daemon, &call, "once").await;
        for age_ms in [0, 1, 1_000_000_000] {
            let call = ToolCall {
                age_ms,
                ..call.clone()
            };
            let again = subject.run(&daemon, &call, "once").await;
            assert!(again.repeats(&first), "{first:?} {again:?}");
            assert!(again.run_age_ms >= first.run_age_ms && first.run_age_ms.is_some());
        }
        assert_eq!(lines(&file_in(&daemon)), ["once"]);
        // Another call, another message and another chat are others.
        for other in [
            ToolCall::new(1, 5, "b"),
            ToolCall::new(1, 6, "b"),
            ToolCall::new(2, 1, "b"),
        ] {
            subject.run(&daemon, &other, "once").await;
        }
        assert_eq!(lines(&file_in(&daemon)), ["once"; 4]);
    }
}

#[tokio::test]
async fn without_the_headers_equal_requests_run_each() {
    for subject in SUBJECTS {
        let daemon = daemon();
        for _ in 0..2 {
            let request = (subject.request)(&daemon, &file_in(&daemon), "each");
            let answer = Answer::of(request.send().await.expect("an answer")).await;
            assert_eq!((answer.status, answer.run_age_ms), (200, None));
        }
        assert_eq!(lines(&file_in(&daemon)), ["each"; 2]);
    }
}

#[tokio::test]
async fn another_input_is_refused() {
    for subject in SUBJECTS {
        let daemon = daemon();
        let call = ToolCall::new(1, 1, "a");
        let first = subject.run(&daemon, &call, "one").await;
        let due = (409, "input_mismatch".to_owned());
        assert_eq!(subject.refused(&daemon, &call).await, due);
        let request = (subject.request)(&daemon, &file_in(&daemon), "one");
        let conditional = call.send(request.header("If-None-Match", "*")).await;
        assert_eq!(
            conditional.refusal(),
            due,
            "a condition is a part of the input"
        );
        let again = subject.run(&daemon, &call, "one").await;
        assert!(again.repeats(&first));
        assert_eq!(lines(&file_in(&daemon)), ["one"]);
    }
}

#[tokio::test]
async fn older_messages_and_older_daemons_are_refused() {
    for subject in SUBJECTS {
        let daemon = daemon();
        let stale = (409, "stale_tool_call".to_owned());
        let restarted = (409, "agent_started_after_tool_call".to_owned());
        let call = ToolCall::new(1, 5, "a");
        subject.run(&daemon, &call, "one").await;
        subject.run(&daemon, &ToolCall::new(1, 7, "a"), "two").await;
        assert_eq!(subject.refused(&daemon, &call).await, stale);
        assert_eq!(subject.refused(&daemon, &call.ancient()).await, stale);
        let ancient = ToolCall::new(1, 7, "b").ancient();
        assert_eq!(subject.refused(&daemon, &ancient).await, restarted);
        // What is refused has been seen; so has what is cancelled.
        let ancient = ToolCall::new(1, 8, "b").ancient();
        assert_eq!(subject.refused(&daemon, &ancient).await, restarted);
        assert_eq!(
            subject.refused(&daemon, &ToolCall::new(1, 7, "a")).await,
            stale
        );
        subject.cancel(&daemon, &ToolCall::new(1, 9, "a")).await;
        assert_eq!(
            subject.refused(&daemon, &ToolCall::new(1, 8, "c")).await,
            stale
        );
        assert_eq!(lines(&file_in(&daemon)), ["one", "two"]);
    }
}

#[tokio::test]
async fn what_is_cancelled_first_does_not_run() {
    for subject in SUBJECTS {
        let daemon = daemon();
        let call = ToolCall::new(1, 1, "a");
        for _ in 0..2 {
            let answer = subject.cancel(&daemon, &call).await;
            assert_eq!((answer.status, answer.json()), (200, not_started()));
            assert_eq!(answer.run_age_ms, Some(0));
            let due = (409, "tool_call_canceled".to_owned());
            assert_eq!(subject.refused(&daemon, &call).await, due);
        }
        assert!(lines(&file_in(&daemon)).is_empty());
    }
}

#[tokio::test]
async fn a_cancellation_after_the_end_gives_the_recorded_answer() {
    for subject in SUBJECTS {
        let daemon = daemon();
        let call = ToolCall::new(1, 1, "a");
        let first = subject.run(&daemon, &call, "one").await;
        for call in [call.clone(), call.ancient()] {
            let answer = subject.cancel(&daemon, &call).await;
            let due = json!({"started": true, "status_code": 200, "body": first.json()});
            assert_eq!((answer.status, answer.json()), (200, due));
            assert!(answer.run_age_ms.is_some());
        }
        let again = subject.run(&daemon, &call, "one").await;
        assert!(again.repeats(&first), "it stays");
        let ancient = ToolCall::new(1, 1, "b").ancient();
        let restarted = subject.cancel(&daemon, &ancient).await;
        let due = (409, "agent_started_after_tool_call".to_owned());
        assert_eq!(restarted.refusal(), due);
        subject.cancel(&daemon, &ToolCall::new(1, 2, "a")).await;
        let stale = subject.cancel(&daemon, &call).await.refusal();
        assert_eq!(stale, (409, "stale_tool_call".to_owned()));
    }
}

/// Headers of which each set is refused.
fn bad_headers() -> Vec<Vec<(&'static str, String)>> {
    let good = ToolCall::new(1, 9, "bad").headers();
    let [_, message, id, age] = [0, 1, 2, 3].map(|index| good[index].0);
    let mut all: Vec<Vec<_>> = Vec::new();
    for one in &good {
        all.push(good.iter().filter(|other| *other != one).cloned().collect());
        if one.0 != "Coder-Chat-Id" {
            all.push(vec![good[0].clone(), one.clone()]);
            all.push(good.iter().chain([one]).cloned().collect());
        }
    }
    for (name, value) in [
        (message, "0"),
        (message, "-1"),
        (message, "x"),
        (message, ""),
        (id, ""),
        (id, "%"),
        (id, "%zz"),
        (age, "-1"),
        (age, "1.5"),
        (age, "9223372036855"),
        ("Coder-Chat-Id", "nobody"),
    ] {
        let mut headers = good.to_vec();
        for header in headers.iter_mut().filter(|header| header.0 == name) {
            value.clone_into(&mut header.1);
        }
        all.push(headers);
    }
    all
}

#[tokio::test]
async fn bad_headers_are_refused_and_leave_no_record() {
    for subject in SUBJECTS {
        let daemon = daemon();
        let uuid = ToolCall::new(1, 9, "bad").uuid().to_string();
        for headers in bad_headers() {
            for request in [
                (subject.request)(&daemon, &file_in(&daemon), "bad"),
                subject.cancellation(&daemon, &uuid),
            ] {
                let request = headers.iter().fold(request, |request, (name, value)| {
                    request.header(*name, value)
                });
                let answer = Answer::of(request.send().await.expect("an answer")).await;
                assert_eq!(
                    answer.refusal(),
                    (400, "invalid_field".to_owned()),
                    "{headers:?}"
                );
                let field = &answer.json()["validations"][0]["field"];
                assert!(
                    field
                        .as_str()
                        .is_some_and(|field| field.starts_with("coder-")),
                    "{answer:?}"
                );
            }
        }
        // Message 9 was not seen.
        subject
            .run(&daemon, &ToolCall::new(1, 1, "good"), "good")
            .await;
        assert_eq!(lines(&file_in(&daemon)), ["good"]);
    }
}

#[tokio::test]
async fn a_cancellation_must_name_its_own_call() {
    for subject in SUBJECTS {
        let daemon = daemon();
        let call = ToolCall::new(1, 1, "a");
        for uuid in [ToolCall::new(1, 1, "b").uuid().to_string(), "x".to_owned()] {
            let answer = call.send(subject.cancellation(&daemon, &uuid)).await;
            assert_eq!(answer.refusal(), (400, "invalid_field".to_owned()));
        }
        let request = subject.cancellation(&daemon, &call.uuid().to_string());
        let none = Answer::of(request.send().await.expect("an answer")).await;
        assert_eq!(none.refusal(), (400, "invalid_field".to_owned()));
        subject.run(&daemon, &call, "one").await;
    }
}

#[tokio::test]
async fn eight_at_once_run_once() {
    for subject in SUBJECTS {
        let daemon = daemon();
        for round in 0..5 {
            let call = ToolCall::new(1, 1, &format!("call {round}"));
            let text = format!("round {round}");
            let all = (0..8).map(|_| subject.run(&daemon, &call, &text));
            let answers = futures_util::future::join_all(all).await;
            assert!(
                answers.iter().all(|answer| answer.repeats(&answers[0])),
                "{answers:?}"
            );
        }
        assert_eq!(lines(&file_in(&daemon)).len(), 5);
    }
}
