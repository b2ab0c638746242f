//! The real binaries in execution environments that are frozen, lose their connections and receive SIGTERM.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sandbox::gateway::Gateway;
use sandbox::merchant::{Merchant, Reply};
use sandbox::runtime::{Environment, Function, Pool};
use sandbox::server::{Server, json as json_of};
use serde_json::{Value, json};
use tests::{World, webhook};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::slow::{connections, create, function, messages, start};

/// A function of this world, with the binary that `sam build` made and more variables, which override the world's.
pub fn function_with(world: &World, name: &str, logical_id: &str, more: &[(&str, &str)]) -> Function {
    let variables = world.variables().chain([("AWS_ACCESS_KEY_ID", name)]).chain(more.iter().copied());
    let bootstrap = format!("../.aws-sam/build/{logical_id}/bootstrap").into();
    Function::new(name, bootstrap, variables, Duration::from_secs(15))
}

/// Starts a function of this world, which logs into this file as on AWS.
pub async fn start_logged(
    world: &World,
    logical_id: &str,
    more: &[(&str, &str)],
    log: &Path,
) -> sandbox::Result<Environment> {
    let as_on_aws = [("AWS_LAMBDA_LOG_FORMAT", "JSON"), ("STACK", "ordermill-prod")];
    let function = function_with(world, logical_id, logical_id, &[&as_on_aws, more].concat());
    let function = Function { timeout: Duration::from_secs(30), log: Some(log.to_owned()), ..function };
    Environment::start(&function, logical_id.to_owned()).await
}

/// A pool with one environment of the api, and its gateway.
fn api(world: &World) -> (Arc<Pool>, Gateway) {
    let pool = Arc::new(Pool::new(function(world, "api", &[]), 1));
    (Arc::clone(&pool), Gateway::new(pool))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn connection_lost_during_a_freeze_fails_no_request() {
    let world = World::new().await;
    let (pool, gateway) = api(&world);
    assert_eq!(create(&gateway, "o-1").await.status, 201);
    for number in 2..=4 {
        let environment = pool.running().pop().unwrap();
        environment.pause();
        assert_eq!(world.cut_connections().await, 1);
        environment.resume();
        assert_eq!(create(&gateway, &format!("o-{number}")).await.status, 201);
    }
    assert_eq!((pool.started(), world.order_count().await), (1, 4));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn connection_lost_during_a_freeze_fails_no_batch() {
    let world = World::with(&[("PROCESSING_DELAY_SECONDS", "0")]).await;
    world.create("o-1").await;
    world.create("o-2").await;
    let processor = start(&world, "processor", &[]).await;
    processor.invoke(messages(&["o-1"])).await.unwrap();
    processor.pause();
    assert!(world.cut_connections().await >= 1);
    processor.resume();
    let response: Value = serde_json::from_slice(&processor.invoke(messages(&["o-2"])).await.unwrap()).unwrap();
    assert_eq!(response, json!({"batchItemFailures": []}));
    assert_eq!((world.status("o-1").await.as_str(), world.status("o-2").await.as_str()), ("completed", "completed"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn sigterm_ends_an_environment_and_closes_its_connection() {
    let world = World::new().await;
    let (pool, gateway) = api(&world);
    assert_eq!(create(&gateway, "o-1").await.status, 201);
    let environment = pool.running().pop().unwrap();
    environment.terminate();
    timeout(Duration::from_secs(5), environment.exited()).await.expect("it ends");
    // A pooler keeps its own for five seconds more.
    tests::until("no connection is left", Duration::from_secs(15), async || connections(&world).await.0 == 0).await;
}

/// Lambda sends no event before every registered extension has reported that it is ready.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn extension_that_is_registered_late_reports_that_it_is_ready() {
    let ready = Arc::new(Notify::new());
    let reported = Arc::clone(&ready);
    let runtime_api = Server::start(move |request| {
        let reported = Arc::clone(&reported);
        async move {
            match request.uri().path() {
                "/2020-01-01/extension/register" => {
                    sleep(Duration::from_millis(1500)).await;
                    let mut registered = json_of(200, "{}");
                    registered.headers_mut().insert("lambda-extension-identifier", "extension".parse().unwrap());
                    return Some(registered);
                }
                "/2020-01-01/extension/event/next" => reported.notify_one(),
                _ => {}
            }
            std::future::pending().await
        }
    });
    let (world, server) = (World::new().await, runtime_api.await.unwrap());
    let address = server.address().to_string();
    let runtime_api = [("AWS_LAMBDA_RUNTIME_API", &*address)];
    tokio::select! {
        () = ready.notified() => {}
        _ = start(&world, "sweeper", &runtime_api) => panic!("it does not report"),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the built functions: `make test` runs it"]
async fn sigterm_during_work_lets_the_environment_answer_first() {
    let (called, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (calls, answers) = (Arc::clone(&called), Arc::clone(&answer));
    let merchant = Merchant::start(move |_| {
        let answers = Arc::clone(&answers);
        calls.notify_one();
        async move {
            answers.notified().await;
            Some(Reply::of(200))
        }
    });
    let merchant = merchant.await.unwrap();
    let world = World::with(&webhook(&merchant.url())).await;
    world.create("o-1").await;
    let processor = start(&world, "processor", &[]).await;
    let terminating = async {
        called.notified().await;
        processor.terminate();
        answer.notify_one();
    };
    let (response, ()) = tokio::join!(processor.invoke(messages(&["o-1"])), terminating);
    assert_eq!(serde_json::from_slice::<Value>(&response.unwrap()).unwrap(), json!({"batchItemFailures": []}));
    timeout(Duration::from_secs(5), processor.exited()).await.expect("it ends");
    assert_eq!(world.status("o-1").await, "completed");
}
