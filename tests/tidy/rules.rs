//! The rules: each takes the tree and gives findings: file, line, what to do.

use crate::{
    text::{
        crate_references, declared_modules, module_depth, numbered, strip, top_module,
        without_inline_tests, words,
    },
    tree::{File, Tree, has_extension, sources, text_of},
};

/// Code lines a source file may have, its inline test module not counted.
const MAX_CODE_LINES: usize = 500;

/// Code lines a file of tests may have: cases stand one below the other, and are read one at a time.
const MAX_TEST_LINES: usize = 700;

/// Module, and what it may name besides `shutdown` and `telemetry`. Downwards only, never sideways.
const LAYERS: &[(&str, &[&str])] = &[
    ("main", &["app", "cli", "config"]),
    (
        "cli",
        &[
            "app", "config", "api", "client", "desktop", "proc", "vfs", "sys",
        ],
    ),
    (
        "app",
        &[
            "config", "api", "chat", "desktop", "git", "proc", "vfs", "sys", "toolcall",
        ],
    ),
    (
        "config",
        &["api", "client", "desktop", "git", "proc", "vfs", "sys"],
    ),
    ("client", &[]),
    (
        "api",
        &["chat", "desktop", "git", "proc", "vfs", "sys", "toolcall"],
    ),
    ("chat", &["sys"]),
    ("desktop", &["sys"]),
    ("proc", &["sys"]),
    // Mounted commits and changes in repositories come from one opener: the one sideways edge.
    ("vfs", &["git", "sys"]),
    ("git", &["sys"]),
    ("toolcall", &[]),
    ("sys", &[]),
    ("shutdown", &[]),
    ("telemetry", &[]),
];
const FOR_ALL: &[&str] = &["shutdown", "telemetry"];

/// Word, where it may stand, and why nowhere else.
const HOMES: &[(&str, &[&str], &str)] = &[
    ("axum", &["src/api/"], "HTTP stays in the translation layer"),
    (
        "hyper",
        &["src/api/", "src/client/", "src/cli/remote/"],
        "HTTP stays in the translation layer",
    ),
    (
        "hyper_util",
        &["src/api/", "src/client/"],
        "HTTP stays in the translation layer",
    ),
    (
        "rmcp",
        &["src/api/mcp/transport.rs"],
        "one module knows the types of the protocol's crate, which change with every release",
    ),
    (
        "utoipa",
        &["src/api/"],
        "the OpenAPI document is made where the routes are",
    ),
    (
        "x11rb",
        &["src/desktop/x11/"],
        "one module speaks the X protocol",
    ),
    (
        "memmap2",
        &["src/desktop/x11/"],
        "shared memory belongs to the capture connection",
    ),
    (
        "xcap",
        &["src/desktop/provider/host"],
        "it serves the foreign desktop alone",
    ),
    (
        "enigo",
        &["src/desktop/provider/host"],
        "it serves the foreign desktop alone",
    ),
    (
        "nix",
        &["src/sys/", "src/desktop/x11/"],
        "the operating system is asked through sys",
    ),
    (
        "libc",
        &["src/sys/"],
        "the operating system is asked through sys",
    ),
    (
        "rustix",
        &["src/sys/", "src/desktop/x11/", "src/vfs/", "src/git/"],
        "the operating system is asked through sys",
    ),
    (
        "git2",
        &["src/git/"],
        "one module opens repositories, with settings that run nothing",
    ),
    (
        "clap",
        &["src/main.rs", "src/config", "src/cli/"],
        "only they read the command line",
    ),
    (
        "serde",
        &[
            "src/api/",
            "src/config",
            "src/cli/",
            "src/chat/record.rs",
            "src/desktop/session.rs",
            "src/proc/record.rs",
            "src/proc/wire.rs",
            "src/proc/keeper/journal.rs",
        ],
        "only the outermost layer serialises: convert from a wire type in src/api/types",
    ),
    (
        "unsafe",
        &["src/sys/", "src/desktop/x11/"],
        "the places that need it are few and reviewed",
    ),
];

/// File, word that may stand there though it is not its home, and why. One that no longer holds is a finding.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("src/telemetry.rs", "clap", "LogFormat is a value of a flag"),
    (
        "src/api/serve.rs",
        "nix",
        "compares the peer's user with ours",
    ),
    (
        "src/config.rs",
        "nix",
        "the default runtime directory is named with the user's id",
    ),
    ("src/cli/doctor.rs", "nix", "asks what it may write"),
    (
        "src/desktop/input/mailbox.rs",
        "rustix",
        "its thread waits in poll for an eventfd and the display",
    ),
    (
        "src/desktop/capture/bell.rs",
        "rustix",
        "its threads wait in poll for an eventfd and the display",
    ),
    ("src/desktop/launch.rs", "rustix", "names the signals"),
    (
        "src/desktop/provider/xvnc.rs",
        "rustix",
        "reads the display's number from a pipe",
    ),
];

/// Folders whose content is fetched or made, never committed.
const NOT_COMMITTED: &[&str] = &[
    "node_modules",
    ".venv",
    "dist",
    "vendor",
    "third_party",
    "target",
];

pub(crate) fn layers_point_downwards(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for file in sources(tree, "src/") {
        let from = top_module(&file.path);
        if from == "lib" {
            continue;
        }
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == from) else {
            findings.push(format!(
                "{}:1: module `{from}` has no layer: add it to LAYERS in tests/tidy/rules.rs",
                file.path
            ));
            continue;
        };
        for (line, to) in crate_references(&strip(&file.text)) {
            let known = LAYERS.iter().any(|(name, _)| *name == to);
            let fine = to == from || FOR_ALL.contains(&to.as_str()) || allowed.contains(&&*to);
            if known && !fine {
                findings.push(format!(
                    "{}:{line}: `{from}` may not name `{to}`: pass a value, a closure or a subscription \
                     from above instead",
                    file.path
                ));
            }
        }
    }
    findings
}

pub(crate) fn modules_are_not_left_by_super(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for file in sources(tree, "src/") {
        let depth = module_depth(&file.path);
        for (number, line) in numbered(&strip(&file.text)) {
            // An indented path may stand in an inline module, which is one level deeper.
            let depth = depth + usize::from(line.starts_with(' '));
            if line.match_indices("super::").count() >= depth
                && line.contains(&"super::".repeat(depth))
            {
                findings.push(format!(
                    "{}:{number}: `super` leaves the top-level module: write the path from `crate::`",
                    file.path
                ));
            }
        }
    }
    findings
}

pub(crate) fn words_stay_at_home(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for file in sources(tree, "src/") {
        for (number, line) in numbered(&strip(&file.text)) {
            for (word, homes, why) in HOMES {
                let excused = EXCEPTIONS
                    .iter()
                    .any(|(path, excused, _)| *path == file.path && excused == word);
                let at_home = excused || homes.iter().any(|home| file.path.starts_with(home));
                if !at_home && words(line).any(|found| found == *word) {
                    findings.push(format!(
                        "{}:{number}: `{word}` may be named in {} only: {why}",
                        file.path,
                        homes.join(", ")
                    ));
                }
            }
        }
    }
    findings
}

pub(crate) fn exceptions_are_needed(tree: &Tree) -> Vec<String> {
    EXCEPTIONS
        .iter()
        .filter(|(path, word, _)| {
            let code = strip(text_of(tree, path));
            !code.is_empty() && !words(&code).any(|found| found == *word)
        })
        .map(|(path, word, _)| {
            format!("{path}:1: does not name `{word}` any more: remove it from EXCEPTIONS in tests/tidy/rules.rs")
        })
        .collect()
}

pub(crate) fn files_say_what_they_are_for(tree: &Tree) -> Vec<String> {
    sources(tree, "")
        .filter(|file| !file.text.starts_with("//!"))
        .map(|file| {
            format!(
                "{}:1: open the file with one `//!` sentence on what it is for",
                file.path
            )
        })
        .collect()
}

pub(crate) fn files_are_short(tree: &Tree) -> Vec<String> {
    sources(tree, "")
        .filter_map(|file| {
            let tests = file.path.starts_with("tests/") || file.path.ends_with("/tests.rs");
            let limit = if tests {
                MAX_TEST_LINES
            } else {
                MAX_CODE_LINES
            };
            let code = strip(without_inline_tests(&file.text));
            let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
            let finding = format!(
                "{}:{limit}: {lines} code lines, {limit} are allowed: split it by role",
                file.path
            );
            (lines > limit).then_some(finding)
        })
        .collect()
}

pub(crate) fn architecture_names_every_module(tree: &Tree) -> Vec<String> {
    let map = text_of(tree, "ARCHITECTURE.md");
    declared_modules(text_of(tree, "src/lib.rs"))
        .into_iter()
        .filter(|module| !map.contains(&format!("`{module}`")))
        .map(|module| format!("ARCHITECTURE.md:1: no paragraph names the module `{module}`"))
        .collect()
}

pub(crate) fn documents_keep_up(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    let mut look = |file: &File, before: &str, convert: fn(&str) -> String, document: &str| {
        for (number, line) in numbered(&file.text) {
            for (at, _) in line.match_indices(before) {
                let rest = &line[at + before.len()..];
                let word = convert(rest.split('"').next().unwrap_or(rest));
                if !text_of(tree, document).contains(&word) {
                    findings.push(format!(
                        "{}:{number}: {document} does not name `{word}`",
                        file.path
                    ));
                }
            }
        }
    };
    for file in sources(tree, "src/api/") {
        let of_processes = ["processes", "terminal", "live"]
            .iter()
            .any(|name| file.path == format!("src/api/{name}.rs"));
        let of_mounts = ["mounts", "materialize"]
            .iter()
            .any(|name| file.path == format!("src/api/files/{name}.rs"));
        let of_chats = ["chats", "tokens"]
            .iter()
            .any(|name| file.path == format!("src/api/{name}.rs"));
        let document = if of_chats {
            "docs/chats.md"
        } else if of_processes {
            "docs/processes.md"
        } else if of_mounts {
            "docs/mounts.md"
        } else if file.path.starts_with("src/api/mcp/") {
            "docs/mcp.md"
        } else if file.path.starts_with("src/api/git/") {
            "docs/git.md"
        } else if file.path.starts_with("src/api/files/") {
            "docs/files.md"
        } else {
            "docs/desktop.md"
        };
        look(file, "path = \"/", |path| format!("/{path}"), document);
    }
    for file in sources(tree, "src/config") {
        let flag = |name: &str| format!("`--{}", name.to_lowercase().replace('_', "-"));
        look(file, "env = \"DESKD_", flag, "docs/configuration.md");
    }
    findings
}

pub(crate) fn links_lead_somewhere(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for file in tree.iter().filter(|file| has_extension(&file.path, "md")) {
        let folder = file.path.rfind('/').map_or("", |at| &file.path[..=at]);
        for (number, line) in numbered(&file.text) {
            for (at, _) in line.match_indices("](") {
                let target = line[at + 2..].split([')', '#']).next().unwrap_or_default();
                let path = format!("{folder}{target}");
                let outside = target.is_empty() || target.contains("://");
                if !outside && !tree.iter().any(|file| file.path == path) {
                    findings.push(format!(
                        "{}:{number}: the link to {target} leads nowhere",
                        file.path
                    ));
                }
            }
        }
    }
    findings
}

pub(crate) fn every_file_is_a_module(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for file in ["src/", "tests/it/"]
        .into_iter()
        .flat_map(|folder| sources(tree, folder))
    {
        let path = file.path.trim_end_matches(".rs").trim_end_matches("/mod");
        let (folder, name) = path.rsplit_once('/').expect("a path in a folder");
        if ["src/lib", "src/main", "tests/it/main"].contains(&path) {
            continue;
        }
        let parents = ["/mod.rs", "/lib.rs", "/main.rs", ".rs"].map(|end| format!("{folder}{end}"));
        let mut parent = tree.iter().filter(|file| parents.contains(&file.path));
        let declares = |file: &File| {
            declared_modules(&file.text)
                .iter()
                .any(|module| module == name)
        };
        if !parent.any(declares) {
            findings.push(format!(
                "{}:1: never compiled: {folder} lacks `mod {name};`",
                file.path
            ));
        }
    }
    findings
}

pub(crate) fn assets_have_an_origin(tree: &Tree) -> Vec<String> {
    let list = text_of(tree, "assets/README.md");
    let mut folders: Vec<&str> = tree
        .iter()
        .filter_map(|file| file.path.strip_prefix("assets/")?.split_once('/'))
        .map(|(folder, _)| folder)
        .collect();
    folders.dedup();
    folders.retain(|folder| {
        let start = format!("| `{folder}/");
        let cells = |row: &str| {
            row.split('|')
                .filter(|cell| !cell.trim().is_empty())
                .count()
        };
        !list
            .lines()
            .any(|row| row.starts_with(&start) && cells(row) >= 3)
    });
    folders
        .into_iter()
        .map(|folder| format!("assets/README.md:1: no row with origin and licence for `{folder}/`"))
        .collect()
}

pub(crate) fn nothing_foreign_is_committed(tree: &Tree) -> Vec<String> {
    tree.iter()
        .filter(|file| {
            file.path
                .split('/')
                .any(|part| NOT_COMMITTED.contains(&part))
        })
        .map(|file| {
            format!(
                "{}:1: fetched or built: remove it from git and ignore it",
                file.path
            )
        })
        .collect()
}

pub(crate) fn tests_wait_for_events(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for file in tree.iter().filter(|file| file.path.starts_with("tests/")) {
        let code = match file.path.rsplit('.').next() {
            Some("rs") => strip(&file.text),
            Some("js" | "mjs" | "ts" | "py" | "sh") => file.text.clone(),
            _ => continue,
        };
        for (number, line) in numbered(&code) {
            let comment = ["//", "#", "*"]
                .iter()
                .any(|mark| line.trim_start().starts_with(mark));
            if !comment
                && words(line).any(|word| word == concat!("sl", "eep") || word == "waitForTimeout")
            {
                findings.push(format!(
                    "{}:{number}: wait for the event itself, or pause the clock",
                    file.path
                ));
            }
        }
    }
    findings
}

pub(crate) fn scripts_can_be_run(tree: &Tree) -> Vec<String> {
    let is_script = |path: &str| {
        path == ".ci/run"
            || path.starts_with("examples/") && has_extension(path, "sh")
            || path.starts_with("scripts/") && !path.starts_with("scripts/lib/")
    };
    tree.iter()
        .filter(|file| is_script(&file.path))
        .filter(|file| !file.executable || !file.text.contains("set -euo pipefail"))
        .map(|file| format!("{}:1: needs the run bit and `set -euo pipefail`", file.path))
        .collect()
}

pub(crate) fn targets_are_listed_and_exist(tree: &Tree) -> Vec<String> {
    let listed: Vec<&str> = text_of(tree, "Cargo.toml")
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"'))
        .collect();
    let exists = |path: &str| tree.iter().any(|file| file.path == path);
    let gone = listed
        .iter()
        .filter(|path| !exists(path))
        .map(|path| format!("Cargo.toml:1: the target {path} does not exist"));
    let root = |path: &str| {
        ["tests/", "tests/bench/"].iter().any(|folder| {
            path.strip_prefix(folder)
                .is_some_and(|name| has_extension(name, "rs") && !name.contains('/'))
        })
    };
    let forgotten = tree
        .iter()
        .map(|file| file.path.as_str())
        .filter(|path| root(path) && !listed.contains(path))
        .filter(|path| !declared_in_sibling_target(tree, path, &listed))
        .map(|path| format!("{path}:1: no target in Cargo.toml compiles it"));
    gone.chain(forgotten).collect()
}

pub(crate) fn dependencies_say_what_for(tree: &Tree) -> Vec<String> {
    let mut section = "";
    let mut findings = Vec::new();
    for (number, line) in numbered(text_of(tree, "Cargo.toml")) {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]")
            && line.contains(" = ")
            && !line.contains(" # ")
        {
            findings.push(format!(
                "Cargo.toml:{number}: say behind the dependency what it is for (` # …`)"
            ));
        }
    }
    findings
}

pub(crate) fn private_paths_are_not_named(tree: &Tree) -> Vec<String> {
    let here = format!("{}/", env!("CARGO_MANIFEST_DIR"));
    let home = |line: &str| {
        ["/home/", "/Users/", "/root/"].iter().any(|root| {
            line.match_indices(root)
                .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric()))
        })
    };
    let mut findings = Vec::new();
    for file in tree
        .iter()
        .filter(|file| !file.path.starts_with("tests/tidy"))
    {
        for (number, line) in numbered(&file.text) {
            if home(line) || here.matches('/').count() > 2 && line.contains(&here) {
                findings.push(format!(
                    "{}:{number}: names a path of one machine: make it relative or a variable",
                    file.path
                ));
            }
        }
    }
    findings
}

/// Whether a listed target in the same folder declares the file as its module (`#[path]` or plain).
fn declared_in_sibling_target(tree: &Tree, path: &str, listed: &[&str]) -> bool {
    let (folder, name) = path.split_at(path.rfind('/').expect("a path in a folder") + 1);
    let name = name.trim_end_matches(".rs");
    listed
        .iter()
        .filter(|target| target.starts_with(folder) && !target[folder.len()..].contains('/'))
        .any(|target| {
            declared_modules(text_of(tree, target))
                .iter()
                .any(|module| module == name)
        })
}
