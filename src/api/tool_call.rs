//! Tool calls over HTTP: the headers, the layer that has a route run once, and the cancellation beside it.
//!
//! A route that writes stands below [`run_once`] in the route table; its handler knows nothing of it. The cancellation of
//! such a route is a handler that takes [`Cancel`].

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Json,
    body::{Body, HttpBody},
    extract::{FromRequestParts, Path, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use uuid::Uuid;

use super::{
    access_log, error::ApiError, extract, identity::Identity, state::ApiState,
    types::tool_calls::CancelAnswer,
};
use crate::{
    proc::spec::Caller,
    toolcall::{
        Begun, BodyDigest, Call, Cancellation, Digest, Intake, Key, Known, Ongoing, Outcome,
        Recorded, Refusal, RepeatError, Run, digest,
    },
};

const MESSAGE: HeaderName = HeaderName::from_static("coder-tool-call-message-id");
const ID: HeaderName = HeaderName::from_static("coder-tool-call-id");
const AGE: HeaderName = HeaderName::from_static("coder-tool-call-age-ms");
/// Milliseconds since the call was first run; 0 when it was not.
const RUN_AGE: HeaderName = HeaderName::from_static("coder-tool-call-run-age-ms");

/// Headers that change what a request does, besides its route, query and body.
const CONDITIONS: [HeaderName; 5] = [
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
];

/// Longest age: what fits a signed count of nanoseconds in 64 bits.
const OLDEST_MS: u64 = i64::MAX as u64 / 1_000_000;

/// Time without a byte after which the body of a repeat is given up. There is none for the whole: it may be as large as
/// the first was.
const IDLE: Duration = Duration::from_secs(20);

/// Layer of the routes that write. A request with the headers of a tool call runs once: it is refused, or gets the answer
/// that the call has, or runs in a task of its own and is recorded. It then runs to its end, also when its client goes
/// away. Requests without the headers, and those that only read, pass.
pub async fn run_once(
    State(api): State<ApiState>,
    Identity(caller): Identity,
    mut request: Request,
    next: Next,
) -> Response {
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    if reads {
        return next.run(request).await;
    }
    let call = match read_headers(request.headers(), &caller) {
        Ok(None) => return next.run(request).await,
        Ok(Some(call)) => call,
        Err(error) => return refuse(error, &mut request).await,
    };
    let head = head_of(&request);
    match api.tool_calls().begin(&call, head) {
        Begun::Run(run) => run_first(&api, run, request, next).await,
        Begun::Known(known) => {
            let answer = answer_again(&api, &known, head, request.into_body()).await;
            aged(answer.into_response(), known.age())
        }
        Begun::Refused(refusal) => refuse(refusal.into(), &mut request).await,
    }
}

/// Answers at once; a body that is on its way is thrown away, one that waits for a word is not asked for.
async fn refuse(error: ApiError, request: &mut Request) -> Response {
    if !request.headers().contains_key(header::EXPECT) {
        extract::discard(request.body_mut()).await;
    }
    aged(error.into_response(), Duration::ZERO)
}

fn aged(mut response: Response, age: Duration) -> Response {
    let age = HeaderValue::from(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    response.headers_mut().insert(RUN_AGE, age);
    response
}

async fn run_first(api: &ApiState, run: Run, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(run.ongoing());
    let intake = run.intake();
    let request = request.map(|body| Body::new(Watched::new(body, intake)));
    let task = api.shutdown().spawn(async move {
        let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
        let response = answered.unwrap_or_else(|_| access_log::panicked());
        let (parts, body) = response.into_parts();
        // The bodies of these routes are made in one piece, so there is nothing to break off.
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        let body = body.unwrap_or_default();
        let content_type = parts.headers.get(header::CONTENT_TYPE);
        let recorded = Recorded {
            status: parts.status.as_u16(),
            content_type: content_type.and_then(|value| value.to_str().ok().map(str::to_owned)),
            body: Bytes::copy_from_slice(&body), // not the spare room behind it
        };
        let age = run.age();
        // A request whose body did not come has not come, and may be sent again.
        let cut = run.broke() || parts.status == StatusCode::REQUEST_TIMEOUT;
        if cut && parts.status.is_client_error() {
            run.release();
        } else {
            run.finish(recorded);
        }
        aged(Response::from_parts(parts, body.into()), age)
    });
    task.await.unwrap_or_else(|_| access_log::panicked())
}

/// The recorded answer, when the body is the same; it is read to its end and not kept.
async fn answer_again(
    api: &ApiState,
    known: &Known,
    head: Digest,
    body: Body,
) -> Result<Response, ApiError> {
    let body = digest_of(body).await?;
    tokio::select! {
        biased;
        answer = known.answer(head, body) => Ok(replay(&*answer?)),
        () = api.shutdown().stopped() => Err(stopping()),
    }
}

async fn digest_of(mut body: Body) -> Result<Digest, ApiError> {
    let mut digest = BodyDigest::default();
    loop {
        let frame = tokio::time::timeout(IDLE, body.frame()).await;
        let frame = frame.map_err(|_| {
            ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                "body_timeout",
                format!("No byte of the body came for {} s.", IDLE.as_secs()),
            )
        })?;
        match frame {
            None => return Ok(digest.end()),
            Some(Ok(frame)) => digest.update(frame.data_ref().map_or(&[], |data| data)),
            Some(Err(error)) => {
                let message = "The body could not be read to its end.";
                let error = error.to_string();
                return Err(ApiError::bad_request("body_incomplete", message).with_detail(error));
            }
        }
    }
}

fn replay(recorded: &Recorded) -> Response {
    let mut response = recorded.body.clone().into_response();
    *response.status_mut() = StatusCode::from_u16(recorded.status).expect("it was a status");
    response.headers_mut().remove(header::CONTENT_TYPE);
    if let Some(kind) = &recorded.content_type {
        let kind = HeaderValue::from_str(kind).expect("it was a header");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}

fn stopping() -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "shutting_down",
        "Deskd is stopping.",
    )
}

/// What makes the input besides the body.
fn head_of(request: &Request) -> Digest {
    let uri = request.uri();
    let mut parts: Vec<&[u8]> = vec![
        request.method().as_str().as_bytes(),
        uri.path().as_bytes(),
        uri.query().unwrap_or_default().as_bytes(),
    ];
    for name in &CONDITIONS {
        for value in request.headers().get_all(name) {
            parts.extend([name.as_str().as_bytes(), value.as_bytes()]);
        }
    }
    digest(&parts)
}

/// The call of a request, if it is of one. All three headers or none, each once, and a chat.
fn read_headers(headers: &HeaderMap, caller: &Caller) -> Result<Option<Call>, ApiError> {
    let mut values: [&[u8]; 3] = [&[]; 3];
    let mut missing = Vec::new();
    for (name, value) in [MESSAGE, ID, AGE].iter().zip(&mut values) {
        let mut all = headers.get_all(name).iter();
        match (all.next(), all.next()) {
            (None, _) => missing.push(name.clone()),
            (Some(one), None) => *value = one.as_bytes(),
            (Some(_), Some(_)) => return Err(bad_header(name, "it was sent more than once")),
        }
    }
    match missing.as_slice() {
        [_, _, _] => return Ok(None),
        [] => {}
        [name, ..] => return Err(bad_header(name, "it is missing beside the others")),
    }
    let [message, id, age] = values;
    let message = number(message).filter(|message| *message > 0);
    let message = message.ok_or_else(|| bad_header(&MESSAGE, "not a decimal number above 0"))?;
    let id = decoded(id).filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| bad_header(&ID, "empty, or not percent-encoded"))?;
    let age = number(age).filter(|age| *age <= OLDEST_MS);
    let age = age.ok_or_else(|| bad_header(&AGE, "not a decimal number of milliseconds"))?;
    let chat = caller.chat.ok_or_else(|| {
        let name = HeaderName::from_static("coder-chat-id");
        bad_header(&name, "a tool call needs a chat")
    })?;
    let id = id.into();
    Ok(Some(Call {
        key: Key { chat, message, id },
        age: Duration::from_millis(age),
    }))
}

fn bad_header(name: &HeaderName, detail: &str) -> ApiError {
    let message = "The headers of the tool call are not as they should be.";
    ApiError::invalid_field(message, name.as_str(), detail).with_code("invalid_field")
}

fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).ok().filter(|_| digits)?;
    text.parse().ok()
}

/// What a percent-encoded segment of a path stands for (RFC 3986, section 2.1).
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let (mut rest, mut bytes) = (text, Vec::with_capacity(text.len()));
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digit = |digit: u8| {
            char::from(digit)
                .to_digit(16)
                .and_then(|d| u8::try_from(d).ok())
        };
        bytes.push(digit(digits[0])? << 4 | digit(digits[1])?);
        rest = after;
    }
    Some(bytes)
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let (status, code) = match refusal {
            Refusal::Stale => (StatusCode::CONFLICT, "stale_tool_call"),
            Refusal::Cancelled => (StatusCode::CONFLICT, "tool_call_canceled"),
            Refusal::Restarted => (StatusCode::CONFLICT, "agent_started_after_tool_call"),
            Refusal::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        };
        Self::new(status, code, super::error::sentence(&refusal))
    }
}

impl From<RepeatError> for ApiError {
    fn from(error: RepeatError) -> Self {
        let (status, code) = match error {
            RepeatError::OtherInput => (StatusCode::CONFLICT, "input_mismatch"),
            RepeatError::Died => (StatusCode::INTERNAL_SERVER_ERROR, "tool_call_died"),
            RepeatError::Released => (StatusCode::INTERNAL_SERVER_ERROR, "tool_call_interrupted"),
        };
        Self::new(status, code, super::error::sentence(&error))
    }
}

/// The body of a first request: its bytes are hashed as the handler takes them.
struct Watched {
    inner: Body,
    intake: Intake,
}

impl Watched {
    fn new(inner: Body, mut intake: Intake) -> Self {
        if inner.is_end_stream() {
            intake.end();
        }
        Self { inner, intake }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        let Self { inner, intake } = &mut *self;
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(frame))) => {
                intake.update(frame.data_ref().map_or(&[], |data| data));
                if inner.is_end_stream() {
                    intake.end(); // who knows the length does not ask again
                }
            }
            Poll::Ready(Some(Err(_))) => intake.fail(),
            Poll::Ready(None) => intake.end(),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// For a handler below [`run_once`]: the tool call that it runs for, if it runs for one.
#[derive(Debug)]
pub struct ForToolCall(pub Option<Ongoing>);

impl<S: Send + Sync> FromRequestParts<S> for ForToolCall {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.extensions.get::<Ongoing>().cloned()))
    }
}

/// A request to cancel the tool call that its path and its headers name.
#[derive(Debug)]
pub struct Cancel {
    api: ApiState,
    call: Call,
}

impl FromRequestParts<ApiState> for Cancel {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, api: &ApiState) -> Result<Self, Response> {
        let refused = |error: ApiError| aged(error.into_response(), Duration::ZERO);
        let Ok(Identity(caller)) = Identity::from_request_parts(parts, api).await;
        let call = read_headers(&parts.headers, &caller).map_err(refused)?;
        let call = call.ok_or_else(|| refused(bad_header(&ID, "it is missing")))?;
        let path = Path::<String>::from_request_parts(parts, api).await;
        let named = path.ok().and_then(|Path(text)| Uuid::parse_str(&text).ok());
        if named != Some(call.key.uuid()) {
            let message = "The path does not name the tool call of the headers.";
            let error = ApiError::invalid_field(message, "uuid", "not the id of that tool call");
            return Err(refused(error.with_code("invalid_field")));
        }
        let api = api.clone();
        Ok(Self { api, call })
    }
}

impl Cancel {
    /// Cancels a call that has not come, or waits for the end of the one that has. Dropping it leaves the call alone.
    pub async fn answer(self) -> Response {
        self.answer_stopping(|_| std::future::ready(())).await
    }

    /// The same for calls that make something which can be stopped (see [`Ongoing::can_be_stopped`]): `stop` gets the
    /// call's name once it is there, and is waited for.
    pub async fn answer_stopping<F>(self, stop: impl Fn(Uuid) -> F) -> Response
    where
        F: Future<Output = ()>,
    {
        let shutdown = self.api.shutdown().clone();
        tokio::select! {
            biased;
            response = self.decide(stop) => response,
            () = shutdown.stopped() => aged(stopping().into_response(), Duration::ZERO),
        }
    }

    async fn decide<F: Future<Output = ()>>(&self, stop: impl Fn(Uuid) -> F) -> Response {
        loop {
            let known = match self.api.tool_calls().cancel(&self.call) {
                Cancellation::Started(known) => known,
                Cancellation::NotStarted => {
                    return aged(
                        Json(CancelAnswer::default()).into_response(),
                        Duration::ZERO,
                    );
                }
                Cancellation::Refused(refusal) => {
                    return aged(ApiError::from(refusal).into_response(), Duration::ZERO);
                }
            };
            if known.reached().await {
                stop(known.id()).await;
            }
            let answer = match known.outcome().await {
                Outcome::Released => continue, // it has not come after all
                Outcome::Answered(recorded) => CancelAnswer::recorded(&recorded),
                Outcome::Died => CancelAnswer::died(ApiError::from(RepeatError::Died).body()),
            };
            return aged(Json(answer).into_response(), known.age());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &str)]) -> Result<Option<Call>, ApiError> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
            headers.append(HeaderName::from_static(name), value);
        }
        let caller = Caller {
            chat: Some(Uuid::from_u128(1)),
            ..Caller::default()
        };
        read_headers(&headers, &caller)
    }

    fn with(message: &str, id: &str, age: &str) -> Result<Option<Call>, ApiError> {
        read(&[
            ("coder-tool-call-message-id", message),
            ("coder-tool-call-id", id),
            ("coder-tool-call-age-ms", age),
        ])
    }

    #[test]
    fn well_formed_headers_are_a_call() {
        assert!(read(&[]).expect("none is fine").is_none());
        let call = with("42", "tool%2Fuse%20%237%20%C3%A9+", "9223372036854");
        let call = call.expect("well formed").expect("a call");
        assert_eq!(call.key.message, 42);
        assert_eq!(&*call.key.id, "tool/use #7 é+".as_bytes());
        assert_eq!(call.age.as_millis(), 9_223_372_036_854);
        let bytes = with("1", "%ff%00", "0").expect("well formed");
        assert_eq!(&*bytes.expect("a call").key.id, [255, 0]);
    }

    #[test]
    fn malformed_values_are_refused() {
        for message in [
            "0",
            "-1",
            "+1",
            "1.0",
            "x",
            "",
            " 1",
            "18446744073709551616",
        ] {
            assert!(with(message, "a", "0").is_err(), "{message:?}");
        }
        for id in ["", "%", "%2", "%2x", "a%", "%+1"] {
            assert!(with("1", id, "0").is_err(), "{id:?}");
        }
        for age in [
            "-1",
            "",
            "x",
            "1e3",
            "9223372036855",
            "99999999999999999999",
        ] {
            assert!(with("1", "a", age).is_err(), "{age:?}");
        }
    }

    #[test]
    fn all_three_once_or_none() {
        let all = [
            ("coder-tool-call-message-id", "1"),
            ("coder-tool-call-id", "a"),
            ("coder-tool-call-age-ms", "0"),
        ];
        for one in all {
            assert!(read(&[one]).is_err(), "{one:?} alone");
            let others: Vec<_> = all.into_iter().filter(|other| *other != one).collect();
            assert!(read(&others).is_err(), "without {one:?}");
            assert!(read(&[&all[..], &[one]].concat()).is_err(), "{one:?} twice");
        }
    }
}
