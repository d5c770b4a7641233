//! `GET /docs`: the OpenAPI document as one page without a script, so that it needs nothing from elsewhere.

use std::fmt::Write;

use axum::{
    http::{HeaderValue, header},
    response::{Html, IntoResponse, Response},
};
use serde_json::Value;
use utoipa::openapi::OpenApi;

const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Methods in the order in which they are shown.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Renders the document.
pub(super) fn page(document: &OpenApi) -> Response {
    let value = serde_json::to_value(document).expect("the document is plain data");
    let mut response = Html(render(&value)).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

fn render(document: &Value) -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>deskd API</title><link rel=\"stylesheet\" href=\"/docs.css\"><main>",
    );
    let info = &document["info"];
    let _ = write!(
        page,
        "<h1>deskd {}</h1><p>{}</p><p><a href=\"/api/v0/openapi.json\">OpenAPI document</a></p>",
        text(&info["version"]),
        text(&info["description"])
    );
    for (path, item) in entries(&document["paths"]) {
        for method in METHODS {
            if let Some(operation) = item.get(method) {
                operation_section(&mut page, method, path, operation);
            }
        }
    }
    page.push_str("<h2>Schemas</h2>");
    for (name, schema) in entries(&document["components"]["schemas"]) {
        let _ = write!(page, "<section id=\"{0}\"><h3>{0}</h3>", escape(name));
        let _ = write!(page, "<p>{}</p>", text(&schema["description"]));
        fields(
            &mut page,
            entries(&schema["properties"]).map(|(name, field)| (name, field, field)),
        );
        page.push_str("</section>");
    }
    page.push_str("</main></html>");
    page
}

fn operation_section(page: &mut String, method: &str, path: &str, operation: &Value) {
    let _ = write!(
        page,
        "<section><h2><span>{}</span> {}</h2><p>{} {}</p>",
        method.to_uppercase(),
        escape(path),
        text(&operation["summary"]),
        text(&operation["description"])
    );
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    fields(
        page,
        parameters.map(|p| (p["name"].as_str().unwrap_or_default(), p, &p["schema"])),
    );
    for (_, content) in entries(&operation["requestBody"]["content"]) {
        let _ = write!(page, "<p>Body: {}</p>", kind(&content["schema"]));
    }
    page.push_str("<dl>");
    for (status, response) in entries(&operation["responses"]) {
        let bodies: Vec<String> = entries(&response["content"])
            .map(|(media, content)| format!("{} {}", escape(media), kind(&content["schema"])))
            .collect();
        let _ = write!(
            page,
            "<dt>{}</dt><dd>{} {}</dd>",
            escape(status),
            text(&response["description"]),
            bodies.join(", ")
        );
    }
    page.push_str("</dl></section>");
}

fn fields<'a>(page: &mut String, rows: impl Iterator<Item = (&'a str, &'a Value, &'a Value)>) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    page.push_str("<table>");
    for (name, described, schema) in rows {
        let _ = write!(
            page,
            "<tr><th>{}</th><td>{}</td><td>{}</td></tr>",
            escape(name),
            kind(schema),
            text(&described["description"])
        );
    }
    page.push_str("</table>");
}

/// The type of a schema in a word, or a link to the schema that it refers to.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|path| path.rsplit('/').next())
    {
        return format!("<a href=\"#{0}\">{0}</a>", escape(name));
    }
    if let Some(one_of) = schema["oneOf"].as_array() {
        return one_of.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(text).collect::<Vec<_>>().join(" or "),
        Value::String(kind) if kind == "array" => {
            format!("array of {}", self::kind(&schema["items"]))
        }
        other => text(other),
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value))
}

fn text(value: &Value) -> String {
    escape(value.as_str().unwrap_or_default())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_document_is_escaped() {
        let document = serde_json::json!({"paths": {"/<x>": {"get": {"summary": "a & \"b\"", "responses": {}}}}});
        let page = render(&document);
        assert!(
            page.contains("/&lt;x&gt;") && page.contains("a &amp; &quot;b&quot;"),
            "{page}"
        );
    }
}
