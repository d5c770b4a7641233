//! A repository, and a user's configuration, that name a program wherever git takes one: none of them runs, whatever is asked.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::json;

use super::{
    repo::{Case, Repo},
    viewer::{Viewer, diff},
};
use crate::support::daemon::{Daemon, Home, deskd_serve};

/// Hooks of githooks(5) that something which reads could come upon, and more.
const HOOKS: [&str; 18] = [
    "applypatch-msg",
    "pre-applypatch",
    "post-applypatch",
    "pre-commit",
    "prepare-commit-msg",
    "commit-msg",
    "post-commit",
    "pre-rebase",
    "post-checkout",
    "post-merge",
    "pre-push",
    "reference-transaction",
    "post-rewrite",
    "pre-auto-gc",
    "sendemail-validate",
    "fsmonitor-watchman",
    "post-index-change",
    "p4-pre-submit",
];

/// Programs that leave a file when they run.
struct Canaries<'a> {
    directory: &'a Path,
}

impl Canaries<'_> {
    /// A command line that leaves a file of this name.
    fn command(&self, name: &str) -> String {
        format!("touch {}/{name};", self.directory.display())
    }

    fn script(&self, at: &Path, name: &str) {
        fs::create_dir_all(at.parent().expect("a directory")).expect("made");
        fs::write(at, format!("#!/bin/sh\n{}\nexit 0\n", self.command(name))).expect("written");
        fs::set_permissions(at, fs::Permissions::from_mode(0o755)).expect("ours");
    }

    /// A configuration with a program in each place, named after where it stands.
    fn config(&self, place: &str) -> String {
        let run = |name: &str| format!("\"{} cat\"", self.command(&format!("{place}-{name}")));
        let mut text = String::new();
        for (section, keys) in [
            (
                "core",
                &[
                    "fsmonitor",
                    "pager",
                    "editor",
                    "sshCommand",
                    "askPass",
                    "gitProxy",
                    "alternateRefsCommand",
                ][..],
            ),
            ("diff", &["external"]),
            ("credential", &["helper"]),
            ("interactive", &["diffFilter"]),
            ("sequence", &["editor"]),
            ("gpg", &["program"]),
            ("uploadpack", &["packObjectsHook"]),
            ("pager", &["diff", "log", "status", "show"]),
            ("alias", &["status", "diff", "log", "show", "ls-files"]),
            ("filter \"canary\"", &["clean", "smudge", "process"]),
            ("filter \"lfs\"", &["clean", "smudge", "process"]),
            ("diff \"canary\"", &["textconv", "command"]),
            ("merge \"canary\"", &["driver"]),
            (
                "remote \"origin\"",
                &["uploadpack", "receivepack", "vcs", "proxy"],
            ),
            ("submodule \"sub\"", &["update"]),
            ("trailer \"x\"", &["command", "cmd"]),
        ] {
            text.push_str(&["[", section, "]\n"].concat());
            for key in keys {
                let name = format!("{}-{key}", section.replace([' ', '"'], ""));
                text.push_str(&["\t", key, " = ", &run(&name), "\n"].concat());
            }
        }
        text
    }

    fn sung(&self) -> Vec<String> {
        let all = fs::read_dir(self.directory).expect("read").flatten();
        let mut names: Vec<_> = all
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

/// Everything of the repository that may name a program does.
fn poison(repo: &Repo, canaries: &Canaries<'_>) {
    for hook in HOOKS {
        canaries.script(&repo.at(".git/hooks").join(hook), &format!("hook-{hook}"));
        canaries.script(&repo.at("own-hooks").join(hook), &format!("own-{hook}"));
    }
    let included = repo.at(".git/included");
    fs::write(&included, canaries.config("included")).expect("written");
    let config = fs::read_to_string(repo.at(".git/config")).expect("a configuration");
    let config = format!(
        "{config}{}[core]\n\thooksPath = own-hooks\n\tattributesFile = attributes-elsewhere\n[include]\n\tpath = included\n[includeIf \"gitdir:**\"]\n\tpath = included\n[lfs]\n\turl = ext::sh -c touch\n",
        canaries.config("local")
    );
    repo.write(".git/config", config);
    repo.write(".lfsconfig", "[lfs]\n\turl = ext::sh\n");
    let attributes = "*.f filter=canary diff=canary merge=canary\n*.lfs filter=lfs diff=lfs merge=lfs -text\n*.i ident filter=canary\n";
    repo.write(".gitattributes", attributes);
    repo.write(".git/info/attributes", attributes);
    repo.write("attributes-elsewhere", attributes);
    for name in ["a.f", "b.lfs", "c.i", "plain"] {
        repo.write(name, "changed by somebody\n");
    }
    repo.write("new.f", "new\n");
    repo.write("d/new.lfs", "new\n");
}

fn daemon(home: &Home, canaries: &Canaries<'_>) -> Daemon {
    fs::write(home.path().join(".gitconfig"), canaries.config("user")).expect("written");
    let xdg = home.path().join(".config/git");
    fs::create_dir_all(&xdg).expect("made");
    fs::write(xdg.join("config"), canaries.config("xdg")).expect("written");
    fs::write(xdg.join("attributes"), "* filter=canary diff=canary\n").expect("written");
    let mut command = deskd_serve(home);
    for name in [
        "GIT_EXTERNAL_DIFF",
        "GIT_PAGER",
        "GIT_EDITOR",
        "GIT_ASKPASS",
        "GIT_SSH_COMMAND",
        "GIT_PROXY_COMMAND",
        "PAGER",
        "EDITOR",
        "SSH_ASKPASS",
        "GIT_SEQUENCE_EDITOR",
    ] {
        command.env(name, canaries.command(&format!("environment-{name}")));
    }
    // And those that lead elsewhere.
    for name in [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_COMMON_DIR",
        "GIT_CEILING_DIRECTORIES",
    ] {
        command.env(name, "/nonexistent/elsewhere");
    }
    command
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "core.fsmonitor");
    command.env("GIT_CONFIG_VALUE_0", canaries.command("environment-config"));
    Daemon::start_command(home, &mut command)
}

/// A repository with a submodule, both of which name programs.
fn poisoned(case: &Case, canaries: &Canaries<'_>) -> (Repo, Repo) {
    let inner = case.repo("inner", &[("x.f", "x\n")]);
    let repo = case.repo(
        "a",
        &[
            ("a.f", "a\n"),
            ("b.lfs", "b\n"),
            ("c.i", "c\n"),
            ("plain", "p\n"),
            ("d/e.f", "e\n"),
        ],
    );
    let source = inner.0.to_str().expect("UTF-8");
    repo.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        source,
        "sub",
    ]);
    repo.commit("second");
    poison(&repo, canaries);
    let sub = Repo(repo.at("sub"));
    fs::write(
        repo.at(".git/modules/sub/config"),
        format!(
            "{}{}",
            fs::read_to_string(repo.at(".git/modules/sub/config")).expect("read"),
            canaries.config("submodule")
        ),
    )
    .expect("written");
    for hook in HOOKS {
        canaries.script(
            &repo.at(".git/modules/sub/hooks").join(hook),
            &format!("submodule-{hook}"),
        );
    }
    sub.write(".gitattributes", "*.f filter=canary diff=canary\n");
    sub.write("x.f", "changed\n");
    (repo, sub)
}

/// What is told of every repository, whoever reads it.
async fn ask_what_has_changed(case: &Case, root: &Repo) {
    case.ask("status", &root.0, "").await;
    for more in [
        "",
        "&staged=true",
        "&base=HEAD",
        "&context=10",
        "&untracked=false",
        "&file=a.f",
    ] {
        case.ask("diff", &root.0, more).await;
    }
    for more in ["&format=text", "&format=raw"] {
        assert_eq!(case.send("diff", &root.0, more).await.status(), 200);
    }
}

/// All that the routes can be asked about it.
async fn ask_everything(case: &Case, root: &Repo) {
    ask_what_has_changed(case, root).await;
    case.ask("log", &root.0, "").await;
    case.ask("show", &root.0, "").await;
    case.send("show", &root.0, "&file=a.f").await;
    case.daemon.get("/api/v0/git/repos").await;
}

#[tokio::test]
async fn nothing_that_a_repository_or_its_user_names_ever_runs() {
    let cages = tempfile::tempdir().expect("a directory");
    let canaries = Canaries {
        directory: cages.path(),
    };
    let home = Home::new();
    let case = Case {
        daemon: daemon(&home, &canaries),
        work: tempfile::tempdir().expect("a directory"),
    };
    let (repo, sub) = poisoned(&case, &canaries);
    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    let entry = viewer.entry().await;
    assert!(
        diff(&entry).contains("a.f") && diff(&entry).contains("+changed by somebody"),
        "{entry}"
    );
    for root in [&repo, &sub] {
        ask_everything(&case, root).await;
    }
    // What happens while it is watched.
    let quiet = |arguments: &[&str]| {
        repo.git(
            &[
                &[
                    "-c",
                    "core.hooksPath=/nonexistent",
                    "-c",
                    "core.fsmonitor=false",
                ],
                arguments,
            ]
            .concat(),
        )
    };
    for number in 0..3 {
        repo.write("plain", format!("{number}\n"));
        repo.write("a.f", format!("{number}\n"));
        viewer
            .until("a change", |entry| {
                diff(entry).contains(&format!("+{number}\n"))
            })
            .await;
    }
    quiet(&["update-ref", "refs/heads/side", "HEAD"]);
    viewer.say(r#"{"type": "refresh"}"#).await;
    viewer.next().await;
    assert_eq!(canaries.sung(), Vec::<String>::new(), "nothing of it ran");
    assert_eq!(json!(repo.0), entry["repo_root"]);

    assert_that_they_sing(&repo, &canaries);
}

/// They do when git itself comes by.
fn assert_that_they_sing(repo: &Repo, canaries: &Canaries<'_>) {
    for arguments in [
        &["add", "-A"][..],
        &["diff", "HEAD"],
        &["diff", "--no-ext-diff", "HEAD"],
        &["commit", "-qm", "x"],
        &[
            "-c",
            "core.hooksPath=.git/hooks",
            "commit",
            "--allow-empty",
            "-qm",
            "y",
        ],
    ] {
        let _ = super::repo::git(&repo.0, arguments);
    }
    let sung = canaries.sung();
    for due in [
        "fsmonitor",
        "filter",
        "diff-external",
        "textconv",
        "hook-pre-commit",
        "own-pre-commit",
    ] {
        assert!(
            sung.iter().any(|name| name.contains(due)),
            "{due}: {sung:?}"
        );
    }
}

#[tokio::test]
async fn nothing_runs_of_a_repository_that_the_git_program_reads() {
    let cages = tempfile::tempdir().expect("a directory");
    let canaries = Canaries {
        directory: cages.path(),
    };
    let home = Home::new();
    let case = Case {
        daemon: daemon(&home, &canaries),
        work: tempfile::tempdir().expect("a directory"),
    };
    let repo = Repo(case.work.path().join("sha256"));
    fs::create_dir(&repo.0).expect("made");
    repo.git(&["init", "-q", "-b", "main", "--object-format=sha256"]);
    let inner = repo.at("sub");
    fs::create_dir(&inner).expect("made");
    let inner = Repo(inner);
    inner.git(&["init", "-q", "-b", "main", "--object-format=sha256"]);
    inner.write("x.f", "x\n");
    inner.commit("first");
    for name in ["a.f", "b.lfs", "c.i", "plain", "d/e.f"] {
        repo.write(name, "before\n");
    }
    repo.commit("first");
    poison(&repo, &canaries);
    let config = fs::read_to_string(inner.at(".git/config")).expect("a configuration");
    inner.write(
        ".git/config",
        format!("{config}{}", canaries.config("submodule")),
    );
    inner.write("x.f", "changed\n");

    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    let entry = viewer.entry().await;
    assert!(
        diff(&entry).contains("a.f") && diff(&entry).contains("+changed by somebody"),
        "{entry}"
    );
    assert_eq!(entry["head"].as_str().expect("an id").len(), 64);
    ask_what_has_changed(&case, &repo).await;
    for route in ["log", "show"] {
        assert_eq!(
            case.refused(route, &repo.0, "").await,
            (422, "git_unsupported_repository".to_owned())
        );
    }
    repo.write("plain", "again\n");
    viewer.say(r#"{"type": "refresh"}"#).await;
    viewer
        .until("a change", |entry| diff(entry).contains("+again\n"))
        .await;
    assert_eq!(canaries.sung(), Vec::<String>::new(), "nothing of it ran");
    assert_that_they_sing(&repo, &canaries);
}
