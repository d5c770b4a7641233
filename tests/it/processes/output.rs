//! What is kept of an output, and how it is read.

use reqwest::Method;
use serde_json::{Value, json};

use super::{ROOT, bytes_of, daemon, ended, exited, get, id_of, lines, output, run, with};

/// What a program prints, and the same made here.
fn pattern(length: usize) -> Vec<u8> {
    b"0123456789abcdefghijklmnopqrstuvwxyz\n"
        .iter()
        .copied()
        .cycle()
        .take(length)
        .collect()
}

fn print_pattern(length: usize) -> Value {
    let script = format!("yes 0123456789abcdefghijklmnopqrstuvwxyz | head -c {length}");
    json!({ "command": script })
}

/// The text answer, made from all bytes, as the rules say.
fn reference(all: &[u8], limit: usize) -> String {
    if all.len() <= limit {
        return String::from_utf8_lossy(all).into_owned();
    }
    let half = limit / 2;
    let (head, tail) = (&all[..half], &all[all.len() - half..]);
    format!(
        "{}\n\n... [omitted {} bytes] ...\n\n{}",
        String::from_utf8_lossy(head),
        all.len() - limit,
        String::from_utf8_lossy(tail)
    )
}

#[tokio::test]
async fn texts_of_every_size_have_head_and_tail() {
    let daemon = daemon();
    for length in [0, 1, 16_384, 16_385, 32_768, 32_769, 100_000, 10 << 20] {
        let all = pattern(length);
        let result = run(&daemon, print_pattern(length)).await;
        assert_eq!(result["output"], reference(&all, 32_768), "{length} bytes");
        assert_eq!(
            (&result["stdout_bytes"], &result["next_cursor"]),
            (&json!(length), &json!(length))
        );
        if length <= 32_768 {
            assert!(result.get("truncated").is_none(), "{length}");
            continue;
        }
        let truncated = json!({
            "original_bytes": length,
            "retained_bytes": 32_768,
            "omitted_bytes": length - 32_768,
            "strategy": "head_tail",
            "lines_cut": 0,
        });
        assert_eq!(result["truncated"], truncated);
    }
}

#[tokio::test]
async fn a_smaller_limit_and_the_text_alone() {
    let daemon = daemon();
    let id = id_of(&daemon, print_pattern(5000)).await;
    ended(&daemon, &id).await;
    let body = output(&daemon, &id, "max_bytes=1024").await;
    assert_eq!(body["output"], reference(&pattern(5000), 1024));
    let answer = daemon
        .get(&format!("{ROOT}/{id}/output?format=text&max_bytes=1024"))
        .await;
    let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(
        (header("x-deskd-state"), header("x-deskd-exit-code")),
        ("exited".into(), "0".into())
    );
    assert_eq!(
        answer.text().await.expect("text"),
        body["output"].as_str().expect("text")
    );
    for bad in [
        "format=xml",
        "format=raw",
        "max_bytes=1023",
        "max_bytes=32769",
        "since=0&max_bytes=15",
        "since=-1",
        "since=x",
        "stream=both",
        "wait_ms=-1",
    ] {
        let (status, body) = get(&daemon, &format!("/{id}/output?{bad}")).await;
        assert_eq!(
            (status, &body["code"]),
            (400, &json!("invalid_field")),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn binary_output_is_clean_text_and_exact_bytes() {
    let daemon = daemon();
    let script = r"printf 'a\377\376\000b\303\251\342\202'";
    let id = id_of(&daemon, json!({ "command": script })).await;
    let body = ended(&daemon, &id).await;
    assert_eq!(body["output"], "a\u{fffd}\u{fffd}b\u{e9}\u{fffd}");
    let exact = b"a\xff\xfe\0b\xc3\xa9\xe2\x82";
    assert_eq!(bytes_of(&daemon, &id, "merged", 16).await, exact);
}

#[tokio::test]
async fn both_streams_in_one_pipe_keep_their_order() {
    let daemon = daemon();
    for _ in 0..100 {
        let script = "for i in 1 2 3 4 5 6 7 8 9 10; do echo a; echo b >&2; echo c; done";
        let result = run(&daemon, json!({ "command": script })).await;
        assert_eq!(result["output"], "a\nb\nc\n".repeat(10));
    }
}

#[tokio::test]
async fn streams_apart_are_exact_and_merged_has_all_of_both() {
    let daemon = daemon();
    let script = "i=0; while [ $i -lt 2000 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done";
    let id = id_of(&daemon, json!({"command": script, "stderr": "separate"})).await;
    let due = |name: &str| lines((0..2000).map(|i| format!("{name} {i}")));
    exited(&daemon, &id).await;
    assert_eq!(
        bytes_of(&daemon, &id, "stdout", 999).await,
        due("out").as_bytes()
    );
    assert_eq!(
        bytes_of(&daemon, &id, "stderr", 999).await,
        due("err").as_bytes()
    );
    let merged = bytes_of(&daemon, &id, "merged", 333).await;
    assert_eq!(merged.len(), due("out").len() + due("err").len());
    let merged = String::from_utf8(merged).expect("text");
    let of = |name: &str| -> String {
        let all = merged.lines().filter(|line| line.starts_with(name));
        lines(all.map(str::to_owned))
    };
    assert_eq!(
        (of("out"), of("err")),
        (due("out"), due("err")),
        "each in its own order"
    );
    let body = output(&daemon, &id, "stream=stderr&max_bytes=1024").await;
    assert_eq!(body["output"], reference(due("err").as_bytes(), 1024));
    assert_eq!(body["stderr_bytes"], due("err").len());
}

#[tokio::test]
async fn pieces_of_every_size_are_the_whole_also_beside_the_writer() {
    let daemon = daemon();
    let script = "i=0; while [ $i -lt 300 ]; do printf '%64d' $i; i=$((i+1)); done";
    let all: Vec<u8> = (0..300)
        .flat_map(|i| format!("{i:64}").into_bytes())
        .collect();
    for piece in [16, 17, 100, 4096, 65_536, 1_048_576] {
        let id = id_of(&daemon, json!({ "command": script })).await;
        assert_eq!(
            bytes_of(&daemon, &id, "merged", piece).await,
            all,
            "{piece}"
        );
    }
}

#[tokio::test]
async fn an_incomplete_character_is_held_back_until_it_is_complete() {
    let daemon = daemon();
    let script = r"printf 'a\303'; read x; printf '\251b\342'; read x; echo";
    let id = id_of(&daemon, json!({"command": script, "stdin": "pipe"})).await;
    let body = output(&daemon, &id, "since=0&wait_ms=60000").await;
    assert_eq!(
        (&body["output"], &body["next_cursor"]),
        (&json!("a"), &json!(1))
    );
    let go_on = async |daemon: &crate::support::daemon::Daemon| {
        let path = format!("{ROOT}/{id}/stdin");
        let request = daemon.request(Method::POST, &path).body("\n");
        assert_eq!(request.send().await.expect("an answer").status(), 200);
    };
    go_on(&daemon).await;
    let mut cursor = 1;
    let mut text = String::new();
    while text != "éb" {
        let body = output(&daemon, &id, &format!("since={cursor}&wait_ms=1000")).await;
        text.push_str(body["output"].as_str().expect("text"));
        cursor = body["next_cursor"].as_u64().expect("a cursor");
    }
    assert_eq!(cursor, 4);
    go_on(&daemon).await;
    exited(&daemon, &id).await;
    let body = output(&daemon, &id, "since=4").await;
    assert_eq!(body["output"], "\u{fffd}\n", "it never became one");
}

#[tokio::test]
async fn what_is_gone_is_a_gap_with_exact_numbers() {
    let daemon = with(&["--process-spool-bytes", "65536"]);
    let length = 1_000_000;
    let id = id_of(&daemon, print_pattern(length)).await;
    exited(&daemon, &id).await;
    let body = output(&daemon, &id, "since=10&max_bytes=1048576").await;
    let gap = &body["gap"];
    let to = gap["to"].as_u64().expect("a gap");
    assert_eq!((&gap["from"], &gap["bytes"]), (&json!(10), &json!(to - 10)));
    let kept = length as u64 - to;
    assert!((49_152..=65_536).contains(&kept), "{kept} bytes are kept");
    let all = pattern(length);
    let rest = &all[usize::try_from(to).expect("small")..];
    assert_eq!(body["output"], String::from_utf8_lossy(rest).into_owned());
    assert_eq!(body["next_cursor"], length);
    let raw = daemon
        .get(&format!(
            "{ROOT}/{id}/output?since=10&format=raw&max_bytes=16"
        ))
        .await;
    assert_eq!(raw.headers()["x-deskd-gap"], format!("10-{to}"));
    let text = output(&daemon, &id, "").await;
    assert_eq!(
        text["output"],
        reference(&all, 32_768),
        "head and tail stay"
    );
    let (status, body) = get(&daemon, &format!("/{id}/output?since={}", length + 1)).await;
    assert_eq!((status, &body["code"]), (400, &json!("cursor_beyond_end")));
}

#[tokio::test]
async fn over_the_total_the_oldest_exited_give_up_all_but_head_and_tail() {
    let daemon = with(&["--process-spool-total", "2000000"]);
    let mut ids = Vec::new();
    for _ in 0..4 {
        let id = id_of(&daemon, print_pattern(900_000)).await;
        exited(&daemon, &id).await;
        ids.push(id);
    }
    let all = pattern(900_000);
    for (number, id) in ids.iter().enumerate() {
        let body = output(&daemon, id, "").await;
        assert_eq!(body["output"], reference(&all, 32_768), "process {number}");
    }
    let old = output(&daemon, &ids[0], "since=0&max_bytes=1048576").await;
    let to = old["gap"]["to"].as_u64().expect("a gap");
    assert!(
        900_000 - to <= 16_384 && old["next_cursor"] == 900_000,
        "{to}"
    );
    let new = output(&daemon, &ids[3], "since=0&max_bytes=1048576").await;
    assert!(new.get("gap").is_none(), "the newest is whole");
}

#[tokio::test]
async fn a_full_disk_costs_history_and_nothing_else() {
    if !nix::unistd::geteuid().is_root() {
        return; // needs a file system of its own
    }
    let home = crate::support::daemon::Home::new();
    let folder = home.state().join("processes");
    std::fs::create_dir_all(&folder).expect("a folder");
    let folder = folder.to_str().expect("UTF-8");
    let mount = [
        "mount",
        "-t",
        "tmpfs",
        "-o",
        "size=600k,mode=0700",
        "tmpfs",
        folder,
    ];
    if !succeeds(&mount) {
        return; // not permitted in this sandbox
    }
    let daemon = crate::support::daemon::Daemon::start_in(&home, &["--desktop", "off"]);
    let length = 5_000_000;
    let script = format!(
        "yes 0123456789abcdefghijklmnopqrstuvwxyz | head -c {length} | tee /dev/stderr 2>&1 >/dev/null | wc -c >&2; exit 9"
    );
    let count = run(&daemon, json!({ "command": script })).await;
    assert_eq!(count["exit_code"], 9, "{count}");
    let id = id_of(&daemon, print_pattern(length)).await;
    let body = exited(&daemon, &id).await;
    assert_eq!(
        (&body["exit_code"], &body["stdout_bytes"]),
        (&json!(0), &json!(length))
    );
    let body = output(&daemon, &id, "since=0&max_bytes=1048576").await;
    let gap = &body["gap"];
    assert_eq!(gap["from"], 0, "said, and not silent: {gap}");
    let to = usize::try_from(gap["to"].as_u64().expect("a gap")).expect("small");
    let rest = &pattern(length)[to..];
    assert_eq!(body["output"], String::from_utf8_lossy(rest).into_owned());
    assert_eq!(daemon.stop().code(), Some(0));
    assert!(succeeds(&["umount", folder]));
}

#[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
fn succeeds(argv: &[&str]) -> bool {
    let output = std::process::Command::new(argv[0])
        .args(&argv[1..])
        .output();
    output.is_ok_and(|output| output.status.success())
}
