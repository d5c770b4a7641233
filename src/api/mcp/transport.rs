//! The protocol itself, by `rmcp`: messages, versions, event streams. The one module that knows the types of that crate.
//!
//! What it asks of us is in [`Mcp`]; whose request it is travels as an [`Origin`] in the extensions of the request.

use std::sync::{Arc, Weak};

use axum::{
    body::Body,
    http::{Request, Response, request::Parts},
};
use bytes::Bytes;
use http_body_util::Full;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
        InitializeResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
        PaginatedRequestParams, ProgressNotificationParam, ReadResourceRequestParams,
        ReadResourceResponse, ReadResourceResult, Resource, ResourceContents, ResourceTemplate,
        ResourceUpdatedNotificationParam, ServerCapabilities, ServerConfig, SubscribeRequestParams,
        SubscriptionFilter, Tool, UnsubscribeRequestParams,
    },
    service::{RequestContext, SubscriptionContext},
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService,
        session::{SessionManager, local::LocalSessionManager},
    },
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    Inner, Mcp, Origin,
    answer::{Answer, Part, Trouble},
    resources::{Content, TEMPLATES},
};

/// What the model is told of the whole.
const INSTRUCTIONS: &str = "A computer: a desktop (computer, screenshot, windows, launch, clipboard), commands (execute and \
    process_*), files and repositories. Paths are absolute. What a tool refuses says which call to make next.";

/// The messages of all clients.
pub(super) struct Transport {
    service: StreamableHttpService<Handler, LocalSessionManager>,
    sessions: Arc<LocalSessionManager>,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transport")
    }
}

impl Transport {
    /// A transport for these tools; `stop` ends all of it.
    pub(super) fn new(mcp: Weak<Inner>, stop: CancellationToken, longest_body: usize) -> Self {
        let mut sessions = LocalSessionManager::default();
        // Sessions end by our own table: here a long call would count as idle.
        sessions.session_config.keep_alive = None;
        sessions.session_config.sse_retry = Some(super::COME_BACK);
        let sessions = Arc::new(sessions);
        // Host and Origin were looked at by the door, by rules that the operator sets.
        let config = StreamableHttpServerConfig::default()
            .disable_allowed_hosts()
            .disable_allowed_origins()
            .with_cancellation_token(stop)
            .with_sse_retry(Some(super::COME_BACK))
            .with_max_request_body_bytes(longest_body);
        let make = move || {
            let mcp = mcp.upgrade().map(Mcp);
            mcp.map(|mcp| Handler { mcp })
                .ok_or_else(|| std::io::Error::other("the daemon stops"))
        };
        Self {
            service: StreamableHttpService::new(make, Arc::clone(&sessions), config),
            sessions,
        }
    }

    /// Answers one request.
    pub(super) async fn handle(&self, request: Request<Full<Bytes>>) -> Response<Body> {
        self.service.handle(request).await.map(Body::new)
    }

    /// Whether it still has a session.
    pub(super) async fn has(&self, id: &str) -> bool {
        let id: Arc<str> = id.into();
        self.sessions.has_session(&id).await.unwrap_or(false)
    }

    /// Ends a session.
    pub(super) async fn close(&self, id: &str) {
        let id: Arc<str> = id.into();
        let _ = self.sessions.close_session(&id).await;
    }
}

/// What is done for the messages of one session, or of one request without a session.
#[derive(Debug)]
struct Handler {
    mcp: Mcp,
}

type Context = RequestContext<RoleServer>;

/// Whose request it is: the door has let nobody in without it.
fn origin(context: &Context) -> Result<Origin, ErrorData> {
    let parts = context.extensions.get::<Parts>();
    let origin = parts.and_then(|parts| parts.extensions.get::<Origin>());
    origin
        .cloned()
        .ok_or_else(|| ErrorData::internal_error("The request came by no door.", None))
}

fn refused(trouble: &Trouble, uri: &str) -> ErrorData {
    let data = Some(json!({"uri": uri, "code": trouble.code}));
    let next = trouble.next.as_deref().unwrap_or_default();
    let message = format!("{} {next}", trouble.message).trim_end().to_owned();
    match trouble.code.as_str() {
        "resource_not_found" | "not_found" | "process_not_found" => {
            ErrorData::resource_not_found(message, data)
        }
        "internal_error" => ErrorData::internal_error(message, data),
        _ => ErrorData::invalid_params(message, data),
    }
}

fn result(answer: Answer) -> CallToolResult {
    let parts = answer.parts.into_iter().map(|part| match part {
        Part::Text(text) => ContentBlock::text(text),
        Part::Image { data, media_type } => ContentBlock::image(data, media_type),
    });
    let mut result = CallToolResult::success(parts.collect());
    result.is_error = Some(answer.failed);
    result.structured_content = answer.structured;
    result
}

/// Tells the client how far a call is, once a second, if it asked for it.
async fn report(context: &Context, doing: impl Fn() -> String) {
    let Some(token) = context.meta.get_progress_token() else {
        return std::future::pending().await;
    };
    let mut seconds = 0.0;
    loop {
        tokio::time::sleep(super::PROGRESS).await;
        seconds += super::PROGRESS.as_secs_f64();
        let mut progress = ProgressNotificationParam::new(token.clone(), seconds);
        progress.message = Some(doing());
        // A client that does not listen is noticed by its request, not by this.
        let _ = context.peer.notify_progress(progress).await;
    }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_resources_subscribe()
            .build();
        let mut info = InitializeResult::new(capabilities);
        info.server_info = Implementation::new("deskd", env!("CARGO_PKG_VERSION"));
        info.server_info.title = Some("deskd".to_owned());
        info.instructions = Some(INSTRUCTIONS.to_owned());
        info
    }

    /// There are no messages of a log to be told, of whatever level.
    #[expect(
        deprecated,
        reason = "clients of the versions before 2026-07-28 ask for it"
    )]
    async fn set_level(
        &self,
        _wished: rmcp::model::SetLevelRequestParams,
        _context: Context,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListToolsResult, ErrorData> {
        let told = self.mcp.list_tools(&origin(&context)?).await;
        let tools = told
            .into_iter()
            .filter_map(|tool| serde_json::from_value::<Tool>(Value::Object(tool)).ok());
        Ok(ListToolsResult::with_all_items(tools.collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: Context,
    ) -> Result<CallToolResponse, ErrorData> {
        let id = serde_json::to_string(&context.id).unwrap_or_default();
        let arguments = request.arguments.unwrap_or_default();
        let call = self
            .mcp
            .begin(&origin(&context)?, id, &request.name)
            .map_err(|trouble| ErrorData::invalid_params(trouble.message, None))?;
        let cancelled = call.cancelled().clone();
        let doing = call.doing();
        let work = call.run(arguments);
        let answer = tokio::select! {
            biased;
            answer = work => answer,
            () = forward(&context.ct, &cancelled) => unreachable_answer(),
            () = report(&context, doing) => unreachable_answer(),
        };
        Ok(result(answer).into())
    }

    async fn list_resources(
        &self,
        _page: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        let listed = self.mcp.list_resources(&origin(&context)?).await;
        let listed = listed.map_err(|trouble| refused(&trouble, ""))?;
        let all = listed.into_iter().map(|resource| {
            Resource::new(resource.uri, resource.name)
                .with_description(resource.description)
                .with_mime_type(resource.media_type)
        });
        Ok(ListResourcesResult::with_all_items(all.collect()))
    }

    async fn list_resource_templates(
        &self,
        _page: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let origin = origin(&context)?;
        let allowed = TEMPLATES
            .iter()
            .filter(|(.., scope)| origin.visitor.may(*scope));
        let all = allowed.map(|(uri, name, description, _)| {
            ResourceTemplate::new(*uri, *name).with_description(*description)
        });
        Ok(ListResourceTemplatesResult::with_all_items(all.collect()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let (uri, origin) = (request.uri, origin(&context)?);
        let content = tokio::select! {
            biased;
            () = context.ct.cancelled() => return Err(ErrorData::internal_error("The request was cancelled.", None)),
            content = self.mcp.read_resource(&origin, &uri) => content,
        };
        let contents = match content.map_err(|trouble| refused(&trouble, &uri))? {
            Content::Text(text, kind) => ResourceContents::text(text, uri).with_mime_type(kind),
            Content::Bytes(data, kind) => ResourceContents::blob(data, uri).with_mime_type(kind),
        };
        Ok(ReadResourceResult::new(vec![contents]).into())
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: Context,
    ) -> Result<(), ErrorData> {
        let (peer, uri) = (context.peer.clone(), request.uri);
        let tell = {
            let uri = uri.clone();
            move || {
                let (peer, uri) = (peer.clone(), uri.clone());
                async move {
                    let told = ResourceUpdatedNotificationParam::new(uri);
                    peer.notify_resource_updated(told).await.is_ok()
                }
            }
        };
        let subscribed = self.mcp.subscribe(&origin(&context)?, &uri, tell);
        subscribed.map_err(|trouble| refused(&trouble, &uri))
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        context: Context,
    ) -> Result<(), ErrorData> {
        origin(&context)?.session.unsubscribe(&request.uri);
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let origin = origin(context.request_context())?;
        let uris = context.accepted().resource_subscriptions.clone();
        for uri in uris.into_iter().flatten() {
            let tell = {
                let (sink, uri) = (context.sink().clone(), uri.clone());
                move || {
                    let (sink, uri) = (sink.clone(), uri.clone());
                    async move { sink.notify_resource_updated(uri).await.is_ok() }
                }
            };
            let subscribed = self.mcp.subscribe(&origin, &uri, tell);
            subscribed.map_err(|trouble| refused(&trouble, &uri))?;
        }
        tokio::select! {
            () = context.cancelled() => {}
            () = origin.session.ended().cancelled() => {}
        }
        origin.session.end();
        Ok(())
    }
}

/// Hands a cancellation on, and then lets the call come to its end.
async fn forward(from: &CancellationToken, to: &CancellationToken) {
    from.cancelled().await;
    to.cancel();
    std::future::pending::<()>().await;
}

/// For branches that never come to an end.
fn unreachable_answer() -> Answer {
    Answer::default()
}
