//! The caller: its identity and its rights.

mod claims;
mod scope;

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use lambda_http::request::RequestContext;
use shared::db::history::Actor;
use shared::order::UserId;

use crate::Api;
use crate::problem::ApiError;

pub use scope::Scope;

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

/// An authenticated caller. Handlers take it as an argument. A call without one is refused before its handler runs.
#[derive(Debug)]
pub struct Caller {
    user_id: UserId,
    client: Option<String>,
    scopes: Vec<Scope>,
}

impl Caller {
    /// Refuses the call unless the caller's token has this scope, or `orders/admin`.
    pub fn require(&self, scope: Scope) -> Result<(), ApiError> {
        if self.has(scope) {
            return Ok(());
        }
        Err(ApiError::Forbidden(format!("The token lacks the scope {}.", scope.as_str())))
    }

    /// The user whose orders the caller may read; `None` means every user. Refuses the call of a caller that may read none.
    pub fn reads_only_for(&self) -> Result<Option<&UserId>, ApiError> {
        self.user_for(Scope::Read, Scope::ReadAll)
    }

    /// The user whose orders the caller may create and cancel; `None` means every user. Refuses the call of a caller that may write
    /// none.
    pub fn writes_only_for(&self) -> Result<Option<&UserId>, ApiError> {
        self.user_for(Scope::Write, Scope::WriteAll)
    }

    /// Refuses the call unless the caller may read this user's orders.
    pub fn require_reads_for(&self, user_id: &UserId) -> Result<(), ApiError> {
        require_user(self.reads_only_for()?, user_id)
    }

    /// Refuses the call unless the caller may create and cancel this user's orders.
    pub fn require_writes_for(&self, user_id: &UserId) -> Result<(), ApiError> {
        require_user(self.writes_only_for()?, user_id)
    }

    /// The caller's own identifier.
    pub fn user_id(&self) -> &UserId {
        &self.user_id
    }

    /// The caller, as the history of an order names it.
    pub fn actor(&self) -> Actor<'_> {
        Actor { subject: &self.user_id, client: self.client.as_deref() }
    }

    fn user_for(&self, own: Scope, all: Scope) -> Result<Option<&UserId>, ApiError> {
        if self.has(all) {
            return Ok(None);
        }
        self.require(own)?;
        Ok(Some(&self.user_id))
    }

    fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }

    /// Reads verified claims: `sub`, and the scopes in `scope` and `scp`. A member of `admin_group` has `orders/admin` as well.
    fn from_claims(claims: &HashMap<String, String>, admin_group: Option<&str>) -> Option<Self> {
        let granted = claims::scopes(claims);
        let mut scopes: Vec<_> = Scope::ALL.into_iter().filter(|scope| granted.contains(&scope.as_str())).collect();
        if admin_group.is_some_and(|group| claims::groups(claims).contains(&group)) {
            scopes.push(Scope::Admin);
        }
        Some(Self { user_id: claims.get("sub")?.parse().ok()?, client: claims::client(claims), scopes })
    }
}

/// Refuses the call if the caller may act only for `own`, and `user_id` is another user.
fn require_user(own: Option<&UserId>, user_id: &UserId) -> Result<(), ApiError> {
    match own {
        Some(own) if own != user_id => {
            Err(ApiError::Forbidden("The token's subject is not the user in user_id.".to_owned()))
        }
        _ => Ok(()),
    }
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        if api.config.auth == Auth::Off {
            let user_id = "local".parse().map_err(|_| ApiError::Unauthorized)?;
            return Ok(Self { user_id, client: None, scopes: vec![Scope::Admin] });
        }
        let Some(RequestContext::ApiGatewayV2(context)) = parts.extensions.get() else {
            return Err(ApiError::Unauthorized);
        };
        let verified = context.authorizer.as_ref().and_then(|authorizer| authorizer.jwt.as_ref());
        let caller = verified.and_then(|jwt| Self::from_claims(&jwt.claims, api.config.admin_group.as_deref()));
        // The gateway's default route gets the calls that no other route matches, such as `//orders`. It verifies no token.
        let is_unrouted = context.route_key.as_deref() == Some("$default");
        caller.ok_or(if is_unrouted { ApiError::NoSuchRoute } else { ApiError::Unauthorized })
    }
}

/// A caller who may write at least its own orders. This is checked before the body is read; the orders' users can be checked only after.
pub struct Writer(pub Caller);

impl FromRequestParts<Arc<Api>> for Writer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, api).await?;
        caller.writes_only_for()?;
        Ok(Self(caller))
    }
}

/// An operator. This is checked before the body is read.
pub struct Admin(pub Caller);

impl FromRequestParts<Arc<Api>> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, api).await?;
        caller.require(Scope::Admin)?;
        Ok(Self(caller))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(claims: &[(&str, &str)]) -> Option<Caller> {
        let claims = claims.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Caller::from_claims(&claims, Some("operators"))
    }

    /// Whether a caller may read, read all, write, write all, and operate.
    fn rights(caller: &Caller) -> [bool; 5] {
        let reach = |user: Result<Option<&UserId>, ApiError>| [user.is_ok(), user.is_ok_and(|user| user.is_none())];
        let ([read, read_all], [write, write_all]) = (reach(caller.reads_only_for()), reach(caller.writes_only_for()));
        [read, read_all, write, write_all, caller.require(Scope::Admin).is_ok()]
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
    fn each_scope_grants_its_rights_and_no_other() {
        for (scope, granted) in [
            ("", [false; 5]),
            ("orders/read", [true, false, false, false, false]),
            ("orders/read.all", [true, true, false, false, false]),
            ("orders/write", [false, false, true, false, false]),
            ("orders/write.all", [false, false, true, true, false]),
            ("orders/read orders/write.all", [true, false, true, true, false]),
            ("orders/read.all orders/write.all", [true, true, true, true, false]),
            ("orders/admin", [true; 5]),
        ] {
            assert_eq!(rights(&caller(&[("sub", "shop"), ("scope", scope)]).unwrap()), granted, "{scope}");
        }
    }

    #[test]
    fn user_may_act_for_itself_alone() {
        let (alice, bob): (UserId, UserId) = ("alice".parse().unwrap(), "bob".parse().unwrap());
        for (scope, reads, writes) in [
            ("orders/read", [true, false], [false, false]),
            ("orders/read.all", [true, true], [false, false]),
            ("orders/write", [false, false], [true, false]),
            ("orders/write.all", [false, false], [true, true]),
        ] {
            let caller = caller(&[("sub", "alice"), ("scope", scope)]).unwrap();
            let users = [&alice, &bob];
            assert_eq!(users.map(|user| caller.require_reads_for(user).is_ok()), reads, "{scope}");
            assert_eq!(users.map(|user| caller.require_writes_for(user).is_ok()), writes, "{scope}");
        }
    }

    #[test]
    fn only_members_of_the_admin_group_are_operators() {
        let member = |groups| rights(&caller(&[("sub", "olga"), ("cognito:groups", groups)]).unwrap())[4];
        assert!(["[operators]", "[shops operators]", "[shops, operators]"].into_iter().all(member));
        for groups in [
            "",
            "operators",
            "shops operators",
            "[]",
            "[operator]",
            "[Operators]",
            "[x,operators]",
            "[[operators]]",
            "[\"operators\"]",
        ] {
            assert!(!member(groups), "{groups}");
        }
        let claims = HashMap::from(
            [("sub", "olga"), ("cognito:groups", "[operators]")].map(|(k, v)| (k.to_owned(), v.to_owned())),
        );
        assert!(Caller::from_claims(&claims, None).unwrap().scopes.is_empty());
        let scope = HashMap::from([("sub", "olga"), ("scope", "operators")].map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert!(Caller::from_claims(&scope, Some("operators")).unwrap().scopes.is_empty());
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
            "orders/read.al",
            "orders/write.all,",
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
