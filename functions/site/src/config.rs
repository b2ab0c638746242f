//! The settings for signing in to the dashboard. Without a client, users paste a token.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `SIGN_IN_CLIENT_ID` | the dashboard's client at the issuer: public, authorization code with PKCE | none |
//! | `SIGN_IN_ISSUER` | the URL of the OpenID Connect issuer | required with a client |
//! | `SIGN_IN_SCOPES` | the scopes to request, separated by spaces | required with a client |
//! | `SIGN_IN_AUDIENCE` | the audience to request, for issuers that need one | none |
//! | `SIGN_IN_TOKEN_ORIGIN` | the origin of the token endpoint, as `https://host`, if it is not the issuer's | none |
//! | `SIGN_IN_ADMIN_GROUP` | the group of Amazon Cognito whose members are operators | none |

use axum::http::Uri;
use serde::Serialize;
use shared::config::{ConfigError, Env};

/// The settings that the dashboard needs before a user signs in. They are public.
#[derive(Debug, Default, Serialize)]
pub struct SiteConfig {
    sign_in: Option<SignIn>,
    admin_group: Option<String>,
}

#[derive(Debug, Serialize)]
struct SignIn {
    issuer: String,
    client_id: String,
    scope: String,
    audience: Option<String>,
    #[serde(skip)]
    origins: Vec<String>,
}

impl SiteConfig {
    /// Reads the variables above.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let admin_group = env.text("SIGN_IN_ADMIN_GROUP").map(str::to_owned);
        let Some(client_id) = env.text("SIGN_IN_CLIENT_ID") else { return Ok(Self { sign_in: None, admin_group }) };
        let issuer = env.required::<String>("SIGN_IN_ISSUER")?;
        let mut origins = vec![origin("SIGN_IN_ISSUER", &issuer)?];
        if let Some(other) = env.text("SIGN_IN_TOKEN_ORIGIN") {
            origins.push(origin("SIGN_IN_TOKEN_ORIGIN", other)?);
        }
        let sign_in = SignIn {
            issuer: issuer.trim_end_matches('/').to_owned(),
            client_id: client_id.to_owned(),
            scope: env.required("SIGN_IN_SCOPES")?,
            audience: env.text("SIGN_IN_AUDIENCE").map(str::to_owned),
            origins,
        };
        Ok(Self { sign_in: Some(sign_in), admin_group })
    }

    /// The origins that the browser calls to sign in.
    pub(crate) fn origins(&self) -> &[String] {
        self.sign_in.as_ref().map_or(&[], |sign_in| &sign_in.origins)
    }
}

/// Scheme, host and port of a URL.
fn origin(variable: &str, url: &str) -> Result<String, ConfigError> {
    let uri: Option<Uri> = url.parse().ok();
    let parts = uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.host()?, uri.port())));
    match parts {
        Some((scheme @ ("http" | "https"), host, None)) => Ok(format!("{scheme}://{host}")),
        Some((scheme @ ("http" | "https"), host, Some(port))) => Ok(format!("{scheme}://{host}:{port}")),
        _ => Err(ConfigError::new(variable, "must be an http or https URL")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: (&str, &str) = ("SIGN_IN_CLIENT_ID", "dashboard");
    const ISSUER: (&str, &str) = ("SIGN_IN_ISSUER", "https://issuer.example.com:8443/pool/");
    const SCOPES: (&str, &str) = ("SIGN_IN_SCOPES", "openid orders/read");

    #[test]
    fn origins_are_those_of_the_issuer_and_of_its_tokens() {
        let tokens = ("SIGN_IN_TOKEN_ORIGIN", "https://pool.auth.example.com");
        let config = SiteConfig::from_env(&Env::from_iter([CLIENT, ISSUER, SCOPES, tokens])).unwrap();
        assert_eq!(config.origins(), ["https://issuer.example.com:8443", "https://pool.auth.example.com"]);
    }

    #[test]
    fn page_knows_the_operators_group_with_and_without_a_client() {
        let group = ("SIGN_IN_ADMIN_GROUP", "operators");
        for variables in [&[group][..], &[group, CLIENT, ISSUER, SCOPES]] {
            let config = SiteConfig::from_env(&variables.iter().copied().collect()).unwrap();
            assert_eq!(config.admin_group.as_deref(), Some("operators"));
        }
    }

    #[test]
    fn client_requires_an_issuer_and_scopes() {
        assert!(SiteConfig::from_env(&Env::from_iter([ISSUER])).unwrap().origins().is_empty());
        for (variables, named) in [
            (&[CLIENT][..], "SIGN_IN_ISSUER"),
            (&[CLIENT, ISSUER], "SIGN_IN_SCOPES"),
            (&[CLIENT, ("SIGN_IN_ISSUER", "issuer"), SCOPES], "SIGN_IN_ISSUER"),
        ] {
            let problem = SiteConfig::from_env(&variables.iter().copied().collect()).unwrap_err();
            assert!(problem.to_string().starts_with(named), "{problem}");
        }
    }
}
