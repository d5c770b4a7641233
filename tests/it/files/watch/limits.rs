//! A machine that watches no more directories.

use std::fs;

use serde_json::json;

use super::mirror::{Mirror, next, route};
use crate::{
    files::helpers::ran,
    support::daemon::{Daemon, Home, deskd_serve},
};

/// A daemon in a user namespace of its own, in which so many directories can be watched; none where the machine lets nobody
/// make one.
#[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
fn limited(home: &Home, watches: usize) -> Option<Daemon> {
    if !ran("unshare", &["-Ur", "true"]) {
        return None;
    }
    let daemon = deskd_serve(home);
    let mut command = std::process::Command::new("unshare");
    let set = format!("echo {watches} > /proc/sys/user/max_inotify_watches && exec \"$0\" \"$@\"");
    command
        .env_clear()
        .args(["-Ur", "sh", "-c", &set])
        .arg(daemon.get_program());
    command.args(daemon.get_args());
    for (name, value) in daemon.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    Some(Daemon::start_command(home, &mut command))
}

#[tokio::test]
async fn what_is_not_covered_is_named_with_what_cures_it() {
    let home = Home::new();
    let root = home.path().join("wide");
    for index in 0..60 {
        fs::create_dir_all(root.join(format!("many/d{index}/e"))).expect("directories");
    }
    fs::create_dir_all(root.join("few")).expect("a directory");
    let Some(daemon) = limited(&home, 30) else {
        return;
    };
    let mut socket = daemon
        .websocket(&route(&root, ""))
        .await
        .expect("it is watched");
    let first = next(&mut socket).await.expect("a first message");
    assert_eq!(first["ready"], true);
    let events = first["events"].as_array().expect("events");
    assert!(!events.is_empty(), "{first}");
    for event in events {
        assert_eq!(
            (&event["type"], &event["reason"]),
            (&json!("overflow"), &json!("watch_limit"))
        );
        let detail = event["detail"].as_str().expect("a cure");
        assert!(detail.contains("fs.inotify.max_user_watches"), "{detail}");
        let path = event["path"].as_str().expect("a path");
        assert!(path.starts_with(root.to_str().expect("text")), "{path}");
    }
    // The rest is watched as ever.
    fs::write(root.join("f"), "").expect("a file");
    let told = next(&mut socket).await.expect("events");
    assert_eq!(told["events"][0]["path"], json!(root.join("f")));
    // Who comes later is told as well.
    let mut second = daemon
        .websocket(&route(&root, ""))
        .await
        .expect("it is watched");
    let first = next(&mut second).await.expect("a first message");
    assert!(
        !first["events"].as_array().expect("events").is_empty(),
        "{first}"
    );
}

#[tokio::test]
async fn a_directory_beyond_the_limit_is_named_when_it_is_made() {
    let home = Home::new();
    let root = home.path().join("grows");
    fs::create_dir(&root).expect("a directory");
    let Some(daemon) = limited(&home, 20) else {
        return;
    };
    let mut mirror = Mirror::start(&daemon, &root, "&coalesce_ms=0").await;
    for index in 0..40 {
        fs::create_dir(root.join(format!("d{index}"))).expect("a directory");
    }
    mirror.until("d39").await;
    while mirror.overflows.is_empty() {
        mirror.take().await;
    }
    mirror.agree().await;
    assert!(
        mirror
            .overflows
            .iter()
            .all(|event| event["reason"] == "watch_limit")
    );
}

#[tokio::test]
async fn a_limit_that_does_not_even_let_the_root_be_watched_is_refused() {
    let home = Home::new();
    let root = home.path().join("none");
    fs::create_dir(&root).expect("a directory");
    let Some(daemon) = limited(&home, 0) else {
        return;
    };
    let answer = daemon.get(&route(&root, "")).await;
    let (status, body) = crate::support::daemon::json(answer).await;
    assert_eq!(status, 507, "{body}");
    let detail = body["detail"].as_str().expect("a cure");
    assert!(detail.contains("fs.inotify.max_user"), "{detail}");
}
