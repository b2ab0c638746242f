//! The HTTP API.
//!
//! API Gateway verifies a caller's token and passes its claims on. A call without claims is refused. Every answer that is not a
//! success is `application/problem+json`.

mod answer_size;
mod call;
mod caller;
mod config;
mod dead_letters;
mod health;
mod json;
mod media_type;
mod metrics;
mod orders;
mod pause;
mod problem;
mod query;
mod schemas;
mod scopes;
mod users;
mod webhooks;

use std::sync::Arc;

use axum::routing::{MethodRouter, get};
use axum::{Router, middleware};
use shared::config::{ConfigError, Env};
use shared::db::{Database, DbConfig};
use shared::queue::Queue;
use utoipa::OpenApi;

pub use caller::Auth;
pub use config::ApiConfig;

/// The state that calls share, one for each execution environment.
pub struct Api {
    /// The database.
    pub database: Arc<Database>,
    queue: Queue,
    dead_letters: Queue,
    config: ApiConfig,
}

impl Api {
    /// Builds the clients. They connect at their first use.
    pub fn new(config: ApiConfig, env: &Env) -> Result<Self, ConfigError> {
        let queue = Queue::orders(env)?;
        let dead_letters = queue.dead_letters(env)?;
        let database = Database::new(DbConfig::from_env(env)?);
        Ok(Self { database, queue, dead_letters, config })
    }
}

/// All routes of the function.
pub fn router(api: Arc<Api>) -> Router {
    documented_routes()
        // An order may have the identifier `batch`, `cancel` or `retry`, whose routes hide that of `/orders/{order_id}`.
        .route("/orders/batch", get(orders::read::read))
        .route("/orders/cancel", get(orders::read::read))
        .route("/orders/retry", get(orders::read::read))
        .fallback(problem::no_such_route)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(middleware::from_fn(problem::render))
        .with_state(api)
}

/// The OpenAPI document of [`router`]'s routes, built from the same list, and of the calls that others receive. The deployed function
/// does not contain it.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    document.merge(Routes::openapi());
    scopes::describe(&mut document);
    let mut webhooks = webhooks::Webhooks::openapi();
    document.webhooks = Some(std::mem::take(&mut webhooks.paths));
    document.merge(webhooks);
    document
}

/// Defines the router and the paths of the OpenAPI document.
macro_rules! routes {
    ($($path:literal { $($method:ident => $($handler:ident)::+),+ })+) => {
        fn documented_routes() -> Router<Arc<Api>> {
            Router::new()$(.route($path, MethodRouter::new()$(.$method($($handler)::+))+))+
        }

        #[derive(OpenApi)]
        #[openapi(paths($($($($handler)::+),+),+))]
        struct Routes;
    };
}

routes! {
    "/orders" { post => orders::create::create, get => orders::list::list }
    "/orders/batch" { post => orders::batch::create_batch }
    "/orders/{order_id}" { get => orders::read::read }
    "/orders/{order_id}/status" { get => orders::read::read_status }
    "/orders/{order_id}/history" { get => orders::history::read_history }
    "/orders/{order_id}/cancel" { post => orders::cancel::cancel }
    "/orders/{order_id}/retry" { post => orders::retry::retry }
    "/orders/cancel" { post => orders::cancel_many::cancel_many }
    "/orders/retry" { post => orders::retry::retry_many }
    "/dead-letters/redrive" { post => dead_letters::redrive }
    "/users/{user_id}/erase" { post => users::erase }
    "/processing/pause" { post => pause::pause }
    "/processing/resume" { post => pause::resume }
    "/metrics" { get => metrics::metrics }
    "/healthz" { get => health::healthz }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ordermill",
        description = "Accepts e-commerce orders, acknowledges each once it is durable, processes it once and reports its status.",
        contact(name = "The operator of this deployment")
    ),
    servers((url = ".", description = "The deployment that serves this document")),
    components(schemas(problem::Problem, problem::GatewayRefusal)),
    tags(
        (name = "orders", description = "Create orders and follow them"),
        (name = "operation", description = "Monitor and repair the service"),
    )
)]
struct Document;
