//! The user pool, created or brought: its clients, its scopes and its groups.

use serde_json::{Value, json};

use super::super::rules::Template;
use super::super::template;

/// The issuer and audience of the gateway's authorizer.
fn accepted(template: &Template) -> (Value, Value) {
    let (_, api) = template.resources("AWS::ApiGatewayV2::Api")[0];
    let scheme = &api["Body"]["components"]["securitySchemes"]["Jwt"]["x-amazon-apigateway-authorizer"];
    (scheme["jwtConfiguration"]["issuer"].clone(), scheme["jwtConfiguration"]["audience"].clone())
}

#[test]
fn user_pool_is_created_only_without_an_issuer() {
    let own = template(&[]);
    let (issuer, audience) = accepted(&own);
    assert_eq!(issuer["Fn::Sub"], "https://cognito-idp.${AWS::Region}.${AWS::URLSuffix}/${UserPool}");
    assert_eq!(audience, json!([{"Ref": "MachineClient"}, {"Ref": "OperatorClient"}, {"Ref": "UserClient"}]));
    let brought = template(&["JwtIssuer=https://issuer.example.com", "JwtAudience=shop,office"]);
    assert_eq!(accepted(&brought), (json!("https://issuer.example.com"), json!(["shop", "office"])));
    let mut resources = brought.0["Resources"].as_object().unwrap().values();
    assert!(resources.all(|each| !each["Type"].to_string().contains("Cognito")));
}

/// Two stacks of a region may have the same last group in their ids, which is a network address.
#[test]
fn domain_of_the_pool_contains_the_whole_id_of_the_stack() {
    let template = template(&[]);
    let domain = &template.properties("UserPoolDomain")["Domain"]["Fn::Sub"];
    let id = json!({"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]});
    assert_eq!(*domain, json!(["ordermill-${Id}", {"Id": id}]));
}

#[test]
fn dashboard_signs_users_in_without_the_admin_scope() {
    let variables = |parameters: &[&str]| {
        let template = template(parameters);
        (accepted(&template).0, template.properties("SiteFunction")["Environment"]["Variables"].clone())
    };
    let (issuer, own) = variables(&[]);
    assert_eq!((&own["SIGN_IN_ISSUER"], &own["SIGN_IN_CLIENT_ID"]), (&issuer, &json!({"Ref": "UserClient"})));
    assert_eq!(own["SIGN_IN_SCOPES"], "openid orders/read orders/write");
    assert!(own.as_object().unwrap().keys().all(|name| !name.starts_with("DATABASE")), "{own}");
    let (issuer, brought) = variables(&["JwtIssuer=https://issuer.example.com", "DashboardClientId=dashboard"]);
    assert_eq!((&brought["SIGN_IN_ISSUER"], &brought["SIGN_IN_CLIENT_ID"]), (&issuer, &json!("dashboard")));
}

#[test]
fn sign_out_may_return_to_every_page_that_signs_users_in() {
    let template =
        template(&["UserCallbackUrls=https://a.example.com/dashboard/index.html,http://localhost:8400/callback"]);
    let client = template.properties("UserClient");
    assert_eq!(client["CallbackURLs"].as_array().map(Vec::len), Some(2));
    assert_eq!(client["LogoutURLs"], client["CallbackURLs"]);
}

#[test]
fn created_pool_has_an_operators_group_and_others_may_name_one() {
    let groups = |parameters: &[&str]| {
        let template = template(parameters);
        let of = |function, variable| template.properties(function)["Environment"]["Variables"][variable].clone();
        [of("ApiFunction", "ADMIN_GROUP"), of("SiteFunction", "SIGN_IN_ADMIN_GROUP")]
    };
    let created = json!({"Ref": "OperatorsGroup"});
    assert_eq!(groups(&["AdminGroup=everybody"]), [created.clone(), created]);
    assert_eq!(groups(&["JwtIssuer=https://issuer.example.com"]), [json!(""), json!("")]);
    let brought = groups(&["JwtIssuer=https://issuer.example.com", "AdminGroup=staff"]);
    assert_eq!(brought, [json!("staff"), json!("staff")]);
}

#[test]
fn machine_client_acts_for_every_user_and_does_not_operate() {
    let template = template(&[]);
    let scopes = |client| template.properties(client)["AllowedOAuthScopes"].clone();
    let machine = json!(["orders/read", "orders/write", "orders/read.all", "orders/write.all"]);
    assert_eq!((scopes("MachineClient"), scopes("OperatorClient")), (machine, json!(["orders/admin"])));
    assert_eq!(scopes("UserClient"), json!(["openid", "orders/read", "orders/write"]));
}
