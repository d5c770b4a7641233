//! Who may come in: Host, Origin, token, in this order. Closed by default: a path is public only when it is named here.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Mutex,
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use subtle::ConstantTimeEq;
use tracing::Instrument;

use super::{
    access_log,
    error::ApiError,
    identity::{Visitor, scope_required},
    peer::Peer,
    scope,
    state::ApiState,
    viewer,
};
use crate::chat::{
    Over, TOKEN_PREFIX,
    tokens::{self, Found, Shown as Secret, digest},
};

/// Subprotocol prefix with which a WebSocket client may carry the token.
pub const BEARER_PROTOCOL: &str = "deskd.bearer.";

/// Pages that a person opens with `?token=…`.
const PAGES: [&str; 2] = ["/", "/docs"];

/// Longest delay of a failed attempt.
const MAX_DELAY: Duration = Duration::from_secs(2);

/// Peers whose failures are remembered; the oldest is forgotten first.
const MAX_PEERS: usize = 1024;

/// The rules of the door. The token itself is not kept, only its digest.
#[derive(Debug)]
pub struct Auth {
    token: Option<[u8; 32]>,
    cookie: Option<Cookie>,
    allowed_hosts: Vec<String>,
    allowed_origins: Vec<String>,
    /// Guards the failures alone; held for a map operation, never across an await.
    failures: Mutex<HashMap<IpAddr, Failures>>,
}

#[derive(Debug)]
struct Cookie {
    name: String,
    value: String,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Auth {
    /// `token` is `None` with `--no-auth`.
    pub fn new(
        token: Option<&str>,
        allowed_hosts: Vec<String>,
        allowed_origins: Vec<String>,
    ) -> Self {
        Self {
            token: token.map(digest),
            cookie: token.map(Cookie::of),
            allowed_hosts,
            allowed_origins,
            failures: Mutex::default(),
        }
    }

    fn host_allowed(&self, host: &str, peer: &Peer) -> bool {
        let name = host_name(host);
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return address.is_loopback()
                || peer
                    .local_ip()
                    .is_some_and(|local| local.to_canonical() == address)
                || self.allowed_hosts.iter().any(|allowed| allowed == bare);
        }
        let lower = name.to_ascii_lowercase();
        let lower = lower.trim_end_matches('.');
        lower == "localhost"
            || lower.ends_with(".localhost")
            || self.allowed_hosts.iter().any(|allowed| {
                allowed.eq_ignore_ascii_case(lower) || allowed.eq_ignore_ascii_case(host)
            })
    }

    /// Same origin means the same authority; the scheme is left to a proxy that may speak TLS for us.
    fn origin_allowed(&self, origin: &str, host: &str) -> bool {
        let same = origin.split_once("://").is_some_and(|(scheme, authority)| {
            matches!(scheme, "http" | "https") && authority.eq_ignore_ascii_case(host)
        });
        same || self.allowed_origins.iter().any(|allowed| allowed == origin)
    }

    fn token_matches(&self, candidate: &str) -> bool {
        self.token
            .is_some_and(|token| bool::from(digest(candidate).ct_eq(&token)))
    }

    /// The name of this daemon's cookie, when it has a token.
    pub(super) fn cookie_name(&self) -> Option<&str> {
        self.cookie.as_ref().map(|cookie| cookie.name.as_str())
    }

    /// What a cookie of ours says; `find` looks up a scoped token.
    fn cookie(&self, headers: &HeaderMap, find: &dyn Fn(Secret<'_>) -> Found) -> Shown {
        let Some(cookie) = &self.cookie else {
            return Shown::Nothing;
        };
        let lines = headers.get_all(header::COOKIE).iter();
        let values = lines
            .filter_map(|value| value.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == cookie.name);
        for (_, value) in values {
            if bool::from(value.as_bytes().ct_eq(cookie.value.as_bytes())) {
                return Shown::Right(Visitor::admin());
            }
            match find(Secret::Cookie(value)) {
                Found::Live(pass) => return Shown::Right(Visitor::with(pass)),
                Found::Over(why) => return Shown::Over(why),
                Found::Unknown => {}
            }
        }
        Shown::Nothing
    }

    /// What a candidate is; `find` looks up a scoped token.
    fn judge(&self, candidate: &str, find: &dyn Fn(Secret<'_>) -> Found) -> Shown {
        if self.token_matches(candidate) {
            return Shown::Right(Visitor::admin());
        }
        if !candidate.starts_with(TOKEN_PREFIX) {
            return Shown::Wrong;
        }
        match find(Secret::Token(candidate)) {
            Found::Live(pass) => Shown::Right(Visitor::with(pass)),
            Found::Over(why) => Shown::Over(why),
            Found::Unknown => Shown::Wrong,
        }
    }

    /// What the request shows: a right secret, one that is over, a wrong one, or none. What a client says goes before what
    /// its browser remembers.
    fn credentials(&self, headers: &HeaderMap, find: &dyn Fn(Secret<'_>) -> Found) -> Shown {
        let mut shown = Shown::Nothing;
        for candidate in candidates(headers) {
            match self.judge(&candidate, find) {
                Shown::Wrong => shown = Shown::Wrong,
                other => return other,
            }
        }
        match self.cookie(headers, find) {
            Shown::Nothing => shown,
            other => other,
        }
    }

    /// Counts a failure and gives the delay before it may be told: 50 ms, doubled for each failure of the last minute.
    fn delay_after_failure(&self, peer: IpAddr) -> Duration {
        let mut failures = self.failures.lock().expect("no panic while held");
        if failures.len() >= MAX_PEERS && !failures.contains_key(&peer) {
            let oldest = failures
                .iter()
                .min_by_key(|(_, f)| f.last)
                .map(|(peer, _)| *peer);
            failures.remove(&oldest.expect("the map is full"));
        }
        let now = Instant::now();
        let entry = failures.entry(peer).or_insert(Failures {
            count: 0,
            last: now,
        });
        if now.duration_since(entry.last) > Duration::from_mins(1) {
            entry.count = 0;
        }
        entry.last = now;
        entry.count = entry.count.saturating_add(1);
        Duration::from_millis(50)
            .saturating_mul(1 << entry.count.saturating_sub(1).min(10))
            .min(MAX_DELAY)
    }
}

#[derive(Debug)]
enum Shown {
    Right(Visitor),
    Over(Over),
    Wrong,
    Nothing,
}

impl Cookie {
    /// Derived from the token, so that it outlives a restart; the token cannot be derived from it.
    /// The name is part of it too: cookies of one host are shared by all its ports.
    fn of(token: &str) -> Self {
        let name = digest(&format!("deskd cookie name\0{token}"));
        let [a, b, c, d] = [name[0], name[1], name[2], name[3]];
        Self {
            name: format!("deskd_{a:02x}{b:02x}{c:02x}{d:02x}"),
            value: tokens::cookie_value(token),
        }
    }
}

/// Every place where a client may put the token.
fn candidates(headers: &HeaderMap) -> Vec<String> {
    let texts = |name| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
    };
    let authorization = texts(header::AUTHORIZATION).filter_map(bearer);
    let protocols = texts(header::SEC_WEBSOCKET_PROTOCOL)
        .flat_map(|line| line.split(','))
        .filter_map(|item| item.trim().strip_prefix(BEARER_PROTOCOL));
    authorization
        .chain(protocols)
        .map(ToOwned::to_owned)
        .collect()
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Host name of an authority, without the port; IPv6 keeps its brackets.
fn host_name(authority: &str) -> &str {
    if authority.starts_with('[') {
        return authority
            .find(']')
            .map_or(authority, |end| &authority[..=end]);
    }
    authority
        .rsplit_once(':')
        .map_or(authority, |(name, _)| name)
}

/// The authority that the request names: of the URI in HTTP/2, of `Host` in HTTP/1.1.
fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let of_header = || {
        headers
            .get(header::HOST)
            .and_then(|value| value.to_str().ok())
    };
    uri.authority()
        .map(axum::http::uri::Authority::as_str)
        .or_else(of_header)
}

fn is_public(path: &str) -> bool {
    path == "/healthz" || viewer::is_asset(path)
}

/// The door: checks Host, Origin and token, then what the token allows, then lets the request in.
pub async fn gate(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match check(&state, &parts).await {
        Ok(Entry::Come(visitor)) => {
            let mut visitor = visitor.claiming(&parts.headers);
            let mut response = match admit(&state, &parts, &mut visitor) {
                Ok(()) => {
                    let mut request = Request::from_parts(parts, body);
                    let span = access_log::span(request.headers(), &visitor);
                    request.extensions_mut().insert(visitor.clone());
                    next.run(request).instrument(span).await
                }
                Err(error) => error.into_response(),
            };
            // A handler may have acted for the chat of its path.
            if response.extensions().get::<Visitor>().is_none() {
                response.extensions_mut().insert(visitor);
            }
            response
        }
        Ok(Entry::SetCookie(response)) => response,
        Err(error) => error.into_response(),
    }
}

/// Whether the token is enough for the route and good for the chat; then the chat is known.
fn admit(state: &ApiState, parts: &Parts, visitor: &mut Visitor) -> Result<(), ApiError> {
    if is_public(parts.uri.path()) {
        return Ok(());
    }
    let route = parts.extensions.get::<MatchedPath>();
    let need = scope::need(&parts.method, route.map(MatchedPath::as_str));
    if let Some(missing) = scope::missing(need, visitor.scopes()) {
        return Err(scope_required(missing));
    }
    visitor.arrive(state, &parts.headers)
}

enum Entry {
    Come(Visitor),
    SetCookie(Response),
}

async fn check(state: &ApiState, request: &Parts) -> Result<Entry, ApiError> {
    let auth = state.auth();
    let headers = &request.headers;
    let peer = request
        .extensions
        .get::<Peer>()
        .expect("the listener sets the peer");
    check_origin(auth, request, peer)?;
    if let Peer::Unix { same_user } = peer {
        return if *same_user {
            Ok(Entry::Come(Visitor::admin()))
        } else {
            Err(peer_not_allowed())
        };
    }
    if auth.token.is_none() {
        return Ok(Entry::Come(Visitor::admin()));
    }
    let find = |secret: Secret<'_>| state.chats().find(secret);
    let shown = match page_token(request) {
        Some(token) => match auth.judge(&token, &find) {
            Shown::Right(_) => {
                return Ok(Entry::SetCookie(redirect_with_cookie(
                    auth,
                    &request.uri,
                    &token,
                )));
            }
            other => other,
        },
        None if is_public(request.uri.path()) => return Ok(Entry::Come(Visitor::anyone())),
        None => auth.credentials(headers, &find),
    };
    match shown {
        Shown::Right(visitor) => Ok(Entry::Come(visitor)),
        Shown::Nothing => Err(unauthorized("This route needs a token.")),
        Shown::Over(why) => {
            state.metrics().auth_failures.inc();
            Err(token_over(why))
        }
        Shown::Wrong => {
            state.metrics().auth_failures.inc();
            if let Some(ip) = peer.remote_ip() {
                tokio::time::sleep(auth.delay_after_failure(ip)).await;
            }
            Err(unauthorized("The token is not the right one."))
        }
    }
}

fn check_origin(auth: &Auth, request: &Parts, peer: &Peer) -> Result<(), ApiError> {
    let headers = &request.headers;
    let host = authority(&request.uri, headers).unwrap_or_default();
    // Two of them are never honest, and whoever stands before us may have looked at the other one (RFC 9112, 3.2).
    let doubled = headers.get_all(header::HOST).iter().nth(1).is_some();
    if peer.is_tcp() && (doubled || !auth.host_allowed(host, peer)) {
        return Err(host_not_allowed(host));
    }
    for origin in headers.get_all(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        if !auth.origin_allowed(origin, host) {
            return Err(origin_not_allowed(origin));
        }
    }
    Ok(())
}

/// The token in the address of a page; nowhere else may it stand in an address.
fn page_token(request: &Parts) -> Option<String> {
    if request.method != Method::GET || !PAGES.contains(&request.uri.path()) {
        return None;
    }
    let query = request.uri.query()?;
    form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "token")
        .map(|(_, value)| value.into_owned())
}

/// 303 to the same address without the token, so that it stays out of the history.
fn redirect_with_cookie(auth: &Auth, uri: &Uri, token: &str) -> Response {
    let cookie = auth.cookie.as_ref().expect("there is a token");
    let value_for = tokens::cookie_value(token);
    let rest: String = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(
            form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
                .filter(|(name, _)| name != "token"),
        )
        .finish();
    let separator = if rest.is_empty() { "" } else { "?" };
    let location = format!("{}{separator}{rest}", uri.path());
    let set = format!(
        "{}={}; Path=/; HttpOnly; SameSite=Strict",
        cookie.name, value_for
    );
    let value = |text: &str| HeaderValue::from_str(text).expect("percent-encoded ASCII");
    let headers = [
        (header::LOCATION, value(&location)),
        (header::SET_COOKIE, value(&set)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

fn unauthorized(message: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
        .with_detail("Send `Authorization: Bearer <token>`; the token is in the file `token` of the state directory.")
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

fn token_over(why: Over) -> ApiError {
    let (code, message) = match why {
        Over::TokenExpired => ("token_expired", "The token has expired."),
        Over::TokenRevoked | Over::ChatDeleted => ("token_revoked", "The token was revoked."),
    };
    unauthorized(message).with_code(code)
}

fn host_not_allowed(host: &str) -> ApiError {
    ApiError::new(
        StatusCode::MISDIRECTED_REQUEST,
        "host_not_allowed",
        format!(
            "The host \"{}\" is not one of this daemon's.",
            shorten(host)
        ),
    )
    .with_detail("Use a loopback name or the listen address, or start deskd with --allowed-host.")
}

fn origin_not_allowed(origin: &str) -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "origin_not_allowed",
        format!(
            "Requests from the origin \"{}\" are not allowed.",
            shorten(origin)
        ),
    )
    .with_detail("Start deskd with --allowed-origin to allow it.")
}

fn peer_not_allowed() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "peer_not_allowed",
        "The Unix socket serves the daemon's own user only.",
    )
}

fn shorten(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth() -> Auth {
        Auth::new(
            Some("secret"),
            vec!["desk.example".into()],
            vec!["https://ok.example".into()],
        )
    }

    fn peer() -> Peer {
        Peer::Tcp {
            remote: "10.0.0.9:5".parse().expect("an address"),
            local: "10.0.0.1:7380".parse().expect("an address"),
        }
    }

    #[test]
    fn hosts_are_loopback_the_listen_address_or_named() {
        for host in [
            "localhost",
            "LOCALHOST:1",
            "a.localhost",
            "127.0.0.1:7380",
            "127.9.9.9",
            "[::1]:2",
        ] {
            assert!(auth().host_allowed(host, &peer()), "{host}");
        }
        for host in ["10.0.0.1:7380", "desk.example", "Desk.Example:80"] {
            assert!(auth().host_allowed(host, &peer()), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "10.0.0.2",
            "localhost.evil.example",
            "127.0.0.1.nip.example",
            "[::2]",
        ] {
            assert!(!auth().host_allowed(host, &peer()), "{host}");
        }
    }

    #[test]
    fn origins_are_our_own_or_named() {
        let auth = auth();
        assert!(auth.origin_allowed("http://localhost:7380", "localhost:7380"));
        assert!(auth.origin_allowed("https://ok.example", "localhost:7380"));
        for origin in [
            "null",
            "",
            "http://localhost",
            "http://evil.example",
            "file://localhost:7380",
        ] {
            assert!(!auth.origin_allowed(origin, "localhost:7380"), "{origin}");
        }
    }

    #[test]
    fn secrets_are_found_wherever_they_may_stand_and_nowhere_else() {
        let with = |name: header::HeaderName, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_str(value).expect("a header"));
            auth().credentials(&headers, &|_| Found::Unknown)
        };
        let cookie = Cookie::of("secret");
        assert!(matches!(
            with(header::AUTHORIZATION, "Bearer secret"),
            Shown::Right(_)
        ));
        assert!(matches!(
            with(header::AUTHORIZATION, "bearer secret"),
            Shown::Right(_)
        ));
        assert!(matches!(
            with(header::AUTHORIZATION, "Bearer "),
            Shown::Wrong
        ));
        assert!(matches!(
            with(header::AUTHORIZATION, "secret"),
            Shown::Nothing
        ));
        assert!(matches!(
            with(
                header::SEC_WEBSOCKET_PROTOCOL,
                "binary, deskd.bearer.secret"
            ),
            Shown::Right(_)
        ));
        let pair = format!("a=b; {}={}", cookie.name, cookie.value);
        assert!(matches!(with(header::COOKIE, &pair), Shown::Right(_)));
        assert!(matches!(
            with(header::COOKIE, &format!("{}=x", cookie.name)),
            Shown::Nothing
        ));
    }

    #[test]
    fn failures_are_delayed_longer_and_longer_and_remembered_within_bounds() {
        let auth = auth();
        let peer: IpAddr = "10.0.0.9".parse().expect("an address");
        let delays: Vec<_> = (0..8).map(|_| auth.delay_after_failure(peer)).collect();
        assert!(delays.is_sorted());
        assert_eq!(delays[0], Duration::from_millis(50));
        assert_eq!(delays[7], MAX_DELAY);
        for n in 0..5000_u32 {
            auth.delay_after_failure(IpAddr::from(n.to_be_bytes()));
        }
        assert!(auth.failures.lock().expect("unpoisoned").len() <= MAX_PEERS);
    }
}
