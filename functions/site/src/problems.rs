//! The page `/docs/problems`, which explains each kind of problem and its remedy. The `type` of a problem links to it.

use std::sync::LazyLock;

use axum::Router;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use crate::dashboard;

/// The page. `make openapi` generates it from docs/api.md, and a test compares the two.
pub const PAGE: &str = include_str!("../assets/problems/problems.html");
const STYLE: &str = include_str!("../assets/problems/problems.css");

/// The page's routes.
pub(crate) fn router() -> Router {
    Router::new().route("/docs/problems", get(page)).route("/docs/problems.css", get(style))
}

async fn page() -> Response {
    static SERVED: LazyLock<String> = LazyLock::new(|| dashboard::in_this_release(PAGE));
    Html(SERVED.as_str()).into_response()
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}
