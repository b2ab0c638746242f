//! `GET /healthz`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Shared;
use crate::problem::{ApiError, RefusalsWithoutToken};

/// The service can take orders.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether the service can take orders: whether the database answers.
#[utoipa::path(
    get, path = "/healthz", tag = "operation", security(()),
    responses(
        (status = 200, body = Health, description = "The database answers"),
        RefusalsWithoutToken,
    )
)]
pub async fn healthz(State(api): Shared) -> Result<Json<Health>, ApiError> {
    api.db.ping().await?;
    Ok(Json(Health { status: "ok" }))
}
