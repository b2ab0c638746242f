//! The caller: its identity and its rights.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use lambda_http::request::RequestContext;
use shared::order::UserId;
use utoipa::Modify;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use crate::Api;
use crate::problem::ApiError;

/// How the API identifies callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// By the claims of a token that the gateway verified.
    Jwt,
    /// No identification: every caller is an administrator. For a developer's own machine.
    Off,
}

impl FromStr for Auth {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "jwt" => Ok(Self::Jwt),
            "off" => Ok(Self::Off),
            _ => Err("must be jwt or off"),
        }
    }
}

/// A permission that a token can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Read the caller's own orders.
    Read,
    /// Create and cancel the caller's own orders.
    Write,
    /// Do everything, on all users' orders.
    Admin,
}

impl Scope {
    /// The scope's name in a token.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "orders/read",
            Self::Write => "orders/write",
            Self::Admin => "orders/admin",
        }
    }
}

/// An authenticated caller. Handlers take it as an argument. A call without one is refused before its handler runs.
#[derive(Debug)]
pub struct Caller {
    user_id: UserId,
    scopes: Vec<Scope>,
}

impl Caller {
    /// Refuses the call unless the caller's token has this scope, or `orders/admin`.
    pub fn require(&self, scope: Scope) -> Result<(), ApiError> {
        if self.is_admin() || self.scopes.contains(&scope) {
            return Ok(());
        }
        Err(ApiError::Forbidden(format!("The token lacks the scope {}.", scope.as_str())))
    }

    /// The caller's own user, whose orders are all it may see; `None` for an administrator.
    pub fn tenant(&self) -> Option<&UserId> {
        (!self.is_admin()).then_some(&self.user_id)
    }

    /// Refuses the call if the caller may not act for this user.
    pub fn require_user(&self, user_id: &UserId) -> Result<(), ApiError> {
        match self.tenant() {
            Some(own) if own != user_id => {
                Err(ApiError::Forbidden("The token's subject is not the user in user_id.".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// The caller's own identifier.
    pub fn user_id(&self) -> &UserId {
        &self.user_id
    }

    fn is_admin(&self) -> bool {
        self.scopes.contains(&Scope::Admin)
    }

    /// Reads verified claims: `sub`, and the scopes in `scope` and `scp`.
    fn from_claims(claims: &HashMap<String, String>) -> Option<Self> {
        let granted = granted(claims);
        let scopes = [Scope::Read, Scope::Write, Scope::Admin];
        let scopes = scopes.into_iter().filter(|scope| granted.contains(&scope.as_str())).collect();
        Some(Self { user_id: claims.get("sub")?.parse().ok()?, scopes })
    }
}

/// Every scope of a token. A string holds them separated by spaces. `scp` may also be a list, which the gateway turns into one
/// string, `[a b]`. Any other character can be part of a scope's name (RFC 6749, 3.3), even a comma or a bracket.
fn granted(claims: &HashMap<String, String>) -> Vec<&str> {
    let claim = |name| claims.get(name).map_or("", String::as_str);
    let (scope, scp) = (claim("scope"), claim("scp"));
    let list = scp.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let listed = list.unwrap_or_default().split(' ').map(|item| item.strip_suffix(',').unwrap_or(item));
    let in_strings = [scope, if list.is_some() { "" } else { scp }].into_iter().flat_map(|text| text.split(' '));
    in_strings.chain(listed).collect()
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        if api.config.auth == Auth::Off {
            let user_id = "local".parse().map_err(|_| ApiError::Unauthorized)?;
            return Ok(Self { user_id, scopes: vec![Scope::Admin] });
        }
        let Some(RequestContext::ApiGatewayV2(context)) = parts.extensions.get() else {
            return Err(ApiError::Unauthorized);
        };
        let verified = context.authorizer.as_ref().and_then(|authorizer| authorizer.jwt.as_ref());
        verified.and_then(|jwt| Self::from_claims(&jwt.claims)).ok_or(ApiError::Unauthorized)
    }
}

/// A caller who may write. This is checked before the body is read.
pub struct Writer(pub Caller);

impl FromRequestParts<Arc<Api>> for Writer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, api).await?;
        caller.require(Scope::Write)?;
        Ok(Self(caller))
    }
}

/// An administrator. This is checked before the body is read.
pub struct Admin(pub Caller);

impl FromRequestParts<Arc<Api>> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, api).await?;
        caller.require(Scope::Admin)?;
        Ok(Self(caller))
    }
}

/// Declares the bearer token in the OpenAPI document.
pub struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(claims: &[(&str, &str)]) -> Option<Caller> {
        Caller::from_claims(&claims.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn scopes_are_read_from_strings_and_lists() {
        let (strings, lists) =
            ("orders/read orders/write", ["[orders/read orders/write]", "[orders/read, orders/write]"]);
        for claims in [
            &[("scope", strings)][..],
            &[("scp", strings)],
            &[("scp", lists[0])],
            &[("scp", lists[1])],
            &[("scope", "openid orders/read"), ("scp", "[orders/write]")],
        ] {
            let caller = caller(&[&[("sub", "alice")], claims].concat()).unwrap();
            assert_eq!(caller.scopes, [Scope::Read, Scope::Write], "{claims:?}");
            assert!(caller.require(Scope::Admin).is_err());
        }
    }

    #[test]
    fn caller_without_admin_is_restricted_to_its_own_orders() {
        let alice = caller(&[("sub", "alice"), ("scope", "orders/write")]).unwrap();
        assert!(alice.require_user(&"alice".parse().unwrap()).is_ok());
        assert!(alice.require_user(&"bob".parse().unwrap()).is_err());
        let admin = caller(&[("sub", "root"), ("scope", "orders/admin")]).unwrap();
        assert!(admin.require_user(&"bob".parse().unwrap()).is_ok());
        assert_eq!(admin.tenant(), None);
    }

    #[test]
    fn claims_without_a_valid_subject_are_refused() {
        assert!(caller(&[("scope", "orders/admin")]).is_none());
        assert!(caller(&[("sub", ""), ("scope", "orders/admin")]).is_none());
    }

    #[test]
    fn scope_that_resembles_another_grants_nothing() {
        for scope in [
            "orders/reader",
            "xorders/admin",
            "ORDERS/ADMIN",
            "x,orders/admin",
            "orders/admin,",
            "[orders/admin]",
            "[x orders/admin]",
            "\"orders/admin\"",
            "orders/admin\tx",
            "orders/*",
            "orders",
        ] {
            assert!(caller(&[("sub", "alice"), ("scope", scope)]).unwrap().scopes.is_empty(), "{scope}");
        }
        for list in
            ["[x,orders/admin]", "[orders/admin", "orders/admin]", "[\"orders/admin\"]", "[[orders/admin]]", "[]"]
        {
            assert!(caller(&[("sub", "alice"), ("scp", list)]).unwrap().scopes.is_empty(), "{list}");
        }
    }
}
