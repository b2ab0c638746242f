//! The token and the scopes of the operations, in the OpenAPI document.

use serde_json::json;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{OpenApi, PathItem};

use crate::caller::Scope;

/// Declares the bearer token, moves the scopes of each operation into its extension `x-required-scopes` and adds them to its
/// description. A document can list scopes only for an OAuth flow, with the addresses of an issuer, and each deployment has its own
/// issuer.
pub fn describe(document: &mut OpenApi) {
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    document.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(scheme));
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        let scopes = scopes(operation);
        if scopes.is_empty() {
            continue;
        }
        operation.security = Some(vec![SecurityRequirement::new::<_, [String; 0], String>("token", [])]);
        let extension = Extensions::builder().add("x-required-scopes", json!(scopes)).build();
        operation.extensions.get_or_insert_default().merge(extension);
        let names: Vec<_> =
            scopes.iter().flat_map(|scope| sufficient(scope)).map(|scope| format!("`{scope}`")).collect();
        let sentence = format!("The token needs the scope {}.", names.join(" or "));
        let described = operation.description.take().map_or_else(String::new, |text| text + "\n\n");
        operation.description = Some(described + &sentence);
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten()
}

/// The scopes that are enough where this one is needed: the scope itself, and those that include it.
fn sufficient(needed: &str) -> Vec<&str> {
    let all = Scope::ALL.into_iter().map(Scope::as_str);
    all.filter(|scope| *scope == needed || *scope == format!("{needed}.all") || *scope == Scope::Admin.as_str())
        .collect()
}

/// The scopes of an operation: those of `security(("token" = [...]))`.
fn scopes(operation: &Operation) -> Vec<String> {
    let security = json!(operation.security);
    let scopes = security[0]["token"].as_array().into_iter().flatten();
    scopes.filter_map(|scope| scope.as_str().map(str::to_owned)).collect()
}
