//! Requests at `/mcp`: from the door to the transport and back. Who goes away before the answer is noticed here.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    LARGEST, Mcp,
    session::{Presence, Session},
};
use crate::{
    api::{
        error::{ApiError, ErrorBody},
        extract::read_body,
        identity::Visitor,
    },
    chat::Stay,
};

/// Time for a client whose stream broke off to take it up again; then its call is cancelled.
const GRACE: Duration = Duration::from_secs(5);
const SESSION: &str = "mcp-session-id";
const CHAT: &str = "coder-chat-id";

impl Mcp {
    /// Answers a request that has a session, or opens one.
    async fn serve(
        &self,
        visitor: &Visitor,
        mut parts: Parts,
        body: Bytes,
    ) -> Result<Response, ApiError> {
        let peeked = Peeked::of(&body);
        let opens = peeked.method.as_deref() == Some("initialize");
        let known = session_id(&parts);
        let session = match &known {
            Some(id) => self.0.sessions.find(id, visitor)?,
            None => self.open(visitor, opens).await?,
        };
        let origin = self.origin(visitor, &session, &parts)?;
        parts.extensions.insert(origin);
        let resumes = parts.headers.contains_key("last-event-id");
        let kind = parts.headers.get(header::CONTENT_TYPE);
        let is_json = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        let exchange = Exchange {
            mcp: self.clone(),
            presence: session.enter(resumes),
            session: Arc::clone(&session),
            call: known.as_ref().and(peeked.call()),
        };
        let request = axum::http::Request::from_parts(parts, Full::new(body));
        if opens && known.is_none() {
            return self.welcome(session, request, exchange).await;
        }
        let mut response = self.transport().handle(request).await;
        if is_json && response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            *response.status_mut() = StatusCode::BAD_REQUEST; // its kind was right, but it is no message
        }
        Ok(exchange.follow(response, None))
    }

    /// A session for who has none: of a client that begins one, or for this request alone.
    async fn open(&self, visitor: &Visitor, opens: bool) -> Result<Arc<Session>, ApiError> {
        let made = opens.then(Uuid::now_v7);
        if opens && let Some(oldest) = self.0.sessions.make_room()? {
            self.end(&oldest).await;
        }
        let over = self.0.api.shutdown().token().child_token();
        let session = Session::new(visitor, visitor.chat().or(made), over);
        Ok(Arc::new(session))
    }

    /// Begins a session. Done to the end whether the client waits or not, so that no session is without an owner.
    async fn welcome(
        &self,
        session: Arc<Session>,
        request: axum::http::Request<Full<Bytes>>,
        exchange: Exchange,
    ) -> Result<Response, ApiError> {
        let mcp = self.clone();
        let begun = self.0.api.shutdown().spawn(async move {
            let mut response = mcp.transport().handle(request).await;
            let id = response.headers().get(SESSION);
            if let Some(id) = id.and_then(|id| id.to_str().ok()) {
                mcp.0.sessions.insert(id.to_owned(), Arc::clone(&session));
                if let Some(chat) = session.chat() {
                    let value = HeaderValue::from_str(&chat.to_string());
                    let value = value.expect("a UUID is ASCII");
                    response.headers_mut().insert(CHAT, value);
                }
            }
            response
        });
        let response = begun.await.map_err(|error| ApiError::internal(&error))?;
        Ok(exchange.follow(response, None))
    }
}

fn session_id(parts: &Parts) -> Option<String> {
    let id = parts.headers.get(SESSION)?.to_str().ok()?;
    Some(id.to_owned())
}

/// What has to be known of a message before it is read.
#[derive(Debug, Default, Deserialize)]
struct Peeked {
    method: Option<String>,
    id: Option<Value>,
}

impl Peeked {
    /// Nothing of what is no message: that is refused where messages are read.
    fn of(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// The id of a call of a tool, as it is written.
    fn call(&self) -> Option<String> {
        let calls = self.method.as_deref() == Some("tools/call");
        self.id.as_ref().filter(|_| calls).map(Value::to_string)
    }
}

/// A request of a session, until its answer was taken.
struct Exchange {
    mcp: Mcp,
    #[expect(dead_code, reason = "the session is in use while it is there")]
    presence: Presence,
    session: Arc<Session>,
    /// The call that goes with it.
    call: Option<String>,
}

impl Drop for Exchange {
    /// The client has gone before the answer. It may come back for it; if not, nobody wants it.
    fn drop(&mut self) {
        let Some(id) = self.call.take() else { return };
        let session = Arc::clone(&self.session);
        self.mcp.0.api.shutdown().spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    () = session.ended().cancelled() => return,
                    () = tokio::time::sleep(GRACE) => {}
                }
                if !session.runs(&id) {
                    return;
                }
                if !session.is_resumed() {
                    return session.cancel(&id);
                }
            }
        });
    }
}

impl Exchange {
    /// The answer, whose end ends the exchange. What is no message of the protocol gets our own form of errors.
    fn follow(mut self, response: Response, stay: Option<Stay>) -> Response {
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("text/event-stream") {
            self.call = None;
            let ours = kind.starts_with("application/json") || response.status().is_success();
            return if ours { response } else { restated(&response) };
        }
        let (parts, body) = response.into_parts();
        let stream = futures_util::stream::unfold(
            (body, self, stay),
            async |(mut body, mut exchange, stay)| {
                let shutdown = exchange.mcp.0.api.shutdown().clone();
                let frame = tokio::select! {
                    biased;
                    () = shutdown.stopped() => None,
                    () = over(stay.as_ref()) => None,
                    frame = body.frame() => frame,
                };
                let Some(Ok(frame)) = frame else {
                    exchange.call = None;
                    return None;
                };
                let bytes = frame.into_data().unwrap_or_default();
                Some((
                    Ok::<_, std::convert::Infallible>(bytes),
                    (body, exchange, stay),
                ))
            },
        );
        Response::from_parts(parts, Body::from_stream(stream))
    }
}

async fn over(stay: Option<&Stay>) {
    match stay {
        Some(stay) => drop(stay.over().await),
        None => std::future::pending().await,
    }
}

/// A refusal of the transport, in the form that all refusals have here.
fn restated(response: &Response) -> Response {
    let status = response.status();
    let (code, message) = match status {
        StatusCode::NOT_FOUND => ("session_not_found", "There is no such session, or no more."),
        StatusCode::NOT_ACCEPTABLE => (
            "not_acceptable",
            "Accept must name application/json and text/event-stream; of a GET the latter.",
        ),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => (
            "unsupported_media_type",
            "The body must be one message of JSON-RPC, as application/json.",
        ),
        StatusCode::METHOD_NOT_ALLOWED => (
            "method_not_allowed",
            "The protocol has no such request here.",
        ),
        status if status.is_server_error() => (
            "internal_error",
            "Something failed inside deskd; its log has the cause beside the request id.",
        ),
        _ => (
            "invalid_request",
            "The request is none of the protocol: send initialize first, then its Mcp-Session-Id with every request.",
        ),
    };
    ApiError::new(status, code, message).into_response()
}

/// One message of a client: a request is answered by an event stream (or JSON), anything else by 202.
#[utoipa::path(post, path = "/mcp", tag = "mcp", request_body = Value,
    params(("Mcp-Session-Id" = Option<String>, Header, description = "The session, as the answer to `initialize` named it"),
           ("Coder-Chat-Id" = Option<String>, Header, description = "The chat of the session; made when there is none")),
    responses((status = 200, description = "The messages that answer it", content((String = "text/event-stream"), (Value = "application/json"))),
              (status = 202, description = "It was taken"),
              (status = 400, description = "`invalid_request`; or an error of JSON-RPC", body = Value),
              (status = 403, description = "`chat_not_allowed`: the session is of another chat", body = ErrorBody),
              (status = 404, description = "`session_not_found`; or an error of JSON-RPC", body = Value),
              (status = 406, description = "`not_acceptable`", body = ErrorBody),
              (status = 413, description = "`body_too_large`: over 16 MiB", body = ErrorBody),
              (status = 415, description = "`unsupported_media_type`", body = ErrorBody),
              (status = 422, description = "`invalid_request`: no message", body = ErrorBody),
              (status = 429, description = "`too_many_sessions`", body = ErrorBody)))]
pub async fn post_message(
    Extension(mcp): Extension<Mcp>,
    visitor: Visitor,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let body = read_body(body, LARGEST).await?;
    mcp.serve(&visitor, parts, body).await
}

/// What the daemon tells a session by itself: changes of resources. Ends with the session, its chat and the token.
#[utoipa::path(get, path = "/mcp", tag = "mcp",
    params(("Mcp-Session-Id" = Option<String>, Header, description = "The session"),
           ("Last-Event-ID" = Option<String>, Header, description = "Goes on after this event of a stream that broke off")),
    responses((status = 200, description = "Messages", body = String, content_type = "text/event-stream"),
              (status = 400, description = "`invalid_request`: no session", body = ErrorBody),
              (status = 403, description = "`chat_not_allowed`", body = ErrorBody),
              (status = 404, description = "`session_not_found`", body = ErrorBody),
              (status = 405, description = "`method_not_allowed`: the client's version has no such stream", body = ErrorBody),
              (status = 406, description = "`not_acceptable`", body = ErrorBody)))]
pub async fn open_stream(
    Extension(mcp): Extension<Mcp>,
    visitor: Visitor,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let Some(id) = session_id(&parts) else {
        return Err(no_session());
    };
    let session = mcp.0.sessions.find(&id, &visitor)?;
    let origin = mcp.origin(&visitor, &session, &parts)?;
    let resumes = parts.headers.contains_key("last-event-id");
    let exchange = Exchange {
        mcp: mcp.clone(),
        presence: session.enter(resumes),
        call: None,
        session,
    };
    let stay = origin.visitor.stay(&mcp.0.api)?;
    let request = axum::http::Request::from_parts(parts, Full::default());
    let response = mcp.transport().handle(request).await;
    Ok(exchange.follow(response, Some(stay)))
}

/// Ends a session and the calls that run in it.
#[utoipa::path(delete, path = "/mcp", tag = "mcp",
    params(("Mcp-Session-Id" = Option<String>, Header, description = "The session")),
    responses((status = 204, description = "It has ended"),
              (status = 400, description = "`invalid_request`: no session", body = ErrorBody),
              (status = 403, description = "`chat_not_allowed`", body = ErrorBody),
              (status = 404, description = "`session_not_found`", body = ErrorBody)))]
pub async fn end_session(
    Extension(mcp): Extension<Mcp>,
    visitor: Visitor,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let id = session_id(&parts).ok_or_else(no_session)?;
    mcp.0.sessions.find(&id, &visitor)?;
    mcp.end(&id).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn no_session() -> ApiError {
    ApiError::bad_request("invalid_request", "The header Mcp-Session-Id is missing.")
}
