//! The functions' real binaries, and a fulfilment endpoint.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use sandbox::runtime::{self, Environment, InvokeError};
use serde_json::Value;
use tests::World;
use tokio::net::TcpListener;

use super::planted::ENDPOINT_ANSWER;

/// A function in one environment.
pub struct Function(Environment);

impl Function {
    /// Starts the binary that `sam build` made.
    pub async fn start(
        world: &World,
        logical_id: &str,
        overrides: &[(&str, &str)],
        log: &Path,
    ) -> sandbox::Result<Self> {
        let variables = world.variables().chain(overrides.iter().copied());
        let function = runtime::Function {
            name: logical_id.to_owned(),
            bootstrap: format!("../.aws-sam/build/{logical_id}/bootstrap").into(),
            variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            timeout: Duration::from_secs(30),
            log: Some(log.to_owned()),
        };
        Environment::start(&function, format!("{logical_id}-1")).await.map(Self)
    }

    /// Invokes the function with an event. Returns its answer, or its reported error, which a caller may receive too.
    pub async fn invoke(&self, event: &Value) -> String {
        match self.0.invoke(event.to_string().into()).await {
            Ok(answer) => String::from_utf8(answer.to_vec()).unwrap(),
            Err(InvokeError::Function(error)) => error,
            Err(other) => panic!("{other:?}: {event}"),
        }
    }
}

/// Starts an endpoint that refuses one order, fails for a second, does not answer for a third and accepts all others. Returns
/// its URL, and a function that returns the signatures of all calls so far.
pub async fn endpoint() -> (String, impl Fn() -> Vec<String>) {
    let signatures = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&signatures);
    let answer = move |request: Request| {
        let header =
            |name| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        let (order_id, signature) = (header("idempotency-key"), header("webhook-signature"));
        kept.lock().unwrap().extend(signature.split_once("v1,").map(|(_, signature)| signature.to_owned()));
        async move {
            let status = match order_id.as_str() {
                "o-2" => StatusCode::BAD_REQUEST,
                "o-3" => StatusCode::SERVICE_UNAVAILABLE,
                "o-4" => std::future::pending().await,
                _ => StatusCode::OK,
            };
            (status, ENDPOINT_ANSWER)
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, Router::new().fallback(answer)).await });
    (url, move || signatures.lock().unwrap().clone())
}
