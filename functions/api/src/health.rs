//! `GET /healthz`

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::call::Call;
use crate::problem::{ApiError, RefusalsWithoutToken};

/// The service accepts orders.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Check that the service accepts orders: the database answers and takes writes.
#[utoipa::path(
    get, path = "/healthz", tag = "operation", security(()),
    responses(
        (status = 200, body = Health, description = "The database answers and takes writes"),
        RefusalsWithoutToken,
    )
)]
pub async fn healthz(api: Call) -> Result<Json<Health>, ApiError> {
    api.db.ping().await?;
    Ok(Json(Health { status: "ok" }))
}
