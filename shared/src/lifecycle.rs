//! The life of an execution environment: its invocations and an orderly shutdown.
//!
//! Lambda sends SIGTERM to an environment before it ends, but only if an extension is registered in it. Without SIGTERM, the
//! environment leaves its database connection open, and the server may need hours to find it dead. Each function therefore
//! registers an internal extension without events. On SIGTERM the function finishes its invocation and exits.

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
use tokio::sync::{Notify, RwLock, oneshot};
use tokio::task::yield_now;
use tokio::time::timeout;
use tracing::Instrument;

use crate::telemetry;

/// The header that identifies a registered extension.
const IDENTIFIER: &str = "lambda-extension-identifier";
/// How many turns of the event loop the request for the first event gets. It connects and is sent within three. An idle turn takes
/// a microsecond.
const HEAD_START: usize = 8;
/// The runtime is about to request the first event.
static STARTED: Notify = Notify::const_new();
/// How long the start waits for the answer. Lambda's API is on the same machine. Emulators may lack it.
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
    STARTED.notify_one();
    // A task of its own: otherwise tokio polls the sockets once more each time the main future wakes.
    let running = tokio::spawn(runtime.run());
    tokio::select! {
        ended = running => ended?,
        ended = shutdown(&busy) => ended,
    }
}

/// A handler that holds a lock while it runs, and that puts its logs into the invocation's span and trace.
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

/// Runs `ahead` after the runtime has requested the first event. Lambda counts the time until then as initialisation. The runtime
/// does not tell when it has sent the request, and a time would be over too early on a busy CPU. Turns of the event loop are not.
pub fn warm(ahead: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(async {
        STARTED.notified().await;
        for _ in 0..HEAD_START {
            yield_now().await;
        }
        ahead.await;
    });
}

/// Returns after SIGTERM, once the invocation under way has ended.
async fn shutdown(busy: &RwLock<()>) -> Result<(), Error> {
    signal(SignalKind::terminate())?.recv().await;
    drop(busy.write().await);
    tracing::info!("shut down the environment");
    telemetry::flush();
    Ok(())
}

/// Registers the extension, and waits up to [`REGISTER_TIMEOUT`] for the answer. If that fails, the environment gets no SIGTERM, and all
/// else works. An extension that is registered later still reports that it is ready: Lambda waits for that before the first event.
async fn register() {
    let (answered, answer) = oneshot::channel::<()>();
    tokio::spawn(async {
        let registered = Extension::register().await;
        drop(answered);
        match registered {
            Ok(extension) => extension.wait_for_ever().await,
            Err(error) => tracing::debug!(%error, "could not register the extension; Lambda will not send SIGTERM"),
        }
    });
    let _ = timeout(REGISTER_TIMEOUT, answer).await;
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
        let identifier =
            identifier.ok_or_else(|| format!("Lambda answered {} without an identifier", response.status()))?;
        Ok(Self { client, identifier })
    }

    /// Reports that the extension is ready. Lambda does not answer this before the end of the environment, because the extension
    /// has no events.
    async fn wait_for_ever(self) {
        let request = Request::get("/2020-01-01/extension/event/next").header(IDENTIFIER, self.identifier);
        if let Ok(request) = request.body(Body::empty()) {
            let _ = self.client.call(request).await;
        }
    }
}
