//! The OpenAPI 3.1 document, made from the handlers, and its rendered form.

use std::sync::Arc;

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
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

/// The document before the routes: title, licence, the ways to authenticate. `cookie` is the name of this daemon's cookie.
pub(super) fn document(cookie: Option<&str>) -> OpenApi {
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
    let schemes = ["bearer"].into_iter().chain(cookie.map(|_| "cookie"));
    let mut document = OpenApiBuilder::new()
        .info(info)
        .security(Some(
            schemes.map(|name| SecurityRequirement::new(name, Vec::<String>::new())),
        ))
        .build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(
        "bearer",
        SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
    );
    if let Some(name) = cookie {
        components.add_security_scheme(
            "cookie",
            SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
                name,
                "set when a page is opened with `?token=…`; each daemon has a name of its own",
            ))),
        );
    }
    document
}

/// `GET /api/v0/openapi.json` and `GET /docs`. The document is made anew for each: hardly anybody asks twice, and kept
/// it would take a third of what an idle daemon needs.
pub(super) fn routes(describe: Vec<Describe>) -> Router<ApiState> {
    let describe: Arc<[Describe]> = describe.into();
    let whole = move |state: &ApiState| {
        let mut whole = document_of(document(state.auth().cookie_name()), &describe);
        scope::describe(&mut whole);
        whole
    };
    let json = whole.clone();
    Router::new()
        .route(
            "/api/v0/openapi.json",
            get(async move |State(state): State<ApiState>| {
                let text = json(&state).to_json().expect("the document is plain data");
                ([(header::CONTENT_TYPE, "application/json")], text)
            }),
        )
        .route(
            "/docs.css",
            get(async || ([(header::CONTENT_TYPE, "text/css")], STYLE)),
        )
        .route(
            "/docs",
            get(async move |State(state): State<ApiState>| {
                docs::page(&whole(&state)).into_response()
            }),
        )
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use serde_json::Value;

    use super::*;

    /// Every `$ref` of a document.
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|field| references(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_of_the_document_leads_somewhere() {
        let mut document = crate::api::document();
        scope::describe(&mut document);
        let document = serde_json::to_value(document).expect("plain data");
        let mut found = Vec::new();
        references(&document, &mut found);
        found.retain(|path| document.pointer(path.trim_start_matches('#')).is_none());
        assert!(found.is_empty(), "{found:?} lead nowhere");
    }

    /// Two types of one name would describe each other's answers.
    #[test]
    fn no_two_schemas_share_a_name() {
        let mut first: HashMap<String, Value> = HashMap::new();
        let mut shared = BTreeSet::new();
        for describe in crate::api::descriptions() {
            let alone = serde_json::to_value(document_of(document(None), &[describe]));
            let alone = alone.expect("plain data");
            let schemas = alone["components"]["schemas"].as_object();
            for (name, schema) in schemas.into_iter().flatten() {
                if first.entry(name.clone()).or_insert_with(|| schema.clone()) != schema {
                    shared.insert(name.clone());
                }
            }
        }
        assert!(shared.is_empty(), "several types are called {shared:?}");
    }
}
