//! A call of a tool, and the requests that it makes to the routes within the process: by the same code, with the same
//! scopes and errors as from outside. Dropping a request ends the work that was done for it, as when a client goes away.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Body,
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

use super::{Settings, answer::Trouble, session::Session};
use crate::{
    api::{
        access_log::REQUEST_ID,
        identity::{Identity, Visitor, scope_required},
        scope,
        state::ApiState,
    },
    desktop::geometry::Size,
    proc::spec::Caller,
};

/// Longest answer of a route that is taken into memory.
const LARGEST: usize = 64 << 20;

/// Longest side of the pictures that models get, across and down.
const FRAME: Size = Size {
    width: 1280,
    height: 800,
};

/// The routes, for requests within the process. Whose they are says the [`Visitor`] in their extensions.
pub(super) fn inside(routes: Router<ApiState>, state: ApiState) -> Router {
    routes
        .fallback(crate::api::error::not_found)
        .layer(middleware::from_fn(check_scope))
        .with_state(state)
}

/// What the door asks of a token, asked again: a tool may name any route.
async fn check_scope(request: Request, next: Next) -> Response {
    let visitor = request.extensions().get::<Visitor>();
    let scopes = visitor.map(Visitor::scopes).unwrap_or_default();
    let route = request.extensions().get::<MatchedPath>();
    let need = scope::need(request.method(), route.map(MatchedPath::as_str));
    match scope::missing(need, scopes) {
        Some(missing) => scope_required(missing).into_response(),
        None => next.run(request).await,
    }
}

/// What a call is made with.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) api: ApiState,
    pub(super) settings: Settings,
    pub(super) inside: Router,
    /// Acts for the chat of the session.
    pub(super) visitor: Visitor,
    pub(super) session: Arc<Session>,
    /// Of the request that brought the call.
    pub(super) request_id: Option<HeaderValue>,
    /// Cancelled when the call is to stop.
    pub(super) cancelled: CancellationToken,
    /// What is under way, for whoever follows the progress.
    pub(super) doing: Arc<Mutex<String>>,
}

/// What a route answered.
#[derive(Debug)]
pub(super) struct Reply {
    /// Of the 200s.
    pub(super) status: StatusCode,
    /// Its headers.
    pub(super) headers: HeaderMap,
    /// The whole of it.
    pub(super) body: Bytes,
}

impl Reply {
    /// The body as JSON.
    pub(super) fn json(&self) -> Result<Value, Trouble> {
        serde_json::from_slice(&self.body)
            .map_err(|_| Trouble::new("internal_error", "The route answered no JSON."))
    }

    /// The body as text.
    pub(super) fn text(&self) -> String {
        crate::proc::excerpt::clean(&self.body)
    }

    /// A header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Call {
    /// One request. What is no success is a trouble with the route's code.
    pub(super) async fn send(&self, request: RequestOf) -> Result<Reply, Trouble> {
        let reply = self.ask(request).await?;
        if reply.status.is_success() {
            return Ok(reply);
        }
        Err(Trouble::of(reply.status, &reply.body))
    }

    /// One request, whatever is answered.
    pub(super) async fn ask(&self, request: RequestOf) -> Result<Reply, Trouble> {
        let mut request = request.0;
        request.extensions_mut().insert(self.visitor.clone());
        let headers = request.headers_mut();
        if let Some(id) = &self.request_id {
            headers.insert(REQUEST_ID, id.clone());
        }
        let answered = self.inside.clone().oneshot(request).await;
        let Ok(response) = answered;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, LARGEST).collect().await;
        let body = body.map_err(|_| {
            Trouble::new("answer_too_large", "The answer is larger than 64 MiB.")
                .or_else_call("Ask for less of it.")
        })?;
        Ok(Reply {
            status: parts.status,
            headers: parts.headers,
            body: body.to_bytes(),
        })
    }

    /// JSON for a GET.
    pub(super) async fn get(&self, query: Query) -> Result<Value, Trouble> {
        self.send(RequestOf::get(query)).await?.json()
    }

    /// JSON for JSON.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Trouble> {
        self.send(RequestOf::post(path, body)).await?.json()
    }

    /// Whose processes it may reach.
    pub(super) fn caller(&self) -> Caller {
        Identity::of(&self.visitor, &self.api).0
    }

    /// Says what is under way.
    pub(super) fn does(&self, what: impl Into<String>) {
        *self.doing.lock().expect("no panic while held") = what.into();
    }

    /// Remembers a process that it started.
    pub(super) fn has_started(&self, id: &str) {
        if let Ok(id) = Uuid::parse_str(id) {
            self.session.has_started(id);
        }
    }

    /// The size that pictures have and points are in: of the screen, no larger than 1280×800, in its proportions.
    pub(super) async fn frame(&self) -> Result<Size, Trouble> {
        let native = self.api.desktop().native_size().await;
        let native =
            native.map_err(|error| Trouble::from(crate::api::error::ApiError::from(error)))?;
        Ok(fitted(native))
    }
}

/// A size within the frame, in its own proportions.
pub(super) fn fitted(native: Size) -> Size {
    let Size { width, height } = native;
    if width <= FRAME.width && height <= FRAME.height {
        return native;
    }
    let scaled = |side: u32, of: u32, to: u32| {
        let scaled = (u64::from(side) * u64::from(to) + u64::from(of) / 2) / u64::from(of.max(1));
        u32::try_from(scaled).unwrap_or(u32::MAX).max(1)
    };
    let across = Size {
        width: FRAME.width,
        height: scaled(height, width, FRAME.width),
    };
    if across.height <= FRAME.height {
        return across;
    }
    Size {
        width: scaled(width, height, FRAME.height),
        height: FRAME.height,
    }
}

/// A route with the parameters that are given.
#[derive(Clone, Debug)]
pub(super) struct Query {
    path: String,
    given: bool,
}

impl Query {
    /// A route.
    pub(super) fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            given: false,
        }
    }

    /// With a parameter.
    pub(super) fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        let encoded: String =
            form_urlencoded::byte_serialize(value.to_string().as_bytes()).collect();
        self.path.push(if self.given { '&' } else { '?' });
        self.path.push_str(name);
        self.path.push('=');
        self.path.push_str(&encoded);
        self.given = true;
        self
    }

    /// With a parameter, if it is given.
    pub(super) fn maybe(self, name: &str, value: Option<impl std::fmt::Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The path with its query.
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

/// A request to a route.
#[derive(Debug)]
pub(super) struct RequestOf(Request);

impl RequestOf {
    /// Any.
    pub(super) fn new(method: Method, path: &str, kind: &str, body: impl Into<Body>) -> Self {
        let mut request = Request::new(body.into());
        *request.method_mut() = method;
        // What is no path leads to no route, which says so.
        *request.uri_mut() = path.parse().unwrap_or_default();
        let value = HeaderValue::from_str(kind).expect("a media type is ASCII");
        request.headers_mut().insert(header::CONTENT_TYPE, value);
        Self(request)
    }

    /// A GET.
    pub(super) fn get(query: Query) -> Self {
        let Query { path, .. } = query;
        Self::new(Method::GET, &path, "application/json", Body::empty())
    }

    /// A POST of JSON.
    pub(super) fn post(path: &str, body: &Value) -> Self {
        Self::new(Method::POST, path, "application/json", body.to_string())
    }

    /// With another header.
    pub(super) fn header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.0.headers_mut().insert(name, value);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_keeps_its_proportions_and_is_never_enlarged() {
        let size = |width, height| Size { width, height };
        assert_eq!(fitted(size(1920, 1080)), size(1280, 720));
        assert_eq!(fitted(size(1280, 800)), size(1280, 800));
        assert_eq!(fitted(size(800, 600)), size(800, 600));
        assert_eq!(fitted(size(1080, 1920)), size(450, 800));
        assert_eq!(fitted(size(7680, 320)), size(1280, 53));
    }

    #[test]
    fn parameters_are_encoded() {
        let query = Query::new("/a")
            .with("b", "c d&e")
            .maybe("f", None::<u8>)
            .with("g", 1);
        assert_eq!(query.path(), "/a?b=c+d%26e&g=1");
    }
}
