//! The viewer's page at `/`: the files of `assets/viewer/dist`, embedded. Translation only; no token needed.
//!
//! The page gets no secret: what it may see is decided by the routes it calls. Its
//! Content-Security-Policy lets it talk to its own origin and to nothing else.

use std::{borrow::Cow, fmt::Write as _};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
            REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::Response,
    routing::get,
};
use rust_embed::{EmbeddedFile, RustEmbed};

/// Files of the page by their path below `/`. Debug builds embed them, too.
#[derive(RustEmbed)]
#[folder = "assets/viewer/dist"]
struct Assets;

const INDEX: &str = "index.html";

/// noVNC shows the pointer's shape as `data:` URL of an image, and some tiles as well; it needs nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    // Always asked for again, answered with 304: files of two versions are never mixed.
    (CACHE_CONTROL, "no-cache"),
];

/// One GET and HEAD route per embedded file, and `/` for the page. Any other path is left to the
/// router's fallback, any other method to its answer for wrong methods.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let serve = |path: String| {
        get(move |headers: HeaderMap| {
            let answer = asset(&path, &headers).expect("routes are made from the embedded files");
            std::future::ready(answer)
        })
    };
    Assets::iter().fold(
        Router::new().route("/", serve(INDEX.to_owned())),
        |router, path| router.route(&format!("/{path}"), serve(path.clone().into_owned())),
    )
}

/// Whether a request path is the page or one of its files, which need no token.
pub fn is_asset(path: &str) -> bool {
    path == "/"
        || path
            .strip_prefix('/')
            .is_some_and(|file| Assets::get(file).is_some())
}

/// The answer for an embedded file (`viewer.js`, without a leading slash); `None` if there is no such
/// file. 304 without a body when `If-None-Match` names its `ETag`.
pub fn asset(path: &str, request: &HeaderMap) -> Option<Response> {
    let file = Assets::get(path)?;
    let tag = etag(&file);
    let fresh = is_named(&tag, request);
    let mut response = Response::new(if fresh { Body::empty() } else { body(file) });
    if fresh {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        let value = HeaderValue::from_static(content_type(path));
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    let headers = response.headers_mut();
    headers.insert(
        ETAG,
        HeaderValue::from_str(&tag).expect("an ETag of hex digits"),
    );
    headers.extend(HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))));
    Some(response)
}

/// The embedded bytes themselves, not a copy.
fn body(file: EmbeddedFile) -> Body {
    match file.data {
        Cow::Borrowed(bytes) => Body::from(Bytes::from_static(bytes)),
        Cow::Owned(bytes) => Body::from(bytes),
    }
}

/// Strong entity tag: the first 128 bits of the content's SHA-256.
fn etag(file: &EmbeddedFile) -> String {
    let mut tag = String::from("\"");
    for byte in &file.metadata.sha256_hash()[..16] {
        write!(tag, "{byte:02x}").expect("writing to a String cannot fail");
    }
    tag.push('"');
    tag
}

/// Whether `If-None-Match` lists the tag or is `*` (RFC 9110 section 13.1.2: weak comparison).
fn is_named(tag: &str, request: &HeaderMap) -> bool {
    request
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|named| named == "*" || named.strip_prefix("W/").unwrap_or(named) == tag)
}

/// Media type by extension; text is UTF-8. Licences have none and are text.
fn content_type(path: &str) -> &'static str {
    let file_name = path.rsplit('/').next().unwrap_or(path);
    match file_name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{Method, Request, header::CONTENT_LENGTH};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(method: Method, path: &str, if_none_match: Option<&str>) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(tags) = if_none_match {
            request = request.header(IF_NONE_MATCH, tags);
        }
        let request = request.body(Body::empty()).expect("a valid request");
        let app: Router = routes();
        app.oneshot(request).await.expect("the router cannot fail")
    }

    async fn text(response: Response) -> String {
        let bytes = response.into_body().collect().await.expect("a body");
        String::from_utf8(bytes.to_bytes().to_vec()).expect("UTF-8")
    }

    #[tokio::test]
    async fn every_file_has_its_type_and_the_policy() {
        for (path, content_type) in [
            ("/", "text/html; charset=utf-8"),
            ("/index.html", "text/html; charset=utf-8"),
            ("/viewer.js", "text/javascript; charset=utf-8"),
            ("/viewer.css", "text/css; charset=utf-8"),
            ("/icon.svg", "image/svg+xml"),
            ("/novnc/core/rfb.js", "text/javascript; charset=utf-8"),
            ("/novnc/vendor/pako/LICENSE", "text/plain; charset=utf-8"),
            ("/novnc/docs/LICENSE.MPL-2.0", "text/plain; charset=utf-8"),
            ("/novnc/LICENSE.txt", "text/plain; charset=utf-8"),
            ("/novnc/NOTICE.txt", "text/plain; charset=utf-8"),
        ] {
            let response = ask(Method::GET, path, None).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            let headers = response.headers();
            assert_eq!(headers[CONTENT_TYPE], content_type, "{path}");
            assert_eq!(headers[CONTENT_SECURITY_POLICY], POLICY, "{path}");
            assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
            assert_eq!(headers[CACHE_CONTROL], "no-cache", "{path}");
            assert!(!text(response).await.is_empty(), "{path}");
        }
    }

    #[tokio::test]
    async fn a_known_tag_is_answered_without_the_body() {
        let first = ask(Method::GET, "/viewer.js", None).await;
        let tag = first.headers()[ETAG].to_str().expect("ASCII").to_owned();
        for tags in [
            tag.clone(),
            format!("W/{tag}"),
            format!("\"other\", {tag}"),
            "*".to_owned(),
        ] {
            let response = ask(Method::GET, "/viewer.js", Some(&tags)).await;
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{tags}");
            assert_eq!(response.headers()[ETAG], tag);
            assert!(response.headers().contains_key(CONTENT_SECURITY_POLICY));
            assert_eq!(text(response).await, "");
        }
        let other = ask(Method::GET, "/viewer.js", Some("\"other\"")).await;
        assert_eq!(other.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn head_is_get_without_the_body() {
        let get = ask(Method::GET, "/", None).await;
        let head = ask(Method::HEAD, "/", None).await;
        assert_eq!(head.status(), StatusCode::OK);
        assert_eq!(head.headers()[ETAG], get.headers()[ETAG]);
        let length = text(get).await.len();
        assert_eq!(head.headers()[CONTENT_LENGTH], length.to_string());
        assert_eq!(text(head).await, "");
    }

    #[tokio::test]
    async fn anything_else_is_left_to_the_router() {
        for path in [
            "/nothing.js",
            "/novnc/",
            "/novnc/../viewer.js",
            "/Viewer.js",
        ] {
            let response = ask(Method::GET, path, None).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        }
        let post = ask(Method::POST, "/viewer.js", None).await;
        assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn the_page_has_no_inline_script_and_no_inline_style() {
        let page = text(ask(Method::GET, "/", None).await).await;
        assert!(
            !page.contains("<style") && !page.contains(" style=") && !page.contains(" onclick=")
        );
        assert!(
            page.matches("<script")
                .count()
                .eq(&page.matches("<script type=\"module\" src=\"/").count())
        );
    }
}
