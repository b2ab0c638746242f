//! Static pages: the OpenAPI document, Swagger UI to read and try it, the page of problems, and the dashboard. All files are in the
//! function's zip.
//!
//! Links between the pages are relative, so that they work under any base path.

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
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use shared::gateway;
use utoipa_swagger_ui::Config as Swagger;

pub use config::SiteConfig;
pub use problems::PAGE as PROBLEMS;

/// The OpenAPI document. `make openapi` generates it from the `api` function, and a test compares the two.
pub const OPENAPI: &str = include_str!("../assets/openapi.json");

/// The path of the document, relative to Swagger UI's page.
static SWAGGER: LazyLock<Arc<Swagger<'static>>> = LazyLock::new(|| Arc::new(Swagger::from("../openapi.json")));

/// The headers of every page.
const HEADERS: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=63072000"),
];

/// The default policy of a page: it runs, loads and calls only what its own origin serves, and no site may frame it. The digest is
/// that of the style sheet that Swagger UI writes into its page, for its logo.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='; \
     img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// All routes of the function.
pub fn router(config: SiteConfig) -> Router {
    Router::new()
        .route("/openapi.json", get(openapi))
        // The page's links are relative to its folder.
        .route("/docs", get(async || Redirect::permanent("docs/index.html")))
        .route("/docs/{*path}", get(docs))
        .merge(problems::router())
        .merge(dashboard::router(config))
        .layer(middleware::from_fn(caching::cache))
        .layer(middleware::from_fn(log_and_harden))
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

async fn docs(Path(path): Path<String>) -> Response {
    match utoipa_swagger_ui::serve(&path, Arc::clone(&SWAGGER)) {
        Ok(Some(file)) => ([(header::CONTENT_TYPE, file.content_type)], file.bytes.into_owned()).into_response(),
        Ok(None) => (StatusCode::NOT_FOUND, "Page not found. Start at /docs.").into_response(),
        Err(error) => {
            tracing::error!(error, path, "could not build the page");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn log_and_harden(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let path = gateway::logged_path(request.uri().path());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(POLICY);
    headers.extend(HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))));
    let elapsed_ms = started.elapsed().as_secs_f64() * 1000.0;
    tracing::info!(path, status = response.status().as_u16(), elapsed_ms, "served a page");
    response
}
