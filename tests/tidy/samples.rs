//! Each rule is fed a sample that breaks it: a rule that cannot fail is no rule.

use crate::{
    rules::{
        architecture_names_every_module, assets_have_an_origin, dependencies_say_what_for,
        documents_keep_up, every_file_is_a_module, exceptions_are_needed, files_are_short,
        files_say_what_they_are_for, layers_point_downwards, links_lead_somewhere,
        modules_are_not_left_by_super, nothing_foreign_is_committed, private_paths_are_not_named,
        scripts_can_be_run, targets_are_listed_and_exist, tests_wait_for_events,
        words_stay_at_home,
    },
    text::strip,
    tree::{File, Rule},
};

fn file(path: &str, text: &str) -> File {
    File {
        path: path.to_owned(),
        text: text.to_owned(),
        executable: false,
    }
}

/// The rule finds nothing in the first tree and, in the second, exactly what begins as `places` say.
fn check(rule: Rule, good: &[(&str, &str)], bad: &[(&str, &str)], places: &[&str]) {
    let tree = |files: &[(&str, &str)]| files.iter().map(|(path, text)| file(path, text)).collect();
    assert_eq!(rule(&tree(good)), Vec::<String>::new());
    let findings = rule(&tree(bad));
    assert_eq!(findings.len(), places.len(), "{findings:#?}");
    for (finding, place) in findings.iter().zip(places) {
        assert!(
            finding.starts_with(place),
            "{finding} does not begin with {place}"
        );
    }
}

#[test]
fn a_step_upwards_or_sideways_is_found() {
    check(
        layers_point_downwards,
        &[
            ("src/main.rs", "//! m\nfn main() { deskd::app::run() }"),
            (
                "src/api/vnc.rs",
                "use crate::{desktop::{Desktop, x}, telemetry};\n// crate::app is above\n",
            ),
            (
                "src/sys/thread.rs",
                "fn f() { crate::sys::g(\"crate::api\"); crate::shutdown::h() }",
            ),
        ],
        &[
            ("src/sys/child.rs", "//! x\nuse crate::desktop::Desktop;"),
            (
                "src/desktop/mod.rs",
                "use crate::{\n    sys::child,\n    api::types,\n};",
            ),
            ("src/telemetry.rs", "fn f() { crate::sys::thread::spawn() }"),
            ("src/newcomer.rs", ""),
        ],
        &[
            "src/sys/child.rs:2:",
            "src/desktop/mod.rs:1:",
            "src/telemetry.rs:1:",
            "src/newcomer.rs:1:",
        ],
    );
}

#[test]
fn leaving_by_super_is_found() {
    check(
        modules_are_not_left_by_super,
        &[(
            "src/desktop/x11/image.rs",
            "use super::super::geometry;\nmod tests {\n    use super::super::x;\n}",
        )],
        &[("src/desktop/relay.rs", "//! x\nuse super::super::sys;")],
        &["src/desktop/relay.rs:2:"],
    );
}

#[test]
fn a_word_away_from_home_is_found() {
    check(
        words_stay_at_home,
        &[
            ("src/api/mod.rs", "use axum::Router;"),
            ("src/desktop/x11/image.rs", "unsafe { x11rb::f() }"),
            (
                "src/desktop/relay.rs",
                "//! axum is not named here\n#![deny(unsafe_code)]\nlet axum_like = \"axum\";",
            ),
            (
                "src/desktop/provider/host.rs",
                "use {enigo::Enigo, xcap::Monitor};",
            ),
        ],
        &[
            ("src/desktop/relay.rs", "use axum::extract::ws;"),
            (
                "src/desktop/input.rs",
                "\nx11rb::connect();\nunsafe { f() }\n#[derive(serde::Serialize)]",
            ),
            ("src/api/vnc.rs", "use nix::unistd;"),
        ],
        &[
            "src/desktop/relay.rs:1: `axum`",
            "src/desktop/input.rs:2: `x11rb`",
            "src/desktop/input.rs:3: `unsafe`",
            "src/desktop/input.rs:4: `serde`",
            "src/api/vnc.rs:1: `nix`",
        ],
    );
}

#[test]
fn an_exception_that_nobody_needs_is_found() {
    let named = "#[derive(clap::ValueEnum)]";
    check(
        exceptions_are_needed,
        &[("src/telemetry.rs", named)],
        &[("src/telemetry.rs", "#[derive(Debug)] // no clap")],
        &["src/telemetry.rs:1:"],
    );
    check(
        words_stay_at_home,
        &[("src/telemetry.rs", named)],
        &[("src/shutdown.rs", named)],
        &["src/shutdown.rs:1:"],
    );
}

#[test]
fn a_file_without_a_purpose_or_without_end_is_found() {
    check(
        files_say_what_they_are_for,
        &[("src/a.rs", "//! For x.\n")],
        &[("src/a.rs", "use x;\n")],
        &["src/a.rs:1:"],
    );
    let line = "let a = 1; // why\n";
    let tests = format!(
        "{}\n#[cfg(test)]\nmod tests {{\n{}}}",
        line.repeat(500),
        line.repeat(100)
    );
    let comments = format!("{}{}", "\n// only\n".repeat(600), line.repeat(500));
    let long = line.repeat(501);
    check(
        files_are_short,
        &[("src/a.rs", &tests), ("src/b.rs", &comments)],
        &[("src/a.rs", &long), ("src/a/tests.rs", &long.repeat(2))],
        &["src/a.rs:500: 501", "src/a/tests.rs:700: 1002"],
    );
}

#[test]
fn a_module_without_a_paragraph_is_found() {
    check(
        architecture_names_every_module,
        &[
            ("src/lib.rs", "pub mod app;\n"),
            ("ARCHITECTURE.md", "- `app` builds everything."),
        ],
        &[
            ("src/lib.rs", "pub mod app;\npub mod sys;\n"),
            ("ARCHITECTURE.md", "- `app`"),
        ],
        &["ARCHITECTURE.md:1: no paragraph names the module `sys`"],
    );
}

#[test]
fn a_route_or_setting_without_a_word_in_the_documents_is_found() {
    let route = (
        "src/api/desktop.rs",
        "#[utoipa::path(get, path = \"/api/v0/desktop\")]",
    );
    let setting = ("src/config.rs", "#[arg(long, env = \"DESKD_STATE_DIR\")]");
    check(
        documents_keep_up,
        &[
            route,
            setting,
            ("docs/desktop.md", "`GET /api/v0/desktop`"),
            ("docs/configuration.md", "| `--state-dir DIR` |"),
        ],
        &[route, setting],
        &["src/api/desktop.rs:1:", "src/config.rs:1:"],
    );
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    check(
        links_lead_somewhere,
        &[
            (
                "README.md",
                "[a](docs/a.md#part), [b](https://example.org), [c](#here)",
            ),
            ("docs/a.md", "[b](b.md)"),
            ("docs/b.md", ""),
        ],
        &[("README.md", "\n[gone](docs/gone.md)")],
        &["README.md:2:"],
    );
}

#[test]
fn a_file_that_nobody_compiles_is_found() {
    check(
        every_file_is_a_module,
        &[
            ("src/lib.rs", "//! x\npub mod api;\nmod config;"),
            ("src/main.rs", ""),
            ("src/config.rs", ""),
            ("src/api/mod.rs", "pub(crate) mod vnc;"),
            ("src/api/vnc.rs", ""),
        ],
        &[
            ("tests/it/main.rs", "mod health;"),
            ("tests/it/health.rs", ""),
            ("tests/it/vnc.rs", ""),
            ("tests/it/support/mod.rs", ""),
        ],
        &["tests/it/vnc.rs:1:", "tests/it/support/mod.rs:1:"],
    );
}

#[test]
fn an_asset_without_an_origin_is_found() {
    check(
        assets_have_an_origin,
        &[
            (
                "assets/README.md",
                "| `viewer/src/a.ts` | ours | Apache-2.0 |",
            ),
            ("assets/viewer/a.ts", ""),
        ],
        &[
            ("assets/README.md", "| `viewer/` | |"),
            ("assets/viewer/a.ts", ""),
            ("assets/viewer/b.ts", ""),
        ],
        &["assets/README.md:1: no row with origin and licence for `viewer/`"],
    );
}

#[test]
fn committed_foreign_code_is_found() {
    check(
        nothing_foreign_is_committed,
        &[("src/desktop/distance.rs", "")],
        &[
            ("assets/viewer/dist/rfb.js", ""),
            ("tests/e2e/node_modules/x/index.js", ""),
        ],
        &[
            "assets/viewer/dist/rfb.js:1:",
            "tests/e2e/node_modules/x/index.js:1:",
        ],
    );
}

#[test]
fn a_test_that_waits_for_time_is_found() {
    check(
        tests_wait_for_events,
        &[
            (
                "tests/it/a.rs",
                concat!("// no sl", "eep\nCommand::new(\"sl", "eep\");"),
            ),
            ("src/a.rs", concat!("sl", "eep()")),
        ],
        &[
            (
                "tests/it/a.rs",
                concat!("//! x\nstd::thread::sl", "eep(d);"),
            ),
            ("tests/e2e/a.mjs", "await page.waitForTimeout(5)"),
            ("tests/it/support/entry.py", concat!("time.sl", "eep(1)")),
        ],
        &[
            "tests/it/a.rs:2:",
            "tests/e2e/a.mjs:1:",
            "tests/it/support/entry.py:1:",
        ],
    );
}

#[test]
fn a_script_that_cannot_run_is_found() {
    let good = File {
        executable: true,
        ..file("scripts/run", "set -euo pipefail")
    };
    let library = file("scripts/lib/common.sh", "");
    assert_eq!(
        scripts_can_be_run(&vec![good, library]),
        Vec::<String>::new()
    );
    let careless = File {
        executable: true,
        ..file("examples/a.sh", "set -e")
    };
    let dead = file(".ci/run", "set -euo pipefail");
    let findings = scripts_can_be_run(&vec![careless, dead]);
    assert!(
        findings[0].starts_with("examples/a.sh:1:") && findings[1].starts_with(".ci/run:1:"),
        "{findings:?}"
    );
}

#[test]
fn a_target_that_is_gone_or_forgotten_is_found() {
    let manifest =
        "path = \"src/lib.rs\"\npath = \"tests/it/main.rs\"\npath = \"tests/bench/desktop.rs\"";
    check(
        targets_are_listed_and_exist,
        &[
            ("Cargo.toml", manifest),
            ("src/lib.rs", ""),
            ("tests/it/main.rs", ""),
            ("tests/it/health.rs", ""),
            ("tests/bench/desktop.rs", "mod peers;"),
            ("tests/bench/peers.rs", ""),
        ],
        &[
            ("Cargo.toml", manifest),
            ("src/lib.rs", ""),
            ("tests/it/main.rs", ""),
            ("tests/lost.rs", ""),
        ],
        &[
            "Cargo.toml:1: the target tests/bench/desktop.rs",
            "tests/lost.rs:1:",
        ],
    );
}

#[test]
fn a_dependency_without_a_purpose_is_found() {
    check(
        dependencies_say_what_for,
        &[(
            "Cargo.toml",
            "[package]\nname = \"x\"\n[dependencies]\nbytes = \"1\" # buffers",
        )],
        &[("Cargo.toml", "[dev-dependencies]\ntempfile = \"3\"")],
        &["Cargo.toml:2:"],
    );
}

#[test]
fn a_path_of_one_machine_is_found() {
    check(
        private_paths_are_not_named,
        &[(
            "docs/a.md",
            "See `~/.local/state` and https://example.org/x/home/y.",
        )],
        &[("docs/a.md", "\nIt lies in /home/somebody/deskd.")],
        &["docs/a.md:2:"],
    );
}

#[test]
fn stripping_keeps_code_and_lines() {
    let source = "a('\"', '\\'', b\"x\\\"y\") // c\n/* d\n */ e<'f>(r#\"g\n\"h\"#, \"i\nj\") k";
    assert_eq!(strip(source), "a(, , b) \n\n e<'f>(\n, \n) k");
}
