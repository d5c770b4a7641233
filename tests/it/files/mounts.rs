//! Mounts: making them, what they hide and show, what crosses between them.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use reqwest::Method;
use serde_json::{Value, json};

use super::helpers::{names, query, ran};
use crate::support::daemon::{Daemon, json as answer};

async fn post(daemon: &Daemon, route: &str, body: Value) -> (u16, Value) {
    answer(daemon.post(&format!("/api/v0/{route}"), body).await).await
}

async fn refused(daemon: &Daemon, route: &str, body: Value, status: u16, code: &str) {
    let (got, answer) = post(daemon, route, body.clone()).await;
    assert_eq!(
        (got, answer["code"].as_str()),
        (status, Some(code)),
        "{route} {body}: {answer}"
    );
}

async fn get(daemon: &Daemon, route: &str, path: &str) -> (u16, Value) {
    let path = query(Path::new(path));
    answer(daemon.get(&format!("/api/v0/{route}?path={path}")).await).await
}

async fn code(daemon: &Daemon, route: &str, path: &str) -> (u16, String) {
    let (status, body) = get(daemon, route, path).await;
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

async fn write(daemon: &Daemon, path: &str, text: &str) {
    let path = query(Path::new(path));
    let request = daemon.request(Method::POST, &format!("/api/v0/write-file?path={path}"));
    let answer = request
        .body(text.to_owned())
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
}

async fn read(daemon: &Daemon, path: &str) -> String {
    let path = query(Path::new(path));
    let answer = daemon.get(&format!("/api/v0/read-file?path={path}")).await;
    answer.text().await.expect("a body")
}

async fn mount(daemon: &Daemon, body: Value) -> Value {
    let (status, answer) = post(daemon, "mounts", body.clone()).await;
    assert_eq!(status, 201, "{body}: {answer}");
    answer
}

fn listed(body: &Value) -> Vec<&str> {
    let entries = body["entries"].as_array().expect("entries").iter();
    entries
        .map(|entry| entry["name"].as_str().expect("a name"))
        .collect()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[tokio::test]
async fn mounts_are_made_listed_and_removed() {
    let daemon = Daemon::start(&[]);
    let (_, all) = answer(daemon.get("/api/v0/mounts").await).await;
    assert_eq!(all["mounts"].as_array().expect("a list").len(), 1);
    let root = all["mounts"][0].clone();
    assert_eq!(
        (&root["at"], &root["provider"], &root["mode"]),
        (&json!("/"), &json!("host"), &json!("rw"))
    );
    let made = mount(
        &daemon,
        json!({"at": "/scratch/a", "provider": "memory", "quota_bytes": 1000}),
    )
    .await;
    assert_eq!(made["stats"]["quota_bytes"], 1000);
    let id = made["id"].as_str().expect("an id").to_owned();
    let (status, one) = answer(daemon.get(&format!("/api/v0/mounts/{id}")).await).await;
    assert_eq!((status, &one["at"]), (200, &json!("/scratch/a")));
    refused(
        &daemon,
        "mounts",
        json!({"at": "/scratch/a", "provider": "memory"}),
        409,
        "already_mounted",
    )
    .await;
    write(&daemon, "/scratch/a/f", "text").await;
    assert_eq!(read(&daemon, "/scratch/a/f").await, "text");
    // Made up above the mount point: read only, and listed.
    let (status, above) = get(&daemon, "list", "/scratch").await;
    assert_eq!((status, listed(&above)), (200, vec!["a"]));
    assert_eq!(above["entries"][0]["mount"], json!(id));
    assert_eq!(get(&daemon, "stat", "/scratch").await.1["mode"], "0555");
    for path in ["/", "/scratch", "/scratch/a"] {
        refused(
            &daemon,
            "remove",
            json!({"path": path, "recursive": true}),
            400,
            "refuses_root",
        )
        .await;
    }
    refused(
        &daemon,
        "move",
        json!({"from": "/scratch/a", "to": "/b"}),
        400,
        "refuses_root",
    )
    .await;
    let delete = async |id: &str| {
        let request = daemon.request(Method::DELETE, &format!("/api/v0/mounts/{id}"));
        request.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(delete(&id).await, 204);
    assert_eq!(delete(&id).await, 404);
    assert_eq!(delete("x").await, 404);
    assert_eq!(delete(root["id"].as_str().expect("an id")).await, 400);
    assert_eq!(code(&daemon, "stat", "/scratch/a/f").await.0, 404);
}

#[tokio::test]
async fn each_wrong_option_of_a_mount_is_named() {
    let daemon = Daemon::start(&[]);
    let body = json!({"at": "x", "provider": "memory", "quota_bytes": 0, "what": 1, "mode": "x"});
    let (status, answer) = post(&daemon, "mounts", body).await;
    assert_eq!(
        (status, answer["code"].as_str()),
        (400, Some("invalid_field"))
    );
    let mut fields: Vec<&str> = answer["validations"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|field| field["field"].as_str().expect("a name"))
        .collect();
    fields.sort_unstable();
    assert_eq!(fields, ["at", "mode", "quota_bytes", "what"]);
    refused(
        &daemon,
        "mounts",
        json!({"at": "/x", "provider": "none"}),
        400,
        "invalid_field",
    )
    .await;
    let work = tempfile::tempdir().expect("a directory");
    symlink("/tmp", work.path().join("link")).expect("linked");
    let at = work.path().join("link/x");
    refused(
        &daemon,
        "mounts",
        json!({"at": at, "provider": "memory"}),
        400,
        "mount_point_is_link",
    )
    .await;
}

#[tokio::test]
async fn a_view_takes_64_mounts() {
    let daemon = Daemon::start(&[]);
    for number in 1..64 {
        mount(
            &daemon,
            json!({"at": format!("/m/{number}"), "provider": "memory"}),
        )
        .await;
    }
    refused(
        &daemon,
        "mounts",
        json!({"at": "/m/64", "provider": "memory"}),
        507,
        "mount_limit",
    )
    .await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one case after the other")]
async fn with_roots_there_is_nothing_else() {
    let base = tempfile::tempdir().expect("a directory");
    let base = fs::canonicalize(base.path())
        .map(|path| (path, base))
        .expect("there");
    let (base, _kept) = base;
    for name in ["in/d", "out"] {
        fs::create_dir_all(base.join(name)).expect("made");
    }
    fs::write(base.join("out/secret"), "secret").expect("written");
    fs::write(base.join("in/file"), "inside").expect("written");
    symlink("../out/secret", base.join("in/relative")).expect("linked");
    symlink(base.join("out"), base.join("in/absolute")).expect("linked");
    symlink(base.join("in"), base.join("alias")).expect("linked");
    for resolver in ["auto", "walk"] {
        let alias = base.join("alias");
        let daemon = Daemon::start(&["--root", text(&alias), "--fs-resolver", resolver]);
        let inside = base.join("in/file");
        assert_eq!(read(&daemon, text(&inside)).await, "inside");
        assert_eq!(read(&daemon, text(&alias.join("file"))).await, "inside");
        let outside = [
            base.join("out/secret"),
            base.join("in/../out/secret"),
            base.join("in/d/../../../../../../etc/passwd"),
            base.join("in/relative"),
            base.join("in/absolute/secret"),
            Path::new("/etc/passwd").to_owned(),
            Path::new("/etc/no-such-file").to_owned(),
        ];
        for path in outside {
            for route in ["stat", "read-file", "resolve-path"] {
                let due = (403, "outside_mount".to_owned());
                assert_eq!(
                    code(&daemon, route, text(&path)).await,
                    due,
                    "{resolver} {route} {path:?}"
                );
            }
            refused(
                &daemon,
                "touch",
                json!({"path": path}),
                403,
                "outside_mount",
            )
            .await;
        }
        let (_, listed) = get(&daemon, "list", text(&base.join("in"))).await;
        let entries = listed["entries"].as_array().expect("entries");
        let link = entries
            .iter()
            .find(|entry| entry["name"] == "absolute")
            .expect("listed");
        assert_eq!(link["target_type"], "outside");
        let host = json!({"at": "/x", "provider": "host", "directory": base.join("out")});
        refused(&daemon, "mounts", host, 403, "source_not_allowed").await;
        let host = json!({"at": "/x", "provider": "host", "directory": base.join("in/absolute")});
        refused(&daemon, "mounts", host, 403, "source_not_allowed").await;
        mount(
            &daemon,
            json!({"at": "/x", "provider": "host", "directory": base.join("in/d")}),
        )
        .await;
        refused(
            &daemon,
            "remove",
            json!({"path": base.join("in"), "recursive": true}),
            400,
            "refuses_root",
        )
        .await;
    }
    assert_eq!(names(&base.join("out")), ["secret"]);
}

#[tokio::test]
async fn the_operator_allows_more_and_read_only_stays_read_only() {
    let base = tempfile::tempdir().expect("a directory");
    for name in ["root", "more", "ro"] {
        fs::create_dir(base.path().join(name)).expect("made");
    }
    fs::write(base.path().join("ro/f"), "").expect("written");
    let (root, more) = (base.path().join("root"), base.path().join("more"));
    let read_only = format!("/ro=host:{},ro", text(&base.path().join("ro")));
    let daemon = Daemon::start(&[
        "--root",
        text(&root),
        "--allow-mount",
        text(&more),
        "--mount",
        &read_only,
    ]);
    let host = |at: &str, name: &str| json!({"at": at, "provider": "host", "directory": base.path().join(name)});
    assert_eq!(mount(&daemon, host("/m", "more")).await["mode"], "rw");
    assert_eq!(mount(&daemon, host("/r", "ro")).await["mode"], "ro");
    symlink("/ro/f", root.join("link")).expect("linked");
    for (route, body) in [
        ("mkdir", json!({"path": "/ro/x"})),
        ("touch", json!({"path": "/ro/f"})),
        ("touch", json!({"path": root.join("link")})),
        ("chmod", json!({"path": "/r/f", "mode": "600"})),
        ("remove", json!({"path": "/ro/f"})),
        ("move", json!({"from": "/ro/f", "to": "/m/f"})),
        ("copy", json!({"from": "/ro/f", "to": "/r/g"})),
    ] {
        refused(&daemon, route, body, 403, "read_only").await;
    }
    let (status, _) = post(&daemon, "copy", json!({"from": "/ro/f", "to": "/m/f"})).await;
    assert_eq!(status, 200);
    assert_eq!(names(&base.path().join("ro")), ["f"]);
}

#[tokio::test]
async fn a_move_across_mounts_is_whole() {
    let work = tempfile::tempdir().expect("a directory");
    let at = |name: &str| work.path().join(name);
    let daemon = Daemon::start(&["--mount", "/mem=memory,quota_bytes=100000"]);
    fs::create_dir_all(at("d/e")).expect("made");
    fs::write(at("d/e/f"), "x".repeat(60_000)).expect("written");
    fs::set_permissions(at("d/e/f"), fs::Permissions::from_mode(0o640)).expect("set");
    symlink("e/f", at("d/link")).expect("linked");
    let (status, moved) = post(&daemon, "move", json!({"from": at("d"), "to": "/mem/d"})).await;
    assert_eq!((status, &moved["path"]), (200, &json!("/mem/d")), "{moved}");
    assert_eq!(names(work.path()), Vec::<String>::new());
    assert_eq!(read(&daemon, "/mem/d/link").await.len(), 60_000);
    assert_eq!(get(&daemon, "stat", "/mem/d/e/f").await.1["mode"], "0640");
    fs::write(at("big"), "y".repeat(60_000)).expect("written");
    refused(
        &daemon,
        "move",
        json!({"from": at("big"), "to": "/mem/big"}),
        507,
        "quota_exceeded",
    )
    .await;
    assert_eq!(names(work.path()), ["big"]);
    assert_eq!(listed(&get(&daemon, "list", "/mem").await.1), ["d"]);
    let (status, _) = post(&daemon, "move", json!({"from": "/mem/d", "to": at("back")})).await;
    assert_eq!(status, 200);
    assert_eq!(fs::read(at("back/link")).expect("read").len(), 60_000);
    assert_eq!(
        listed(&get(&daemon, "list", "/mem").await.1),
        Vec::<&str>::new()
    );
    assert!(ran("mkfifo", &[text(&at("back/fifo"))]));
    refused(
        &daemon,
        "move",
        json!({"from": at("back"), "to": "/mem/d"}),
        400,
        "not_supported",
    )
    .await;
    let (status, copied) = post(&daemon, "copy", json!({"from": at("back"), "to": "/mem/d"})).await;
    assert_eq!((status, &copied["skipped"]), (200, &json!(1)), "{copied}");
    assert_eq!(names(work.path()), ["back", "big"]);
}

#[tokio::test]
async fn nothing_goes_into_itself_by_another_mount() {
    let work = tempfile::tempdir().expect("a directory");
    let at = |name: &str| work.path().join(name);
    fs::create_dir_all(at("d/sub/deep")).expect("made");
    fs::write(at("d/sub/f"), "text").expect("written");
    fs::write(at("d/other"), "text").expect("written");
    let daemon = Daemon::start(&[]);
    for (point, directory) in [("/all", work.path().to_owned()), ("/sub", at("d/sub"))] {
        let body = json!({"at": point, "provider": "host", "directory": directory});
        mount(&daemon, body).await;
    }
    for to in [
        "/all/d/x",
        "/all/d/sub/x",
        "/all/d/sub/deep/x",
        "/sub/x",
        "/sub/deep/x",
    ] {
        for route in ["move", "copy"] {
            let body = json!({"from": at("d"), "to": to});
            refused(&daemon, route, body, 400, "invalid_field").await;
        }
    }
    let body = json!({"path": at("d"), "to": "/all/d/sub/x"});
    refused(&daemon, "materialize", body, 400, "invalid_field").await;
    // Nor does something take the place of what it lies in.
    for route in ["move", "copy"] {
        let body = json!({"from": at("d/sub"), "to": "/all/d", "overwrite": true});
        refused(&daemon, route, body, 400, "refuses_root").await;
    }
    assert_eq!(names(&at("d")), ["other", "sub"]);
    assert_eq!(names(&at("d/sub")), ["deep", "f"]);
    let (status, _) = post(
        &daemon,
        "move",
        json!({"from": at("d/sub/f"), "to": "/all/f"}),
    )
    .await;
    assert_eq!(status, 200);
    let (status, _) = post(
        &daemon,
        "move",
        json!({"from": "/sub/deep", "to": at("deep")}),
    )
    .await;
    assert_eq!(status, 200);
    assert_eq!(names(work.path()), ["d", "deep", "f"]);
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one case after the other")]
async fn a_commit_is_mounted_and_materialized() {
    let work = tempfile::tempdir().expect("a directory");
    let repo = work.path().join("repo");
    fs::create_dir(&repo).expect("made");
    fs::write(repo.join("run.sh"), "one").expect("written");
    fs::set_permissions(repo.join("run.sh"), fs::Permissions::from_mode(0o755)).expect("set");
    fs::write(repo.join(".gitignore"), "left\n").expect("written");
    let git = |args: &[&str]| {
        let all = [
            &[
                "-C",
                text(&repo),
                "-c",
                "user.name=a",
                "-c",
                "user.email=a@b",
            ],
            args,
        ]
        .concat();
        assert!(ran("git", &all), "{args:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "-A"]);
    git(&["commit", "-qm", "one"]);
    fs::write(repo.join("run.sh"), "two").expect("written");
    let daemon = Daemon::start(&["--materialize-dir", text(work.path())]);
    let body = json!({"at": "/before", "provider": "git", "repository": repo});
    let made = mount(&daemon, body).await;
    assert_eq!(
        (
            &made["mode"],
            made["options"]["commit"].as_str().map(str::len)
        ),
        (&json!("ro"), Some(40))
    );
    assert_eq!(read(&daemon, "/before/run.sh").await, "one");
    refused(
        &daemon,
        "remove",
        json!({"path": "/before/run.sh"}),
        403,
        "read_only",
    )
    .await;
    let unknown = json!({"at": "/x", "provider": "git", "repository": repo, "revision": "none"});
    refused(&daemon, "mounts", unknown, 404, "git_unknown_revision").await;
    let none = json!({"at": "/x", "provider": "git", "repository": work.path()});
    refused(&daemon, "mounts", none, 404, "git_not_a_repository").await;
    let to = work.path().join("copy");
    let (status, out) = post(&daemon, "materialize", json!({"path": "/before", "to": to})).await;
    assert_eq!((status, &out["files"]), (200, &json!(2)), "{out}");
    assert_eq!(fs::read(to.join("run.sh")).expect("read"), b"one");
    refused(
        &daemon,
        "materialize",
        json!({"path": "/before", "to": to}),
        409,
        "already_exists",
    )
    .await;
    mount(&daemon, json!({"at": "/mem", "provider": "memory"})).await;
    refused(
        &daemon,
        "materialize",
        json!({"path": "/before", "to": "/mem/x"}),
        400,
        "not_on_host",
    )
    .await;
    let (status, out) = post(
        &daemon,
        "materialize",
        json!({"path": "/before", "glob": ["*.sh"]}),
    )
    .await;
    assert_eq!(status, 200, "{out}");
    let fresh = Path::new(out["host_path"].as_str().expect("a path"));
    assert_eq!(names(fresh), ["run.sh"]);
    assert_eq!(
        fs::metadata(fresh).expect("there").permissions().mode() & 0o777,
        0o700
    );
    let (status, _) = post(
        &daemon,
        "copy",
        json!({"from": fresh, "to": to, "overwrite": true}),
    )
    .await;
    assert_eq!(status, 200);
    assert_eq!(names(&to), ["run.sh"]);
}

#[tokio::test]
async fn a_repository_leads_no_further_than_its_reader_goes() {
    let work = tempfile::tempdir().expect("a directory");
    let path = |name: &str| work.path().join(name).to_str().expect("text").to_owned();
    let (secret, root) = (path("secret"), path("root"));
    fs::create_dir(&root).expect("made");
    let git = |args: &[&str]| {
        let who = ["-c", "user.name=x", "-c", "user.email=x@localhost"];
        assert!(ran("git", &[&who, args].concat()), "{args:?}");
    };
    git(&["init", "-q", &secret]);
    git(&["-C", &secret, "commit", "-qm", "one", "--allow-empty"]);
    let whole = ["--no-hardlinks", "--dissociate"];
    git(&[&["clone", "-q"][..], &whole, &[&secret, &path("root/own")]].concat());
    git(&["clone", "-q", "--shared", &secret, &path("root/alternate")]);
    fs::create_dir(path("root/link")).expect("made");
    fs::write(path("root/link/.git"), format!("gitdir: {secret}/.git\n")).expect("written");
    git(&[
        &["clone", "-q"][..],
        &whole,
        &[&secret, &path("root/objects")],
    ]
    .concat());
    fs::remove_dir_all(path("root/objects/.git/objects")).expect("removed");
    let (from, to) = (
        path("secret/.git/objects"),
        path("root/objects/.git/objects"),
    );
    symlink(from, to).expect("linked");
    let daemon = Daemon::start(&["--root", &root]);
    let body = |name: &str| {
        let repository = path(&format!("root/{name}"));
        json!({"at": path(&format!("root/at-{name}")), "provider": "git", "repository": repository})
    };
    for name in ["alternate", "link", "objects"] {
        refused(&daemon, "mounts", body(name), 403, "source_not_allowed").await;
    }
    mount(&daemon, body("own")).await;
    let everywhere = Daemon::start(&[]);
    for name in ["alternate", "link", "objects"] {
        mount(&everywhere, body(name)).await;
    }
}

#[tokio::test]
async fn a_mount_that_cannot_be_made_stops_the_start() {
    let home = crate::support::daemon::Home::new();
    for bad in [
        "/x=host:/no/such/dir",
        "/x=none:y",
        "x=memory",
        "/a=memory;/a=memory",
    ] {
        let mut command = crate::support::daemon::deskd_serve(&home);
        let output = command.args(["--mount", bad]).output().expect("it runs");
        assert!(!output.status.success(), "{bad}");
        assert!(!output.stderr.is_empty(), "{bad}");
    }
}

#[tokio::test]
async fn mounts_come_from_the_file_as_well() {
    let work = tempfile::tempdir().expect("a directory");
    let file = work.path().join("config.toml");
    let text_of = "[[mount]]\nat = \"/m\"\nprovider = \"memory\"\nquota_bytes = 10\n";
    fs::write(&file, text_of).expect("written");
    let daemon = Daemon::start(&["--config", text(&file)]);
    let (_, all) = answer(daemon.get("/api/v0/mounts").await).await;
    assert_eq!(all["mounts"][1]["options"]["quota_bytes"], "10", "{all}");
}

#[tokio::test]
async fn readers_go_on_while_a_mount_is_made_and_removed() {
    let daemon = std::sync::Arc::new(Daemon::start(&[]));
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let daemon = std::sync::Arc::clone(&daemon);
        readers.spawn(async move {
            for _ in 0..20 {
                let (status, _) = get(&daemon, "stat", "/m").await;
                assert!(status == 200 || status == 404, "{status}");
            }
        });
    }
    for _ in 0..20 {
        let made = mount(&daemon, json!({"at": "/m", "provider": "memory"})).await;
        let id = made["id"].as_str().expect("an id");
        let request = daemon.request(Method::DELETE, &format!("/api/v0/mounts/{id}"));
        assert_eq!(request.send().await.expect("an answer").status(), 204);
    }
    while let Some(ended) = readers.join_next().await {
        ended.expect("no panic");
    }
}
