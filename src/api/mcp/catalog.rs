//! The table of tools, and the names of others that are taken for them.

use std::sync::LazyLock;

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::arguments::Arguments;
use crate::{
    api::scope::{self, missing},
    chat::scope::{Scope, Scopes},
    desktop::geometry::Size,
};

/// Names, titles, descriptions, schemas, annotations, and the route whose scope a tool needs.
const TABLE: &str = include_str!("../../../assets/mcp/tools.json");

/// Names of the Coder workspace tools, and which tool does the same.
const ALIASES: [(&str, &str); 6] = [
    ("coder_workspace_read_file", "read_file"),
    ("coder_workspace_write_file", "write_file"),
    ("coder_workspace_edit_file", "edit_files"),
    ("coder_workspace_edit_files", "edit_files"),
    ("coder_workspace_ls", "list_directory"),
    ("coder_workspace_bash", "execute"),
];

/// Milliseconds that the other `bash` waits when nothing is said.
const BASH_TIMEOUT: u64 = 60_000;

/// A tool of the table.
#[derive(Debug)]
pub(super) struct Tool {
    pub(super) name: String,
    method: Method,
    route: String,
    /// What a client is told.
    told: Map<String, Value>,
}

static TOOLS: LazyLock<Vec<Tool>> = LazyLock::new(|| {
    let table: Vec<Map<String, Value>> =
        serde_json::from_str(TABLE).expect("the table is JSON, which the tests have seen");
    table.into_iter().map(Tool::of).collect()
});

impl Tool {
    fn of(mut told: Map<String, Value>) -> Self {
        let route = told.remove("route").unwrap_or_default();
        let route = route.as_str().and_then(|route| route.split_once(' '));
        let (method, route) = route.expect("a method and a route");
        let method = method.parse().expect("a method");
        let name = told["name"].as_str().unwrap_or_default().to_owned();
        Self {
            name,
            method,
            route: route.to_owned(),
            told,
        }
    }

    /// The first scope that it needs and these lack.
    pub(super) fn lacks(&self, scopes: Scopes) -> Option<Scope> {
        missing(scope::need(&self.method, Some(&self.route)), scopes)
    }

    /// What a client is told, with the size of pictures.
    fn told(&self, frame: Size) -> Map<String, Value> {
        let mut told = self.told.clone();
        if let Some(Value::String(text)) = told.get_mut("description") {
            *text = text.replace("{size}", &format!("{}x{}", frame.width, frame.height));
        }
        told
    }
}

/// The tool of a name, or of one that is taken for it.
pub(super) fn find(name: &str) -> Option<&'static Tool> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    let name = alias.map_or(name, |(_, tool)| tool);
    TOOLS.iter().find(|tool| tool.name == name)
}

/// What a client is told of the tools that these scopes allow.
pub(super) fn list(scopes: Scopes, frame: Size, aliases: bool) -> Vec<Map<String, Value>> {
    let allowed = TOOLS.iter().filter(|tool| tool.lacks(scopes).is_none());
    let mut all: Vec<_> = allowed.map(|tool| tool.told(frame)).collect();
    if aliases {
        let named = ALIASES.iter().filter_map(|(alias, name)| {
            let tool = find(name).filter(|tool| tool.lacks(scopes).is_none())?;
            let mut told = tool.told(frame);
            told.insert("name".to_owned(), (*alias).into());
            told.insert("inputSchema".to_owned(), alias_schema(alias, &tool.told));
            Some(told)
        });
        all.extend(named);
    }
    all
}

/// The arguments of those tools, where they are others than ours.
fn alias_schema(alias: &str, told: &Map<String, Value>) -> Value {
    if alias == "coder_workspace_edit_file" {
        let edits = &told["inputSchema"]["properties"]["files"]["items"]["properties"]["edits"];
        return json!({"type": "object", "required": ["path", "edits"],
            "properties": {"workspace": {"type": "string"}, "path": {"type": "string"}, "edits": edits}});
    }
    let mut schema = told["inputSchema"].clone();
    schema["properties"]["workspace"] = json!({"type": "string"});
    schema
}

/// Arguments as our tool takes them. `workspace` says what is known: this one.
pub(super) fn translated(name: &str, mut arguments: Map<String, Value>) -> Arguments {
    if !ALIASES.iter().any(|(alias, _)| *alias == name) {
        return Arguments::new(arguments);
    }
    arguments.remove("workspace");
    match name {
        "coder_workspace_edit_file" => {
            let (path, edits) = (arguments.remove("path"), arguments.remove("edits"));
            let file = json!({"path": path, "edits": edits});
            arguments.insert("files".to_owned(), json!([file]));
        }
        // There contents are bytes in base64.
        "coder_workspace_write_file" => {
            if let Some(content) = arguments.remove("content") {
                arguments.insert("content_base64".to_owned(), content);
            }
        }
        "coder_workspace_bash" => {
            let millis = arguments
                .remove("timeout_ms")
                .and_then(|value| value.as_u64());
            let millis = millis.filter(|millis| *millis > 0).unwrap_or(BASH_TIMEOUT);
            arguments.insert("timeout".to_owned(), format!("{millis}ms").into());
            if let Some(background) = arguments.remove("background") {
                arguments.insert("run_in_background".to_owned(), background);
            }
        }
        _ => {}
    }
    Arguments::new(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Size = Size {
        width: 1280,
        height: 720,
    };

    #[test]
    fn every_tool_is_whole() {
        let all = list(Scopes::ADMIN, FRAME, false);
        assert!((20..=25).contains(&all.len()), "{}", all.len());
        for told in &all {
            let name = told["name"].as_str().expect("a name");
            for text in ["title", "description"] {
                assert!(
                    told[text]
                        .as_str()
                        .is_some_and(|text| !text.contains("{size}")),
                    "{name} {text}"
                );
            }
            for schema in ["inputSchema", "outputSchema"] {
                assert_eq!(told[schema]["type"], "object", "{name} {schema}");
                let properties = told[schema]["properties"].as_object().expect("properties");
                let required = told[schema]["required"].as_array().into_iter().flatten();
                for field in required {
                    assert!(
                        properties.contains_key(field.as_str().expect("a name")),
                        "{name} {field}"
                    );
                }
            }
            for hint in [
                "readOnlyHint",
                "destructiveHint",
                "idempotentHint",
                "openWorldHint",
            ] {
                assert!(told["annotations"][hint].is_boolean(), "{name} {hint}");
            }
            let reads = told["annotations"]["readOnlyHint"] == true;
            assert!(
                !(reads && told["annotations"]["destructiveHint"] == true),
                "{name}"
            );
            // A route without a row would need admin.
            let tool = find(name).expect("it is found");
            let everything = Scope::ALL
                .into_iter()
                .filter(|scope| *scope != Scope::Admin);
            assert_eq!(tool.lacks(everything.collect()), None, "{name}");
        }
    }

    #[test]
    fn the_list_is_small() {
        let all = list(Scopes::ADMIN, FRAME, false);
        let bytes = serde_json::to_vec(&all).expect("JSON").len();
        assert!(bytes <= 19_900, "{bytes} bytes");
    }

    #[test]
    fn a_tool_is_listed_with_its_scope_alone() {
        let names = |scopes: &[Scope]| -> Vec<String> {
            let told = list(scopes.iter().copied().collect(), FRAME, true);
            let names = told
                .iter()
                .map(|told| told["name"].as_str().unwrap_or_default().to_owned());
            names.collect()
        };
        assert_eq!(names(&[]), Vec::<String>::new());
        assert_eq!(names(&[Scope::Git]), ["git_status", "git_diff", "git_log"]);
        assert_eq!(
            names(&[Scope::DesktopView]),
            ["screenshot", "windows", "clipboard"]
        );
        let process = names(&[Scope::Process]);
        assert!(
            process.contains(&"coder_workspace_bash".to_owned())
                && !process.contains(&"launch".to_owned())
        );
        assert!(
            names(&[Scope::FilesRead])
                .iter()
                .all(|name| !name.contains("write") && !name.contains("edit"))
        );
    }

    #[test]
    fn other_names_are_translated() {
        let of = |name: &str, value: Value| match value {
            Value::Object(map) => Value::Object(translated(name, map).into_map()),
            _ => panic!("an object is due"),
        };
        let due = json!({"files": [{"path": "/a", "edits": [1]}]});
        assert_eq!(
            of(
                "coder_workspace_edit_file",
                json!({"workspace": "w", "path": "/a", "edits": [1]})
            ),
            due
        );
        let due = json!({"command": "a", "timeout": "60000ms", "run_in_background": true});
        assert_eq!(
            of(
                "coder_workspace_bash",
                json!({"workspace": "w", "command": "a", "background": true})
            ),
            due
        );
        let due = json!({"path": "/a", "content_base64": "eA=="});
        assert_eq!(
            of(
                "coder_workspace_write_file",
                json!({"path": "/a", "content": "eA=="})
            ),
            due
        );
        assert_eq!(
            of("read_file", json!({"workspace": "w"})),
            json!({"workspace": "w"})
        );
    }
}
