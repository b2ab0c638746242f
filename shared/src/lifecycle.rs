//! An execution environment's life: invocations, and an orderly end.
//!
//! Lambda tells an environment of its end, by SIGTERM, only where an extension is registered in it. One that is not told
//! leaves its database connection for the server to find dead, which can take hours. So a function registers an
//! internal extension that wants no events, and ends once it is told to and no invocation is under way.
//! <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-shutdown>

use std::fmt::Debug;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{HeaderValue, Request};
use futures_util::future::BoxFuture;
use lambda_runtime::tower::layer::layer_fn;
use lambda_runtime::{Diagnostic, Error, IntoFunctionResponse, LambdaEvent, LambdaInvocation, Runtime, Service};
use lambda_runtime_api_client::Client;
use lambda_runtime_api_client::body::Body;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::RwLock;
use tokio::time::{sleep, timeout};
use tracing::Instrument;

use crate::telemetry;

/// The header by which a registered extension is known.
const IDENTIFIER: &str = "lambda-extension-identifier";
/// What asking for an event takes, about. It does no harm where it takes longer.
const HEAD_START: Duration = Duration::from_millis(1);
/// How long registering may take. The API is on this machine; emulators may not have it.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs `handler` for each invocation, one at a time, until the environment ends.
pub async fn run<H, A, R>(handler: H) -> Result<(), Error>
where
    H: Service<LambdaEvent<A>, Response = R, Future: Future<Output = Result<R, H::Error>> + Send + 'static>,
    H: Clone + Send + 'static,
    H::Error: Into<Diagnostic> + Debug + Send + 'static,
    A: DeserializeOwned + Send + 'static,
    R: IntoFunctionResponse<R, Body> + Serialize + Send + 'static,
{
    let busy = Arc::new(RwLock::new(()));
    let under_way = Arc::clone(&busy);
    let watched = layer_fn(move |inner| Watched { inner, busy: Arc::clone(&under_way) });
    let runtime = Runtime::new(handler).layer(watched);
    register().await;
    tokio::select! {
        ended = runtime.run() => ended,
        ended = told_to_end(&busy) => ended,
    }
}

/// A handler, of which it is known whether it is at work, and what its logs belong to.
#[derive(Clone)]
struct Watched<S> {
    inner: S,
    busy: Arc<RwLock<()>>,
}

impl<S> Service<LambdaInvocation> for Watched<S>
where
    S: Service<LambdaInvocation, Response = (), Error = Error>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = Error;
    // Boxed, because the compiler gives up on a future as deep as the whole function.
    type Future = BoxFuture<'static, Result<(), Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, invocation: LambdaInvocation) -> Self::Future {
        let span = telemetry::span_of(&invocation.context);
        let trace = invocation.context.xray_trace_id.clone();
        let (busy, handled) = (Arc::clone(&self.busy), self.inner.call(invocation));
        let watched = async move {
            let _busy = busy.read().await;
            let handled = telemetry::within(trace.as_deref(), handled).await;
            telemetry::flush_if_due();
            handled
        };
        Box::pin(watched.instrument(span))
    }
}

/// Does what can be done ahead of the first event, once that has been asked for: Lambda counts the time until then.
pub fn warm(ahead: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(async {
        sleep(HEAD_START).await;
        ahead.await;
    });
}

/// Comes back once the environment has been told to end and no invocation is under way any more.
async fn told_to_end(busy: &RwLock<()>) -> Result<(), Error> {
    signal(SignalKind::terminate())?.recv().await;
    drop(busy.write().await);
    tracing::info!("the environment ends");
    telemetry::flush();
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
