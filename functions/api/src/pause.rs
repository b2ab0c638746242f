//! `POST /processing/pause` and `POST /processing/resume`

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Request};
use serde::{Deserialize, Serialize};
use shared::db::pause::Pause;
use shared::order::is_label;
use shared::timestamp;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::call::Call;
use crate::caller::Admin;
use crate::problem::{ApiError, RefusalsOfOptions};
use crate::{Api, json};

/// The longest reason, in characters.
const MAX_REASON: usize = 500;

/// Why an operator pauses or resumes processing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"reason": "the warehouse is closed for stocktaking"})))]
pub struct ProcessingChange {
    /// The reason, for the log and, during a pause, for the metrics.
    #[schema(min_length = 1, max_length = 500, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    reason: String,
}

impl FromRequest<Arc<Api>> for ProcessingChange {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<Api>) -> Result<Self, ApiError> {
        let body = json::read(request, json::MAX_BYTES).await?;
        let change: Self = json::members(&body)?;
        if !is_label(&change.reason, MAX_REASON) {
            let detail = "must be 1 to 500 characters, none of them a control character";
            return Err(ApiError::invalid("#/reason", detail));
        }
        Ok(change)
    }
}

/// Whether processing is paused.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Processing, examples(json!({"pause": {"since": "2026-01-05T09:30:00.123456Z",
    "reason": "the warehouse is closed for stocktaking", "by": "admin"}})))]
pub struct ProcessingView {
    /// The pause; null while processing runs.
    #[schema(required)]
    pause: Option<PauseView>,
}

/// A pause of processing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pause)]
pub struct PauseView {
    /// When it began.
    #[serde(with = "shared::timestamp")]
    since: OffsetDateTime,
    /// Why.
    #[schema(example = "the warehouse is closed for stocktaking")]
    reason: String,
    /// The operator who paused processing: the subject of the token.
    #[schema(example = "admin")]
    by: String,
}

impl From<Pause> for PauseView {
    fn from(Pause { since, reason, by }: Pause) -> Self {
        Self { since, reason, by }
    }
}

/// Pause processing.
///
/// Orders are accepted and wait. No worker starts an attempt until processing is resumed; attempts that have started go on to their
/// end. Pausing again changes the reason and keeps the start and the operator of the pause.
#[utoipa::path(
    post, path = "/processing/pause", tag = "operation", security(("token" = ["orders/admin"])),
    request_body = ProcessingChange,
    responses((status = 200, body = ProcessingView, description = "Processing is paused"), RefusalsOfOptions)
)]
pub async fn pause(
    call: Call,
    Admin(caller): Admin,
    change: ProcessingChange,
) -> Result<Json<ProcessingView>, ApiError> {
    let caller = caller.user_id().as_str();
    let pause = call.store.pause_processing(&change.reason, caller).await?;
    tracing::info!(caller, reason = change.reason, since = timestamp::format(pause.since), "paused processing");
    Ok(Json(ProcessingView { pause: Some(pause.into()) }))
}

/// Resume processing.
///
/// The sweeper enqueues the orders that waited, from its next run on. Resuming while processing runs succeeds and changes nothing.
#[utoipa::path(
    post, path = "/processing/resume", tag = "operation", security(("token" = ["orders/admin"])),
    request_body = ProcessingChange,
    responses((status = 200, body = ProcessingView, description = "Processing runs"), RefusalsOfOptions)
)]
pub async fn resume(
    call: Call,
    Admin(caller): Admin,
    change: ProcessingChange,
) -> Result<Json<ProcessingView>, ApiError> {
    let caller = caller.user_id().as_str();
    let ended = call.store.resume_processing().await?;
    let since = ended.and_then(|pause| timestamp::format(pause.since));
    tracing::info!(caller, reason = change.reason, since, "resumed processing");
    Ok(Json(ProcessingView { pause: None }))
}
