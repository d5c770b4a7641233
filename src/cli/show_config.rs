//! `deskd config`: the effective values with their source. No setting is a secret: the token is only ever in a file.

use std::{fmt::Write as _, process::ExitCode};

use crate::config::{Config, Setting};

/// Prints the settings; directories and the socket as they come out in the end.
pub(super) fn run(settings: &[Setting], config: &Config, json: bool) -> ExitCode {
    let shown: Vec<Setting> = settings
        .iter()
        .filter(|setting| setting.name != "json")
        .map(|setting| Setting {
            value: resolved(setting, config),
            ..setting.clone()
        })
        .collect();
    let text = if json {
        let object: serde_json::Map<String, serde_json::Value> = shown
            .into_iter()
            .map(|s| {
                (
                    s.name,
                    serde_json::json!({"value": s.value, "source": s.source}),
                )
            })
            .collect();
        format!("{}\n", serde_json::Value::Object(object))
    } else {
        shown.iter().fold(String::new(), |mut text, setting| {
            let Setting {
                name,
                value,
                source,
            } = setting;
            let _ = writeln!(text, "{name:<22} {value:<40} {source}");
            text
        })
    };
    super::finish(super::show(text.as_bytes()))
}

fn resolved(setting: &Setting, config: &Config) -> String {
    match setting.name.as_str() {
        "socket" => config.socket.display().to_string(),
        "state-dir" => config.state_dir.display().to_string(),
        "runtime-dir" => config.runtime_dir.display().to_string(),
        _ => setting.value.clone(),
    }
}
