//! Types of files by their names: one built-in table, the same on every machine. Source code is text.

use std::path::Path;

/// What is not known.
pub const UNKNOWN: &str = "application/octet-stream";

/// Where the general table knows nothing, or means something else than who writes programs.
const OURS: &[(&str, &[&str])] = &[
    ("text/typescript", &["ts", "tsx", "mts", "cts"]),
    ("text/javascript", &["js", "mjs", "cjs", "jsx"]),
    ("text/x-python", &["py", "pyi", "pyw"]),
    ("text/x-rust", &["rs"]),
    ("text/x-go", &["go"]),
    (
        "text/x-c",
        &[
            "c", "h", "cc", "cpp", "cxx", "hh", "hpp", "hxx", "ino", "m", "mm",
        ],
    ),
    (
        "text/x-java",
        &["java", "kt", "kts", "scala", "groovy", "gradle"],
    ),
    ("text/x-csharp", &["cs", "fs", "vb"]),
    (
        "text/x-shellscript",
        &["sh", "bash", "zsh", "fish", "ksh", "ps1", "bat", "cmd"],
    ),
    ("text/x-ruby", &["rb", "erb", "rake", "gemspec"]),
    ("text/x-perl", &["pl", "pm"]),
    ("text/x-php", &["php"]),
    ("text/x-lua", &["lua"]),
    ("text/x-sql", &["sql"]),
    ("text/x-swift", &["swift", "dart"]),
    (
        "text/x-haskell",
        &["hs", "ml", "mli", "elm", "ex", "exs", "erl", "hrl", "clj"],
    ),
    ("text/x-lisp", &["el", "lisp", "scm"]),
    ("text/x-asm", &["s", "asm"]),
    ("text/x-r", &["r", "jl"]),
    (
        "text/x-toml",
        &["toml", "lock", "ini", "cfg", "conf", "properties", "env"],
    ),
    ("text/yaml", &["yaml", "yml"]),
    ("text/markdown", &["md", "markdown", "mdx"]),
    ("text/x-diff", &["diff", "patch"]),
    ("text/x-tex", &["tex", "bib", "sty"]),
    ("text/x-scss", &["scss", "sass", "less"]),
    ("text/html", &["vue", "svelte"]),
    (
        "text/plain",
        &[
            "txt", "log", "rst", "adoc", "proto", "graphql", "gql", "tf", "nix", "zig", "nim", "d",
            "cmake", "mod", "sum",
        ],
    ),
];

/// Names without an extension that are text all the same.
const TEXTS: &[&str] = &[
    "Makefile",
    "GNUmakefile",
    "Dockerfile",
    "Containerfile",
    "Justfile",
    "justfile",
    "Gemfile",
    "Rakefile",
    "LICENSE",
    "COPYING",
    "README",
    "CHANGELOG",
    "AUTHORS",
    "NOTICE",
    ".gitignore",
    ".gitattributes",
    ".gitmodules",
    ".ignore",
    ".dockerignore",
    ".editorconfig",
    ".bashrc",
    ".profile",
    ".env",
];

/// The type of a file with this name.
pub fn mime(name: &[u8]) -> &'static str {
    let Ok(name) = str::from_utf8(name) else {
        let dot = name.iter().rposition(|byte| *byte == b'.');
        return dot.map_or(UNKNOWN, |dot| by_extension(&name[dot + 1..]));
    };
    if TEXTS.contains(&name) {
        return "text/plain";
    }
    match Path::new(name).extension() {
        Some(extension) => by_extension(extension.as_encoded_bytes()),
        None => UNKNOWN,
    }
}

fn by_extension(extension: &[u8]) -> &'static str {
    let Ok(extension) = str::from_utf8(extension) else {
        return UNKNOWN;
    };
    let extension = extension.to_ascii_lowercase();
    let ours = OURS.iter().find(|(_, all)| all.contains(&&*extension));
    let general = || mime_guess::from_ext(&extension).first_raw();
    ours.map(|(mime, _)| *mime)
        .or_else(general)
        .unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_code_is_text_and_pictures_are_pictures() {
        assert_eq!(mime(b"a.ts"), "text/typescript");
        assert_eq!(mime(b"Main.RS"), "text/x-rust");
        assert_eq!(mime(b"a.png"), "image/png");
        assert_eq!(mime(b"a.html"), "text/html");
        assert_eq!(mime(b"a\xff.json"), "application/json");
        assert_eq!(mime(b"Makefile"), "text/plain");
        for unknown in [&b"a"[..], b"a.", b".x", b"a.\xff", b"a.unheard"] {
            assert_eq!(mime(unknown), UNKNOWN);
        }
    }
}
