//! The tools: a file a part of the API. Each turns arguments into requests to routes, and their answers into words.

mod desktop;
mod files;
mod git;
mod process;

use serde_json::{Map, Value};

pub(super) use self::desktop::look;
use super::{
    answer::{Answer, Trouble},
    arguments::Arguments,
    call::Call,
};

/// Runs a tool of the catalog.
pub(super) async fn run(call: &Call, tool: &str, arguments: Arguments) -> Result<Answer, Trouble> {
    match tool {
        "computer" => desktop::computer(call, arguments).await,
        "screenshot" => desktop::screenshot(call, &arguments).await,
        "windows" => desktop::windows(call, &arguments).await,
        "launch" => desktop::launch(call, arguments).await,
        "clipboard" => desktop::clipboard(call, &arguments).await,
        "execute" => process::execute(call, &arguments).await,
        "process_output" => process::output(call, &arguments).await,
        "process_input" => process::input(call, &arguments).await,
        "process_list" => process::list(call, &arguments).await,
        "process_signal" => process::signal(call, &arguments).await,
        "read_file" => files::read(call, &arguments).await,
        "write_file" => files::write(call, &arguments).await,
        "edit_files" => files::edit(call, &arguments).await,
        "list_directory" => files::list(call, &arguments).await,
        "find_files" => files::find(call, &arguments).await,
        "search_files" => files::search(call, &arguments).await,
        "move_file" => files::relocate(call, &arguments).await,
        "delete_file" => files::remove(call, &arguments).await,
        "git_status" => git::status(call, &arguments).await,
        "git_diff" => git::diff(call, &arguments).await,
        "git_log" => git::log(call, &arguments).await,
        other => Err(Trouble::new(
            "unknown_tool",
            format!("There is no tool {other}."),
        )),
    }
}

/// An object with those fields alone that are wanted and there.
fn only(object: &Value, wanted: &[&str]) -> Value {
    let there = wanted.iter().filter_map(|name| {
        let value = object.get(name).filter(|value| !value.is_null())?;
        Some(((*name).to_owned(), value.clone()))
    });
    Value::Object(there.collect::<Map<_, _>>())
}
