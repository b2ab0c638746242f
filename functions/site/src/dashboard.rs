//! The dashboard: a page that calls the API from the browser. The function serves its files and the settings for signing in.
//!
//! A page loads only files of its own release: their path contains a digest of all files. Browsers keep such files for good, and the
//! page not at all. Files of another release are not found, and `fresh.js` then reloads the page.

use std::sync::{Arc, LazyLock};

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Json, Router};

use crate::caching::{KEPT_FOR_GOOD, digest};
use crate::config::SiteConfig;

macro_rules! files {
    ($($name:literal),+ $(,)?) => { [$(($name, include_bytes!(concat!("../assets/dashboard/", $name)))),+] };
}

/// The page and the files that it loads.
const FILES: &[(&str, &[u8])] = &files![
    "address.js",
    "api.js",
    "ask.js",
    "bulk.js",
    "charts.js",
    "clock.js",
    "dom.js",
    "failures.js",
    "filters.js",
    "format.js",
    "fresh.js",
    "history.js",
    "icon.svg",
    "index.html",
    "layout.css",
    "look.css",
    "main.js",
    "numbers.css",
    "numbers.js",
    "operate.css",
    "order.css",
    "order.js",
    "orders.css",
    "orders.js",
    "pause.js",
    "poll.js",
    "range.js",
    "selection.js",
    "session.js",
    "signin.js",
    "states.css",
    "status.js",
    "throughput.js",
    "timeline.js",
    "uplot/LICENSE",
    "uplot/uplot.min.css",
    "uplot/uplot.min.js",
];

/// The release: a digest that changes with any file.
static RELEASE: LazyLock<String> =
    LazyLock::new(|| digest(FILES.iter().flat_map(|(name, bytes)| [name.as_bytes(), bytes])));
/// The placeholder for the release in a link.
const RELEASE_IN_PAGE: &str = "RELEASE/";

struct Dashboard {
    config: SiteConfig,
    policy: String,
}

/// The dashboard's routes.
pub(crate) fn router(config: SiteConfig) -> Router {
    let policy = policy(&config);
    Router::new()
        // The page's links are relative to its folder.
        .route("/dashboard", get(async || Redirect::permanent("dashboard/index.html")))
        .route("/dashboard/config.json", get(settings))
        .route("/dashboard/index.html", get(page))
        .route("/dashboard/fresh.js", get(async || served("fresh.js")))
        .route("/dashboard/{*path}", get(asset))
        .with_state(Arc::new(Dashboard { config, policy }))
}

async fn settings(State(dashboard): State<Arc<Dashboard>>) -> Response {
    Json(&dashboard.config).into_response()
}

async fn page(State(dashboard): State<Arc<Dashboard>>) -> Response {
    static PAGE: LazyLock<String> = LazyLock::new(|| in_this_release(include_str!("../assets/dashboard/index.html")));
    ([(header::CONTENT_SECURITY_POLICY, dashboard.policy.as_str())], Html(PAGE.as_str())).into_response()
}

/// Replaces the placeholder in a page's links by this release.
pub(crate) fn in_this_release(page: &str) -> String {
    page.replace(RELEASE_IN_PAGE, &format!("{}/", *RELEASE))
}

async fn asset(Path(path): Path<String>) -> Response {
    match path.split_once('/') {
        Some((release, name)) if release == *RELEASE => {
            let mut response = served(name);
            if response.status() == StatusCode::OK {
                response.headers_mut().insert(header::CACHE_CONTROL, KEPT_FOR_GOOD);
            }
            response
        }
        _ => missing(),
    }
}

fn served(name: &str) -> Response {
    let found = file(name).map(|(content_type, bytes)| ([(header::CONTENT_TYPE, content_type)], bytes));
    found.map_or_else(missing, IntoResponse::into_response)
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, "Page not found. Start at /dashboard.").into_response()
}

/// The page's policy: it runs and loads only its own files, and calls only the API and the origins of the sign-in.
fn policy(config: &SiteConfig) -> String {
    let connect = [&["'self'".to_owned()], config.origins()].concat().join(" ");
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src {connect}; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}

fn file(path: &str) -> Option<(&'static str, &'static [u8])> {
    let (name, bytes) = FILES.iter().find(|(name, _)| *name == path)?;
    let content_type = match name.rsplit('.').next()? {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "js" => "text/javascript; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    };
    Some((content_type, bytes))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sha2::{Digest, Sha256};
    use shared::config::Env;

    use super::*;

    const MOST_BYTES: usize = 200_000;

    fn text(path: &str) -> &'static str {
        std::str::from_utf8(file(path).unwrap().1).unwrap()
    }

    #[test]
    fn page_is_smaller_than_its_limit() {
        let size: usize = FILES.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(size <= MOST_BYTES, "{size} bytes");
    }

    #[test]
    fn page_links_only_to_files_of_its_release() {
        let page = in_this_release(text("index.html"));
        let links = page.split('"').filter(|part| file(part.rsplit('/').next().unwrap()).is_some());
        for link in links.filter(|link| *link != "fresh.js") {
            assert!(link.starts_with(&format!("{}/", *RELEASE)), "{link}");
        }
        assert_eq!(page.matches(RELEASE.as_str()).count(), text("index.html").matches(RELEASE_IN_PAGE).count());
    }

    #[test]
    fn served_files_are_exactly_those_that_the_page_names() {
        let sources = FILES.iter().filter(|(name, _)| !name.starts_with("uplot/"));
        let sources = sources.map(|(name, _)| text(name)).collect::<String>();
        for (name, _) in FILES {
            assert!(*name == "index.html" || sources.contains(&format!("{name}\"")), "nothing names {name}");
        }
        let words = text("index.html").split_whitespace();
        let links = words.filter_map(|word| word.strip_prefix("href=\"").or_else(|| word.strip_prefix("src=\"")));
        let named = links.filter(|link| !link.starts_with('#')).filter_map(|link| link.split('"').next());
        for name in named.map(|name| name.trim_start_matches(RELEASE_IN_PAGE)).collect::<BTreeSet<_>>() {
            assert!(file(name).is_some(), "{name} is not served");
        }
    }

    #[test]
    fn page_has_no_foreign_link_and_no_inline_code() {
        let page = text("index.html");
        for part in ["//", "<style", "style=", "onclick", "<script>"] {
            assert!(!page.contains(part), "{part}");
        }
    }

    #[test]
    fn chart_library_has_the_digest_of_the_npm_package() {
        for line in include_str!("../assets/dashboard/uplot/SHA256SUMS").lines() {
            let (sum, name) = line.split_once("  ").unwrap();
            let (_, bytes) = file(&format!("uplot/{name}")).unwrap();
            assert_eq!(hex::encode(Sha256::digest(bytes)), sum, "{name}");
        }
    }

    #[test]
    fn policy_allows_calls_to_the_issuer_and_no_other_host() {
        let connect = |config: &SiteConfig| {
            policy(config).split("; ").find(|part| part.starts_with("connect")).map(str::to_owned)
        };
        assert_eq!(connect(&SiteConfig::default()).unwrap(), "connect-src 'self'");
        let env = Env::from_iter([
            ("SIGN_IN_CLIENT_ID", "dashboard"),
            ("SIGN_IN_ISSUER", "https://issuer.example.com/pool"),
            ("SIGN_IN_SCOPES", "openid"),
        ]);
        let config = SiteConfig::from_env(&env).unwrap();
        assert_eq!(connect(&config).unwrap(), "connect-src 'self' https://issuer.example.com");
    }
}
