//! The route table: what serves a route from the start, and what describes it when somebody asks.
//!
//! The description of all routes takes milliseconds and megabytes to make. Every start and every idle daemon would pay for
//! them, so the table keeps functions that make it.

use axum::{
    Router,
    routing::{MethodFilter, MethodRouter},
};
use utoipa::openapi::{HttpMethod, OpenApi};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::state::ApiState;

/// Makes the description of the handlers of one path.
pub(super) type Describe = fn() -> UtoipaMethodRouter<ApiState>;

/// Handlers of one path, as [`routes!`](crate::api::table::routes) makes them.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) path: String,
    pub(super) methods: MethodRouter<ApiState>,
    pub(super) describe: Describe,
}

/// Routes in the order in which they are documented.
#[derive(Debug, Default)]
pub(super) struct RouteTable {
    router: Router<ApiState>,
    describe: Vec<Describe>,
}

impl RouteTable {
    /// Adds the handlers of a path.
    pub(super) fn routes(mut self, served: Served) -> Self {
        self.router = self.router.route(&served.path, served.methods);
        self.describe.push(served.describe);
        self
    }

    /// Adds the routes of another table behind these.
    pub(super) fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.describe.extend(other.describe);
        self
    }

    /// Puts something around the routes so far.
    pub(super) fn wrapped(
        mut self,
        wrap: impl FnOnce(Router<ApiState>) -> Router<ApiState>,
    ) -> Self {
        self.router = wrap(self.router);
        self
    }

    /// What serves, and what describes.
    pub(super) fn split(self) -> (Router<ApiState>, Vec<Describe>) {
        (self.router, self.describe)
    }
}

/// The document of these routes behind what `document` says already.
pub(super) fn document_of(document: OpenApi, describe: &[Describe]) -> OpenApi {
    let described = OpenApiRouter::with_openapi(document);
    let described = describe
        .iter()
        .fold(described, |router, describe| router.routes(describe()));
    described.into_openapi()
}

/// The filter for a method of a description.
pub(super) fn filter(method: &HttpMethod) -> MethodFilter {
    match method {
        HttpMethod::Get => MethodFilter::GET,
        HttpMethod::Post => MethodFilter::POST,
        HttpMethod::Put => MethodFilter::PUT,
        HttpMethod::Delete => MethodFilter::DELETE,
        HttpMethod::Options => MethodFilter::OPTIONS,
        HttpMethod::Head => MethodFilter::HEAD,
        HttpMethod::Patch => MethodFilter::PATCH,
        HttpMethod::Trace => MethodFilter::TRACE,
    }
}

/// The handlers of one path: `routes!(module::handler, …)`, each with `#[utoipa::path]`.
macro_rules! routes {
    ($($first:ident)::+ $(, $($more:ident)::+)* $(,)?) => {{
        let mut methods = axum::routing::MethodRouter::new();
        for method in $crate::api::table::described!([] methods $($first)::+) {
            methods = methods.on($crate::api::table::filter(&method), $($first)::+);
        }
        $(
            for method in $crate::api::table::described!([] methods $($more)::+) {
                methods = methods.on($crate::api::table::filter(&method), $($more)::+);
            }
        )*
        $crate::api::table::Served {
            path: $crate::api::table::described!([] path $($first)::+),
            methods,
            describe: || utoipa_axum::routes!($($first)::+ $(, $($more)::+)*),
        }
    }};
}

/// Asks what `#[utoipa::path]` made of a handler: its type has the handler's name behind `__path_`.
macro_rules! described {
    ([$($before:ident)*] $what:ident $last:ident) => {
        utoipa_axum::paste! { <$($before::)* [<__path_ $last>] as utoipa::Path>::$what() }
    };
    ([$($before:ident)*] $what:ident $next:ident :: $($rest:ident)::+) => {
        $crate::api::table::described!([$($before)* $next] $what $($rest)::+)
    };
}

pub(super) use {described, routes};
