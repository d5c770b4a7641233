//! Resources: the screen, outputs of processes, files within the mounts; and what tells that one has changed.

use std::time::Duration;

use axum::http::{HeaderValue, header};
use base64::{Engine, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;
use uuid::Uuid;

use super::{
    answer::Trouble,
    call::{Call, Query, RequestOf},
    tools,
};
use crate::chat::scope::Scope;

/// The screen.
pub(super) const SCREEN: &str = "deskd://desktop/screenshot";
/// Outputs: this, an id, and [`OUTPUT_END`].
const OUTPUT: &str = "deskd://process/";
const OUTPUT_END: &str = "/output";
/// Templates of what is not listed one by one.
pub(super) const TEMPLATES: [(&str, &str, &str, Scope); 2] = [
    (
        "deskd://process/{id}/output",
        "process-output",
        "What a process printed: head and tail",
        Scope::Process,
    ),
    (
        "file:///{path}",
        "file",
        "A file within the mounts, up to 512 KiB",
        Scope::FilesRead,
    ),
];
/// Processes that are listed.
const LISTED: u64 = 50;
/// Bytes of a file at most.
const LARGEST: u64 = 512 << 10;
/// Time between two looks at the screen, and between two notices of an output.
const PAUSE: Duration = Duration::from_millis(500);

/// What a resource is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Screen,
    Output(Uuid),
    File(Vec<u8>),
}

/// A resource that there is.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) uri: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) media_type: &'static str,
}

/// What a resource has.
#[derive(Debug)]
pub(super) enum Content {
    /// A text and its media type.
    Text(String, String),
    /// Bytes in base64 and their media type.
    Bytes(String, String),
}

fn kind(uri: &str) -> Result<Kind, Trouble> {
    let unknown = || Trouble::new("resource_not_found", format!("There is no resource {uri}."));
    if uri == SCREEN {
        return Ok(Kind::Screen);
    }
    if let Some(rest) = uri.strip_prefix(OUTPUT) {
        let id = rest.strip_suffix(OUTPUT_END).ok_or_else(unknown)?;
        return Uuid::parse_str(id).map(Kind::Output).map_err(|_| unknown());
    }
    let path = uri
        .strip_prefix("file://localhost")
        .or_else(|| uri.strip_prefix("file://"));
    let path = path.filter(|path| path.starts_with('/'));
    let path = path.ok_or_else(unknown)?;
    Ok(Kind::File(percent_decode_str(path).collect()))
}

/// What there is that can be listed: the screen, and the processes.
pub(super) async fn list(call: &Call) -> Result<Vec<Listed>, Trouble> {
    let mut all = Vec::new();
    if call.visitor.may(Scope::DesktopView) && !call.api.desktop().is_disabled() {
        all.push(Listed {
            uri: SCREEN.to_owned(),
            name: "screenshot".to_owned(),
            description: "The desktop as it is".to_owned(),
            media_type: "image/png",
        });
    }
    if call.visitor.may(Scope::Process) {
        let query = Query::new("/api/v0/processes/list").with("limit", LISTED);
        let found = call.get(query).await?;
        for process in found["processes"].as_array().into_iter().flatten() {
            let text = |name: &str| process[name].as_str().unwrap_or_default();
            all.push(Listed {
                uri: format!("{OUTPUT}{}{OUTPUT_END}", text("id")),
                name: format!("output of {}", text("id")),
                description: text("command").chars().take(200).collect(),
                media_type: "text/plain",
            });
        }
    }
    Ok(all)
}

/// What a resource has.
pub(super) async fn read(call: &Call, uri: &str) -> Result<Content, Trouble> {
    match kind(uri)? {
        Kind::Screen => {
            let (data, media_type) = tools::look(call).await?;
            Ok(Content::Bytes(data, media_type))
        }
        Kind::Output(id) => {
            let found = call
                .get(Query::new(format!("/api/v0/processes/{id}/output")))
                .await?;
            let text = found["output"].as_str().unwrap_or_default().to_owned();
            Ok(Content::Text(text, "text/plain".to_owned()))
        }
        Kind::File(path) => file(call, &path).await,
    }
}

async fn file(call: &Call, path: &[u8]) -> Result<Content, Trouble> {
    let encoded: String = form_urlencoded::byte_serialize(path).collect();
    let path = format!("/api/v0/read-file?path={encoded}&limit={}", LARGEST + 1);
    let reply = call.send(RequestOf::get(Query::new(path))).await?;
    if reply.body.len() as u64 > LARGEST {
        let message = "The file has more than 512 KiB.";
        return Err(Trouble::new("resource_too_large", message)
            .or_else_call("Call read_file page by page."));
    }
    let media_type = reply
        .header("content-type")
        .unwrap_or("application/octet-stream");
    let media_type = media_type.to_owned();
    match std::str::from_utf8(&reply.body) {
        Ok(text) if !text.contains('\0') => Ok(Content::Text(text.to_owned(), media_type)),
        _ => Ok(Content::Bytes(STANDARD.encode(&reply.body), media_type)),
    }
}

/// Something whose changes can be waited for.
#[derive(Debug)]
pub(super) struct Watched {
    call: Call,
    kind: Watch,
}

#[derive(Debug)]
enum Watch {
    /// The tag of the screen as it was last.
    Screen(Option<HeaderValue>),
    Output(tokio::sync::watch::Receiver<crate::proc::record::Status>),
}

impl Watched {
    /// The screen or an output; a file cannot be followed.
    pub(super) fn new(call: Call, uri: &str) -> Result<Self, Trouble> {
        let kind = match kind(uri)? {
            Kind::Screen => {
                call.visitor.require(Scope::DesktopView)?;
                Watch::Screen(None)
            }
            Kind::Output(id) => {
                call.visitor.require(Scope::Process)?;
                let entry = call.api.processes().find(&call.caller(), id);
                let unknown =
                    || Trouble::new("resource_not_found", format!("There is no resource {uri}."));
                Watch::Output(entry.ok_or_else(unknown)?.subscribe())
            }
            Kind::File(_) => {
                let message = "Files cannot be subscribed to; the screen and outputs can.";
                return Err(Trouble::new("not_supported", message));
            }
        };
        Ok(Self { call, kind })
    }

    /// Waits for a change, and no less than half a second. False when there will be none any more.
    pub(super) async fn changed(&mut self) -> bool {
        tokio::time::sleep(PAUSE).await;
        match &mut self.kind {
            Watch::Output(status) => status.changed().await.is_ok(),
            Watch::Screen(last) => loop {
                if let Some(tag) = tag(&self.call, last.as_ref()).await {
                    let first = last.replace(tag).is_none();
                    if !first {
                        return true;
                    }
                }
                tokio::time::sleep(PAUSE).await;
            },
        }
    }
}

/// The tag of the screen when it is not `last`. A desktop that does not run is not started for it.
async fn tag(call: &Call, last: Option<&HeaderValue>) -> Option<HeaderValue> {
    call.api.desktop().running_now()?;
    let query = Query::new("/api/v0/desktop/screenshot")
        .with("width", 16)
        .with("format", "jpeg");
    let mut request = RequestOf::get(query);
    if let Some(last) = last {
        request = request.header(header::IF_NONE_MATCH, last.clone());
    }
    let reply = call.ask(request).await.ok()?;
    let tag = reply.headers.get(header::ETAG).cloned();
    tag.filter(|_| reply.status.is_success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_to_kinds() {
        let id = Uuid::from_u128(7);
        assert_eq!(kind(SCREEN), Ok(Kind::Screen));
        assert_eq!(
            kind(&format!("deskd://process/{id}/output")),
            Ok(Kind::Output(id))
        );
        assert_eq!(kind("file:///a%20b"), Ok(Kind::File(b"/a b".to_vec())));
        assert_eq!(kind("file://localhost/a"), Ok(Kind::File(b"/a".to_vec())));
        for uri in [
            "",
            "file://host/a",
            "deskd://process/x/output",
            "http://a",
            "deskd://desktop",
        ] {
            assert!(kind(uri).is_err(), "{uri}");
        }
    }
}
