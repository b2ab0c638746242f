//! Caching in browsers. They keep files whose path names their release for good. They revalidate everything else at each request and
//! get a 304 while it is unchanged, so that a page never mixes files of two releases.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// The `Cache-Control` of files whose path names their release.
pub(crate) const KEPT_FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const REVALIDATED: HeaderValue = HeaderValue::from_static("no-cache");
const NEVER_STORED: HeaderValue = HeaderValue::from_static("no-store");

/// Adds `Cache-Control` to an answer without one, and answers 304 to a browser that has the content already.
pub(crate) async fn cache(request: Request, next: Next) -> Response {
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let mut response = next.run(request).await;
    if response.headers().contains_key(header::CACHE_CONTROL) {
        return response;
    }
    if response.status() != StatusCode::OK {
        response.headers_mut().insert(header::CACHE_CONTROL, NEVER_STORED);
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The body is in memory already.
    let Ok(bytes) = to_bytes(body, usize::MAX).await else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let tag = format!("\"{}\"", digest([&bytes[..]]));
    parts.headers.insert(header::CACHE_CONTROL, REVALIDATED);
    parts.headers.extend(HeaderValue::from_str(&tag).map(|tag| (header::ETAG, tag)));
    if known.is_some_and(|known| known.to_str().is_ok_and(|known| known.contains(&tag))) {
        parts.headers.remove(header::CONTENT_TYPE);
        return (StatusCode::NOT_MODIFIED, parts.headers).into_response();
    }
    Response::from_parts(parts, bytes.into())
}

/// A short digest of all parts.
pub(crate) fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let whole = parts.into_iter().fold(Sha256::new(), Sha256::chain_update);
    hex::encode(&whole.finalize()[..8])
}
