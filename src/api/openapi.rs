//! The OpenAPI 3.1 document, made from the handlers, and its rendered form.

use std::sync::Arc;

use axum::{Router, http::header, response::IntoResponse, routing::get};
use utoipa::openapi::{
    InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder,
    security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
};

use super::{
    docs, scope,
    state::ApiState,
    table::{Describe, document_of},
};

const STYLE: &str = include_str!("../../assets/docs/style.css");

/// The document before the routes: title, licence, the ways to authenticate.
pub(super) fn document() -> OpenApi {
    let mut license = LicenseBuilder::new().name("Apache-2.0").build();
    license.identifier = Some("Apache-2.0".to_owned());
    let info = InfoBuilder::new()
        .title("deskd")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "One daemon that gives an AI agent a computer. Every error has the body `ErrorBody`; \
             every answer carries `X-Request-Id`.",
        ))
        .license(Some(license))
        .build();
    let mut document = OpenApiBuilder::new()
        .info(info)
        .security(Some([
            SecurityRequirement::new("bearer", Vec::<String>::new()),
            SecurityRequirement::new("cookie", Vec::<String>::new()),
        ]))
        .build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(
        "bearer",
        SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
    );
    components.add_security_scheme(
        "cookie",
        SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
            "deskd_…",
            "set when a page is opened with `?token=…`",
        ))),
    );
    document
}

/// `GET /api/v0/openapi.json` and `GET /docs`. The document is made anew for each: hardly anybody asks twice, and kept
/// it would take a third of what an idle daemon needs.
pub(super) fn routes(describe: Vec<Describe>) -> Router<ApiState> {
    let describe: Arc<[Describe]> = describe.into();
    let whole = move || {
        let mut whole = document_of(document(), &describe);
        scope::describe(&mut whole);
        whole
    };
    let json = whole.clone();
    Router::new()
        .route(
            "/api/v0/openapi.json",
            get(async move || {
                let text = json().to_json().expect("the document is plain data");
                ([(header::CONTENT_TYPE, "application/json")], text)
            }),
        )
        .route(
            "/docs.css",
            get(async || ([(header::CONTENT_TYPE, "text/css")], STYLE)),
        )
        .route(
            "/docs",
            get(async move || docs::page(&whole()).into_response()),
        )
}
