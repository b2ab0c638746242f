//! An execution environment's life: invocations, and an orderly end.
//!
//! Lambda tells an environment of its end, by SIGTERM, only where an extension is registered in it. One that is not told
//! leaves its database connection for the server to find dead, which can take hours. So a function registers an
//! internal extension that wants no events, and ends once it is told to and no invocation is under way.
//! <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-shutdown>

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, Request};
use lambda_runtime::layers::TracingLayer;
use lambda_runtime::tower::util::MapFutureLayer;
use lambda_runtime::{Diagnostic, Error, IntoFunctionResponse, LambdaEvent, Runtime, Service};
use lambda_runtime_api_client::Client;
use lambda_runtime_api_client::body::Body;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::RwLock;
use tokio::time::timeout;

/// The header by which a registered extension is known.
const IDENTIFIER: &str = "lambda-extension-identifier";
/// How long registering may take. The API is on this machine; emulators may not have it.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(1);

/// Has `handler` handle invocations until the environment ends.
pub async fn run<H, A, R>(handler: H) -> Result<(), Error>
where
    H: Service<
            LambdaEvent<A>,
            Response = R,
            Future: Future<Output = Result<R, H::Error>>,
            Error: Into<Diagnostic> + Debug,
        >,
    A: for<'de> Deserialize<'de>,
    R: IntoFunctionResponse<R, Body> + Serialize,
{
    let busy = Arc::new(RwLock::new(()));
    let under_way = Arc::clone(&busy);
    let hold = move |invocation| {
        let under_way = Arc::clone(&under_way);
        // Boxed, because the compiler gives up on a future as deep as the whole function.
        Box::pin(async move {
            let _busy = under_way.read().await;
            invocation.await
        })
    };
    let runtime = Runtime::new(handler).layer(TracingLayer::new()).layer(MapFutureLayer::new(hold));
    register().await;
    tokio::select! {
        ended = runtime.run() => ended,
        ended = told_to_end(&busy) => ended,
    }
}

/// Comes back once the environment has been told to end and no invocation is under way any more.
async fn told_to_end(busy: &RwLock<()>) -> Result<(), Error> {
    signal(SignalKind::terminate())?.recv().await;
    drop(busy.write().await);
    tracing::info!("the environment ends");
    Ok(())
}

/// Registers the extension; without it the environment is not told of its end, and otherwise all is the same.
async fn register() {
    match timeout(REGISTER_TIMEOUT, Extension::register()).await {
        Ok(Ok(extension)) => drop(tokio::spawn(extension.wait_for_ever())),
        Ok(Err(error)) => tracing::debug!(%error, "no extension could be registered"),
        Err(elapsed) => tracing::debug!(%elapsed, "no extension could be registered"),
    }
}

/// The internal extension that makes Lambda send SIGTERM.
/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>
struct Extension {
    client: Client,
    identifier: HeaderValue,
}

impl Extension {
    async fn register() -> Result<Self, Error> {
        let client = Client::builder().build()?;
        let request = Request::post("/2020-01-01/extension/register")
            .header("lambda-extension-name", "ordermill")
            .body(Body::from(r#"{"events":[]}"#))?;
        let response = client.call(request).await?;
        let identifier = response.headers().get(IDENTIFIER).cloned();
        let identifier = identifier.ok_or_else(|| format!("registering was answered {}", response.status()))?;
        Ok(Self { client, identifier })
    }

    /// Says that the extension is ready. As it wants no events, this is not answered before the environment's end.
    async fn wait_for_ever(self) {
        let request = Request::get("/2020-01-01/extension/event/next").header(IDENTIFIER, self.identifier);
        if let Ok(request) = request.body(Body::empty()) {
            let _ = self.client.call(request).await;
        }
    }
}
