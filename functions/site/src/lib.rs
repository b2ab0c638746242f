//! Static pages: the OpenAPI document, Swagger UI to read and try it with, what each problem means, and the dashboard. Everything
//! comes out of the zip.
//!
//! Links between the pages are relative, so that they work below any base path.

mod caching;
mod config;
mod dashboard;
mod problems;

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use axum::Router;
use axum::extract::{Path, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa_swagger_ui::Config as Swagger;

pub use config::Config;
pub use problems::PAGE as PROBLEMS;

/// The contract: made from the code of the `api` function by `make openapi`; a test holds the two together.
pub const OPENAPI: &str = include_str!("../assets/openapi.json");

/// Where Swagger UI finds the document, seen from its own page.
static SWAGGER: LazyLock<Arc<Swagger<'static>>> = LazyLock::new(|| Arc::new(Swagger::from("../openapi.json")));

/// What goes with every page.
const HEADERS: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=63072000"),
];

/// What a page may do that does not say so itself: run and load only what comes from where it comes from itself; nobody may
/// frame it. The digest is that of the one style sheet that Swagger UI writes into its page, for its logo.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='; \
     img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Everything the function serves.
pub fn router(config: Config) -> Router {
    Router::new()
        .route("/openapi.json", get(openapi))
        .route("/docs", get(to_docs))
        .route("/docs/{*path}", get(docs))
        .merge(problems::router())
        .merge(dashboard::router(config))
        .layer(middleware::from_fn(caching::cache))
        .layer(middleware::from_fn(log_and_harden))
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// The page's own links are relative to its folder.
async fn to_docs() -> Response {
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, "docs/index.html")]).into_response()
}

async fn docs(Path(path): Path<String>) -> Response {
    swagger_file(&path)
}

fn swagger_file(path: &str) -> Response {
    match utoipa_swagger_ui::serve(path, Arc::clone(&SWAGGER)) {
        Ok(Some(file)) => ([(header::CONTENT_TYPE, file.content_type)], file.bytes.into_owned()).into_response(),
        Ok(None) => (StatusCode::NOT_FOUND, "There is no such page; /docs is the beginning.").into_response(),
        Err(error) => {
            tracing::error!(error, path, "a page could not be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn log_and_harden(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(POLICY);
    headers.extend(HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))));
    let elapsed_ms = started.elapsed().as_secs_f64() * 1000.0;
    tracing::info!(path, status = response.status().as_u16(), elapsed_ms, "page served");
    response
}
