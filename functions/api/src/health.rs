//! `GET /healthz`

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::call::Call;
use crate::problem::{ApiError, RefusalsWithoutToken};

/// The service accepts orders.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"status": "ok"})))]
pub struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Check that the service accepts orders: the database answers and takes writes.
///
/// The call needs no token, for a load balancer or a monitor. 503 means that the service accepts no order at present.
#[utoipa::path(
    get, path = "/healthz", tag = "operation", security(()),
    responses(
        (status = 200, body = Health, description = "The database answers and takes writes"),
        RefusalsWithoutToken,
    )
)]
pub async fn healthz(call: Call) -> Result<Json<Health>, ApiError> {
    call.store.ping().await?;
    Ok(Json(Health { status: "ok" }))
}
