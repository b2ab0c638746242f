//! Checks the token's issuer, audience, expiry and scopes against the gateway's configuration.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_apigatewayv2::types::Authorizer;

use super::cloud::Cloud;
use super::finding::Finding;
use crate::aws::describe;
use crate::deployment::Deployment;
use crate::token::Claims;

/// The scopes of the API.
const SCOPES: [&str; 5] = ["orders/read", "orders/read.all", "orders/write", "orders/write.all", "orders/admin"];

/// The tokens that the gateway accepts.
struct AcceptedTokens {
    issuer: String,
    /// Empty if unknown.
    audiences: Vec<String>,
    known_by: &'static str,
}

/// Checks the token.
pub async fn examine(cloud: &Cloud, deployment: &Deployment) -> Vec<Finding> {
    let Some(token) = &deployment.token else {
        return vec![Finding::not_checked("token", "ORDERMILL_TOKEN", "give --token or ORDERMILL_TOKEN")];
    };
    let claims = match Claims::of(token) {
        Ok(claims) => claims,
        Err(problem) => {
            return vec![Finding::wrong(
                "token",
                deployment.token_name,
                format!("is no token: {problem}"),
                "get a new one",
            )];
        }
    };
    let mut findings = vec![subject(&claims), expiry(&claims), scopes(&claims)];
    findings.extend(match accepted(cloud, deployment).await {
        Ok(accepted) => compare(&claims, &accepted),
        Err(finding) => vec![finding],
    });
    findings
}

fn subject(claims: &Claims) -> Finding {
    let remedy = "have the issuer put the caller's identifier (1 to 128 characters) into `sub`";
    let subject = claims.text("sub").unwrap_or_default();
    let is_usable = (1..=128).contains(&subject.chars().count());
    Finding::held(
        "token",
        "sub",
        is_usable,
        if is_usable { format!("of {subject}") } else { "has no usable `sub`".to_owned() },
        remedy,
    )
}

fn expiry(claims: &Claims) -> Finding {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs().cast_signed());
    if let Some(from) = claims.moment("nbf").filter(|from| *from > now + 60) {
        let remedy = "wait, or correct the issuer's clock or this machine's";
        return Finding::wrong("token.expiry", "nbf", format!("is not valid for another {} s", from - now), remedy);
    }
    match claims.moment("exp") {
        Some(until) => {
            let left = until - now;
            let what =
                if left > 0 { format!("valid for {}", span(left)) } else { format!("expired {} ago", span(-left)) };
            Finding::held("token.expiry", "exp", left > 0, what, "get a new one; for the local stack `make up`")
        }
        None => Finding::wrong(
            "token.expiry",
            "exp",
            "has no `exp`",
            "have the issuer add it: the gateway refuses a token without it",
        ),
    }
}

fn span(seconds: i64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

/// Each scope is right for some client, so a token needs only one of them.
fn scopes(claims: &Claims) -> Finding {
    let scopes = claims.scopes();
    let held: Vec<_> = SCOPES.into_iter().filter(|scope| scopes.contains(scope)).collect();
    let what = match held.join(" ") {
        none if none.is_empty() => format!("none of {}", SCOPES.join(", ")),
        held if !claims.may("orders/write") => format!("{held}; it can't create orders"),
        held if !claims.may("orders/read") => format!("{held}; it can't read orders"),
        held => held,
    };
    Finding::held(
        "token.scopes",
        "scope",
        !held.is_empty(),
        what,
        "ask the issuer for `orders/read orders/write`; a backend for `orders/read.all orders/write.all`; an operator for orders/admin",
    )
}

fn compare(claims: &Claims, accepted: &AcceptedTokens) -> Vec<Finding> {
    let issuer = claims.text("iss").unwrap_or_default();
    let has_issuer = issuer == accepted.issuer;
    let what = if has_issuer {
        issuer.to_owned()
    } else {
        format!("`{issuer}`, and the gateway accepts `{}`", accepted.issuer)
    };
    let remedy = "get the token from the issuer that the gateway accepts, or deploy with JwtIssuer set to the token's";
    let mut findings = vec![Finding::held("token.issuer", accepted.known_by, has_issuer, what, remedy)];
    if accepted.audiences.is_empty() {
        findings.push(Finding::not_checked(
            "token.audience",
            accepted.known_by,
            "give OIDC_AUDIENCE, or credentials of AWS",
        ));
        return findings;
    }
    let own = claims.audiences();
    let fits = own.iter().any(|audience| accepted.audiences.iter().any(|other| other == audience));
    let what = if fits {
        own.join(", ")
    } else {
        format!("`{}`, and the gateway accepts {}", own.join(", "), accepted.audiences.join(", "))
    };
    let remedy = "request a token for that audience, or deploy with JwtAudience set to the token's";
    findings.push(Finding::held("token.audience", accepted.known_by, fits, what, remedy));
    findings
}

/// Returns the accepted tokens by the gateway's own configuration, or by variables if that can't be read; otherwise a finding, which says
/// why they are unknown or that the gateway accepts none.
async fn accepted(cloud: &Cloud, deployment: &Deployment) -> Result<AcceptedTokens, Finding> {
    let (check, place) = ("token.issuer", "gateway");
    let from_variables = |why: String| match deployment.env.text("OIDC_ISSUER") {
        Some(issuer) => Ok(AcceptedTokens {
            issuer: issuer.to_owned(),
            audiences: deployment.env.text("OIDC_AUDIENCE").map(str::to_owned).into_iter().collect(),
            known_by: "OIDC_ISSUER",
        }),
        None => Err(Finding::not_checked(check, place, format!("{why}; or give OIDC_ISSUER"))),
    };
    let services = match cloud.services() {
        Ok(services) => services,
        Err(why) => return from_variables(why),
    };
    let Some(id) = api_id(deployment) else { return from_variables("give API_ID".to_owned()) };
    match services.gateway.get_authorizers().api_id(id).send().await {
        Ok(found) => authorizer(found.items()).ok_or_else(|| {
            let remedy = "deploy with a JwtIssuer whose /.well-known/openid-configuration API Gateway can read";
            Finding::wrong(check, place, "it has no JWT authorizer, so no route that needs a token", remedy)
        }),
        Err(error) => from_variables(describe(&error)),
    }
}

fn authorizer(all: &[Authorizer]) -> Option<AcceptedTokens> {
    let jwt = all.iter().find_map(Authorizer::jwt_configuration)?;
    let audiences = jwt.audience().to_vec();
    Some(AcceptedTokens { issuer: jwt.issuer()?.to_owned(), audiences, known_by: "authorizer" })
}

/// The API's identifier: the first part of AWS's name for it, or the emulator's path.
fn api_id(deployment: &Deployment) -> Option<String> {
    let in_path = deployment
        .url
        .path()
        .split_once("/_aws/execute-api/")
        .map(|(_, rest)| rest.split('/').next().unwrap_or_default());
    let in_host = deployment.url.host_str().and_then(|host| host.split_once(".execute-api.")).map(|(id, _)| id);
    deployment.env.text("API_ID").or(in_path).or(in_host).filter(|id| !id.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::super::Verdict;
    use super::*;

    fn scopes_of(scope: &str) -> (Verdict, String) {
        let claims = BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"scope": "{scope}"}}"#));
        let finding = scopes(&Claims::of(&format!("h.{claims}.s")).unwrap());
        (finding.state, finding.what)
    }

    #[test]
    fn token_with_any_scope_is_right_and_says_what_it_can_not_do() {
        for (scope, what) in [
            ("orders/read.all", "orders/read.all; it can't create orders"),
            ("openid orders/read", "orders/read; it can't create orders"),
            ("orders/write", "orders/write; it can't read orders"),
            ("orders/write.all", "orders/write.all; it can't read orders"),
            ("orders/read orders/write", "orders/read orders/write"),
            ("orders/read.all orders/write.all", "orders/read.all orders/write.all"),
            ("orders/admin", "orders/admin"),
        ] {
            assert_eq!(scopes_of(scope), (Verdict::Ok, what.to_owned()));
        }
        for scope in ["", "openid", "orders/reader"] {
            assert_eq!(scopes_of(scope), (Verdict::Wrong, format!("none of {}", SCOPES.join(", "))), "{scope}");
        }
    }
}
