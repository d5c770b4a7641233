//! HTTP and WebSocket: check, convert, forward, answer. No state of its own, no logic of the domain.

pub mod access_log;
pub mod auth;
pub mod batch;
pub mod chats;
pub mod checked;
pub mod clipboard;
pub mod computer;
pub mod desktop;
pub mod docs;
pub mod error;
pub mod extract;
pub mod files;
pub mod git;
pub mod health;
pub mod identity;
pub mod launch;
pub mod live;
pub mod mcp;
pub mod openapi;
pub mod patience;
pub mod peer;
pub mod processes;
pub mod scope;
pub mod serve;
pub mod state;
mod table;
pub mod terminal;
pub mod tokens;
pub mod tool_call;
pub mod types;
pub mod viewer;
pub mod vnc;
pub mod windows;
mod workdir;
pub mod ws;

use axum::{Extension, Router, middleware};

use self::table::{RouteTable, routes};
pub use self::{
    auth::Auth,
    serve::{Listener, Server},
    state::ApiState,
};

/// Every route, grouped by who calls it, below the layers that every request passes.
pub fn router(state: ApiState, mcp: mcp::Settings) -> Router {
    let all = own_routes(&state);
    let mcp = mcp::Mcp::new(state.clone(), mcp);
    let tools = mcp_routes().wrapped(|routes| routes.route_layer(Extension(mcp)));
    let (routes, describe) = all.merge(tools).split();
    routes
        .merge(viewer::routes())
        .merge(openapi::routes(describe))
        .method_not_allowed_fallback(error::method_not_allowed)
        .fallback(error::not_found)
        .layer(middleware::from_fn_with_state(state.clone(), auth::gate))
        .layer(middleware::from_fn_with_state(
            state.clone(),
            access_log::observe,
        ))
        .with_state(state)
}

/// All routes but that of tools, which are requests to these.
fn own_routes(state: &ApiState) -> RouteTable {
    let run_once = middleware::from_fn_with_state(state.clone(), tool_call::run_once);
    let once = run_once_routes().wrapped(|routes| routes.route_layer(run_once));
    let all = route_table().merge(chat_routes()).merge(git_routes());
    all.merge(once)
}

/// What describes each route.
#[cfg(test)]
fn descriptions() -> Vec<table::Describe> {
    let routes = route_table().merge(chat_routes()).merge(git_routes());
    routes
        .merge(run_once_routes())
        .merge(mcp_routes())
        .split()
        .1
}

/// The OpenAPI document of all routes.
#[cfg(test)]
fn document() -> utoipa::openapi::OpenApi {
    table::document_of(openapi::document(None), &descriptions())
}

/// The route table, top to bottom. What a route asks of a token stands in [`scope`].
fn route_table() -> RouteTable {
    RouteTable::default()
        // operators
        .routes(routes!(health::check_health))
        .routes(routes!(health::check_readiness))
        .routes(routes!(health::read_metrics))
        .routes(routes!(health::read_version))
        // the desktop's life
        .routes(routes!(desktop::describe_desktop))
        .routes(routes!(desktop::start_desktop))
        .routes(routes!(desktop::stop_desktop))
        .routes(routes!(desktop::restart_desktop))
        .routes(routes!(desktop::resize_desktop))
        // computer tools
        .routes(routes!(desktop::perform_action))
        .routes(routes!(batch::perform_batch))
        .routes(routes!(computer::use_computer_anthropic))
        .routes(routes!(computer::use_computer_openai))
        .routes(routes!(computer::describe_tool))
        .routes(routes!(desktop::take_screenshot))
        .routes(routes!(desktop::describe_input))
        .routes(routes!(desktop::reset_input))
        .routes(routes!(
            clipboard::read_clipboard,
            clipboard::write_clipboard
        ))
        .routes(routes!(launch::launch_program))
        .routes(routes!(windows::list_windows))
        .routes(routes!(windows::focus_window))
        .routes(routes!(windows::close_window))
        .routes(routes!(windows::move_window))
        .routes(routes!(windows::resize_window))
        .routes(routes!(windows::minimize_window))
        .routes(routes!(windows::maximize_window))
        // processes
        .routes(routes!(processes::list_processes))
        .routes(routes!(processes::find_token))
        .routes(routes!(processes::describe_process))
        .routes(routes!(processes::forget_process))
        .routes(routes!(processes::read_output))
        .routes(routes!(processes::cancel_tool_call))
        .routes(routes!(terminal::write_input))
        .routes(routes!(terminal::resize_terminal))
        .routes(routes!(terminal::read_screen))
        .routes(routes!(live::stream_events))
        .routes(routes!(live::attach_process))
        // files
        .routes(routes!(files::read::read_file))
        .routes(routes!(files::lines::read_file_lines))
        .routes(routes!(files::list::list_directory))
        .routes(routes!(files::list::list_tree))
        .routes(routes!(files::stat::resolve_path))
        .routes(routes!(
            files::stat::describe_entry,
            files::stat::describe_entries
        ))
        .routes(routes!(files::search::search_files))
        .routes(routes!(files::glob::find_names))
        .routes(routes!(files::watch::watch_files))
        .routes(routes!(files::archive::read_archive))
        .routes(routes!(files::mounts::list_mounts))
        .routes(routes!(files::mounts::describe_mount))
        .routes(routes!(files::cancel::cancel_write_file))
        .routes(routes!(files::cancel::cancel_edit_files))
        .routes(routes!(files::cancel::cancel_make_directory))
        .routes(routes!(files::cancel::cancel_remove_entry))
        .routes(routes!(files::cancel::cancel_move_entry))
        .routes(routes!(files::cancel::cancel_copy_entry))
        .routes(routes!(files::cancel::cancel_change_mode))
        .routes(routes!(files::cancel::cancel_touch_entry))
        .routes(routes!(files::cancel::cancel_write_archive))
        .routes(routes!(files::cancel::cancel_make_mount))
        .routes(routes!(files::cancel::cancel_materialize_tree))
        // people
        .routes(routes!(vnc::watch_desktop))
}

/// Routes of chats and tokens.
fn chat_routes() -> RouteTable {
    RouteTable::default()
        .routes(routes!(chats::watch_chat_desktop))
        .routes(routes!(chats::stream_chat_desktop))
        .routes(routes!(chats::list_chats))
        .routes(routes!(
            chats::describe_chat,
            chats::change_chat,
            chats::delete_chat
        ))
        .routes(routes!(chats::archive_chat))
        .routes(routes!(tokens::list_tokens, tokens::make_token))
        .routes(routes!(tokens::revoke_token))
}

/// Routes of repositories.
fn git_routes() -> RouteTable {
    RouteTable::default()
        .routes(routes!(git::status::describe_repository))
        .routes(routes!(git::diff::read_diff))
        .routes(routes!(git::log::list_commits))
        .routes(routes!(git::show::show_commit))
        .routes(routes!(git::repos::list_repositories))
        .routes(routes!(git::watch::watch_repositories))
        .routes(routes!(git::watch::watch_chat_repositories))
        .routes(routes!(git::watch::stream_chat_repositories))
}

/// The Model Context Protocol.
fn mcp_routes() -> RouteTable {
    RouteTable::default().routes(routes!(
        mcp::http::post_message,
        mcp::http::open_stream,
        mcp::http::end_session
    ))
}

/// Routes that a tool call runs once.
fn run_once_routes() -> RouteTable {
    RouteTable::default()
        .routes(routes!(processes::start_process))
        .routes(routes!(processes::signal_process))
        .routes(routes!(files::write::write_file))
        .routes(routes!(files::edit::edit_files))
        .routes(routes!(files::change::make_directory))
        .routes(routes!(files::change::remove_entry))
        .routes(routes!(files::change::move_entry))
        .routes(routes!(files::change::copy_entry))
        .routes(routes!(files::change::change_mode))
        .routes(routes!(files::change::touch_entry))
        .routes(routes!(files::archive::write_archive))
        .routes(routes!(files::mounts::make_mount))
        .routes(routes!(files::mounts::remove_mount))
        .routes(routes!(files::materialize::materialize_tree))
}
