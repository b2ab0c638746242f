//! `POST /users/{user_id}/erase`

use axum::Json;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::Serialize;
use shared::order::{Invalid, UserId};
use utoipa::ToSchema;

use crate::call::Call;
use crate::caller::{Admin, Caller};
use crate::json::{NoOptions, OptionalBody};
use crate::problem::{ApiError, Problem, RefusalsOfOptions};
use crate::schemas::UserIdText;

/// The most orders of one statement.
const CHUNK: i64 = 1000;

/// The result of an erasure.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"erased": 3, "more": false})))]
pub struct ErasureReport {
    /// The number of orders that this call changed.
    #[schema(minimum = 0)]
    erased: u64,
    /// Whether the user still has orders. Repeat the call until it has none.
    more: bool,
}

/// Remove a user from the orders that have ended.
///
/// The user's identifier is replaced by a random pseudonym, another one in each order, and the orders' metadata is deleted. No order
/// leads back to the user, and the user's own token no longer finds the orders. If any order of the user is active, or its event is not yet
/// published, the call is refused and changes nothing. A call erases as many orders as its time allows: repeat it while `more` is true. A
/// repeat for a user without orders succeeds and changes nothing. There is no dry run: a body with options is refused.
#[utoipa::path(
    post, path = "/users/{user_id}/erase", tag = "operation", security(("token" = ["orders/admin"])),
    params(("user_id" = inline(UserIdText), Path, description = "The user's identifier", example = "alice")),
    responses(
        (status = 200, body = ErasureReport, description = "The user's ended orders no longer name the user, unless `more` is true"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Some orders of the user are active, or their events not yet published"),
        RefusalsOfOptions,
        (status = 422, body = Problem, content_type = "application/problem+json", description = "The identifier is not valid, or the call has options"),
    )
)]
pub async fn erase(
    call: Call,
    Admin(caller): Admin,
    UserPath(user_id): UserPath,
    _: OptionalBody<NoOptions>,
) -> Result<Json<ErasureReport>, ApiError> {
    let active = call.store.count_active_of(&user_id).await?;
    if active > 0 {
        log(&caller, 0, active);
        let detail = format!(
            "Orders of the user that are active, or whose event is not yet published: {active}. Cancel them or wait for their end. If none is \
             active, see oldest_event_seconds of GET /metrics."
        );
        return Err(ApiError::Conflict(detail));
    }
    let erased = erase_chunks(&call, &user_id).await?;
    log(&caller, erased, 0);
    Ok(Json(ErasureReport { erased, more: call.store.has_orders_of(&user_id).await? }))
}

/// Erases chunk by chunk, and starts none in the second half of the call's time.
async fn erase_chunks(call: &Call, user_id: &UserId) -> Result<u64, ApiError> {
    let last_start = call.deadline.share(1, 2);
    let mut erased = 0;
    while !last_start.is_over() {
        let chunk = call.store.erase_user(user_id, CHUNK).await?;
        erased += chunk;
        if chunk < CHUNK.unsigned_abs() {
            break;
        }
    }
    Ok(erased)
}

/// The log leaves the user out, or the erased identifier would stay there for as long as the log is kept.
fn log(caller: &Caller, erased: u64, active: i64) {
    tracing::info!(caller = caller.user_id().as_str(), erased, active, "erased a user from ended orders");
}

/// The user's identifier in the path. It has no `%`: gateways differ in whether they decode `%25`, and an identifier that is decoded once
/// too often is another user's.
pub struct UserPath(pub UserId);

impl<S: Send + Sync> FromRequestParts<S> for UserPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let invalid = |reason: String| ApiError::invalid("{user_id}", reason);
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(text) = path.map_err(|rejection| invalid(rejection.body_text()))?;
        if text.contains('%') {
            return Err(invalid("must not have `%`, which a gateway may decode once or twice".to_owned()));
        }
        text.parse().map(Self).map_err(|reason: Invalid| invalid(reason.to_string()))
    }
}
