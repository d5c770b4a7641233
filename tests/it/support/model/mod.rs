//! Stand-ins for the vendors' APIs: they check every request as the vendor would, and answer as a model that plays a
//! conversation.

mod anthropic;
mod openai;
mod player;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use image::RgbImage;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub use self::{
    anthropic::Anthropic,
    openai::OpenAi,
    player::{COMMAND, FRAME, LAST_WORDS, Player},
};

/// The key that a request must carry.
pub const KEY: &str = "sk-stand-in";

/// The task that the first request must carry.
pub const TASK: &str = "Write the product of 6 and 7 into the file answer.";

/// Something that a model wants done.
#[derive(Clone, Debug)]
pub enum Act {
    /// A picture.
    Look,
    /// A picture a little later, as far as the vendor's tool can say so.
    Wait,
    /// The left button.
    Click(u32, u32),
    /// The right button.
    RightClick(u32, u32),
    /// A text.
    Type(&'static str),
    /// The key.
    Return,
}

/// An answer of a model: a sentence, and what it wants done; nothing ends the conversation.
#[derive(Debug)]
pub struct Turn {
    /// What it says.
    pub words: String,
    /// What it wants done, as one message.
    pub acts: Vec<Act>,
}

/// What a request showed to the model.
#[derive(Debug, Default)]
pub struct Seen {
    /// The last picture.
    pub picture: Option<RgbImage>,
    /// What was said about something that went wrong.
    pub complaint: Option<String>,
}

/// One vendor's API: a request in, checked, and what the model says to it.
pub trait Vendor: Send + 'static {
    /// The answer, or what the vendor has against the request.
    fn answer(&mut self, path: &str, headers: &HeaderMap, body: &Value) -> Result<Value, String>;
}

/// A running stand-in. It serves for as long as [`Server::while_serving`] runs.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Listens on a port of its own.
    pub async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        Self { listener, address }
    }

    /// Serves until the work is done.
    pub async fn while_serving<T>(self, vendor: impl Vendor, work: impl Future<Output = T>) -> T {
        let vendor = Arc::new(Mutex::new(vendor));
        let routes = Router::new().fallback(answer).with_state(vendor);
        tokio::select! {
            ended = axum::serve(self.listener, routes) => panic!("the server ended: {ended:?}"),
            done = work => done,
        }
    }
}

async fn answer<V: Vendor>(
    State(vendor): State<Arc<Mutex<V>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut vendor = vendor.lock().expect("no request panicked");
    let answer = serde_json::from_slice(&body)
        .map_err(|error| format!("the body is not JSON: {error}"))
        .and_then(|body| vendor.answer(uri.path(), &headers, &body));
    match answer {
        Ok(answer) => axum::Json(answer).into_response(),
        Err(message) => {
            let error = json!({"type": "invalid_request_error", "message": message});
            let body = json!({"type": "error", "error": error});
            (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
        }
    }
}

/// An error in words unless it holds.
fn demand(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}

/// The items of a list.
fn list<'a>(of: &'a Value, field: &str) -> Result<&'a [Value], String> {
    let items = of[field].as_array();
    Ok(items.ok_or_else(|| format!("{field}: must be a list"))?)
}

/// A PNG in base64, of the size that the model was told.
fn picture(data: &Value) -> Result<RgbImage, String> {
    let bytes = STANDARD.decode(data.as_str().unwrap_or_default());
    let bytes = bytes.map_err(|error| format!("a picture is not base64: {error}"))?;
    let picture = image::load_from_memory_with_format(&bytes, image::ImageFormat::Png);
    let picture = picture.map_err(|error| format!("a picture is no PNG: {error}"))?;
    let picture = picture.into_rgb8();
    demand(picture.dimensions() == FRAME, || {
        format!("a picture is of {:?}", picture.dimensions())
    })?;
    Ok(picture)
}
