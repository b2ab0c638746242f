//! The HTTP calls on orders.
//!
//! A caller is known by the claims that API Gateway has verified and passes on; a call without them is refused. Every
//! answer that is not a success is `application/problem+json`.

mod caller;
mod config;
mod dead_letters;
mod health;
mod json;
mod metrics;
mod orders;
mod problem;

use std::sync::Arc;

use axum::routing::get;
use axum::{Router, middleware};
use shared::config::{ConfigError, Env};
use shared::db::{Db, stats};
use shared::queue::Queue;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use caller::Auth;
use caller::BearerToken;
pub use config::Config;

/// What the handlers share: one for each execution environment.
pub struct Api {
    /// The database.
    pub db: Db,
    queue: Queue,
    dead_letters: Queue,
    config: Config,
    shard: i16,
}

/// The state that every handler is given.
type Shared = axum::extract::State<Arc<Api>>;

impl Api {
    /// Builds the clients; neither has connected yet.
    pub fn new(config: Config, env: &Env) -> Result<Self, ConfigError> {
        let queue = Queue::orders(env)?;
        let dead_letters = queue.dead_letters(env)?;
        let db = Db::new(shared::db::DbConfig::from_env(env)?);
        Ok(Self { db, queue, dead_letters, config, shard: stats::draw_shard() })
    }
}

/// Everything the function serves.
pub fn router(api: Arc<Api>) -> Router {
    let (router, _) = documented_routes().split_for_parts();
    router
        .fallback(problem::no_such_route)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(middleware::from_fn(problem::render))
        .with_state(api)
}

/// The OpenAPI document of [`router`]'s routes, made from the same code.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    documented_routes().into_openapi()
}

fn documented_routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(orders::create::create, orders::list::list))
        .routes(routes!(orders::batch::create_batch))
        .routes(routes!(orders::read::read))
        .routes(routes!(orders::read::read_status))
        .routes(routes!(orders::cancel::cancel))
        .routes(routes!(orders::retry::retry))
        .routes(routes!(orders::retry::retry_many))
        // An order may be called so.
        .route("/orders/batch", get(orders::read::read))
        .route("/orders/retry", get(orders::read::read))
        .routes(routes!(dead_letters::redrive))
        .routes(routes!(metrics::metrics))
        .routes(routes!(health::healthz))
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ordermill",
        description = "Accepts e-commerce orders, acknowledges each once it is durable, processes it once and reports on it."
    ),
    servers((url = "./", description = "The deployment that serves this document")),
    modifiers(&BearerToken),
    components(schemas(problem::Problem, problem::GatewayRefusal)),
    tags(
        (name = "orders", description = "Place orders and follow them"),
        (name = "operation", description = "See how the service is doing"),
    )
)]
struct Document;
