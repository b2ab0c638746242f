//! The template's parameters: their effects on resources, and combinations that CloudFormation refuses.

mod user_pools;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::order::Currency;

use super::rules::{Template, named, number};
use super::{BROUGHT, IAM, OWNER, OWNER_SECRET, OWNER_URL, SECRET, WEBHOOK, template, translate};

#[test]
fn impossible_parameters_are_refused_before_the_deployment() {
    let webhook = ["Work=webhook", "WebhookUrl=https://shop.example.com/", WEBHOOK];
    for (parameters, refusal) in [
        (&webhook[..], "the VPC of a created database has none"),
        (&[BROUGHT, SECRET, "Work=webhook", WEBHOOK], "needs WebhookUrl and WebhookSecretArn"),
        (&[BROUGHT, SECRET, "Work=webhook", webhook[1]], "needs WebhookUrl and WebhookSecretArn"),
        (&[BROUGHT, SECRET, "VpcSubnetIds=subnet-1,subnet-2"], "VpcSubnetIds needs VpcSecurityGroupIds"),
        (&[BROUGHT], "DatabaseUrl needs DatabaseSecretArn or DatabaseIamUserArn"),
        (&[BROUGHT, SECRET, IAM], "DatabaseUrl takes DatabaseSecretArn or DatabaseIamUserArn, not both"),
        (&[BROUGHT, IAM, OWNER_URL], "OwnerDatabaseUrl needs OwnerDatabaseSecretArn or OwnerDatabaseIamUserArn"),
        (&[BROUGHT, IAM, OWNER_URL, OWNER, OWNER_SECRET], "OwnerDatabaseUrl takes OwnerDatabaseSecretArn or"),
        (&["DefaultCurrency=XXX"], "'DefaultCurrency' value 'XXX' is not in AllowedValues"),
        (&["RetryBaseSeconds=61"], "'RetryBaseSeconds' must be a number not greater than 60"),
        (&["RetryCapSeconds=59"], "'RetryCapSeconds' must be a number not less than 60"),
        (&["WebhookConcurrency=201"], "'WebhookConcurrency' must be a number not greater than 200"),
        (&["WebhookUrl=http://shop.example.com/"], "'WebhookUrl' must be empty or an https URL"),
        (&["DatabaseMaxStorage=25"], "'DatabaseMaxStorage' must be a number not less than 26"),
        (&["DatabaseMaxStorage=65537"], "'DatabaseMaxStorage' must be a number not greater than 65536"),
        (&["EventBus=a bus"], "'EventBus' must be empty, or the name"),
        (&["BatchSize=11"], "BatchSize above 10 needs BatchingWindowSeconds"),
        (&["BatchSize=11", "BatchingWindowSeconds=31"], "'BatchingWindowSeconds' must be a number not greater than 30"),
    ] {
        let error = translate(parameters).unwrap_err();
        assert!(error.contains(refusal), "{parameters:?}: {error}");
    }
}

#[test]
fn url_of_a_database_has_no_password_in_any_of_its_places() {
    let parsed = |url: &str| {
        let owner = translate(&[BROUGHT, IAM, &format!("OwnerDatabaseUrl={url}"), OWNER]);
        [translate(&[&format!("DatabaseUrl={url}"), SECRET]), owner]
    };
    for url in [
        "postgres://app:secret@db.example.com/orders",
        "postgres://app@db.example.com/orders?password=secret",
        "postgresql://app@db.example.com:5432/orders?connect_timeout=10&password=secret",
        "postgres://app@db.example.com/orders?pass%77ord=secret",
        "postgres://app:secret@db.example.com/orders?application_name=@127.0.0.1:5432/orders",
        "postgres://app:secret@127.0.0.1:5432/orders?host=db.example.com",
    ] {
        for (refused, name) in parsed(url).into_iter().zip(["'DatabaseUrl' must be", "'OwnerDatabaseUrl' must be"]) {
            let error = refused.unwrap_err();
            assert!(error.contains(name), "{url}: {error}");
        }
    }
    for url in [
        "postgres://app@db.example.com/orders",
        "postgresql://app@a.example.com:5432,b.example.com:5433/orders?target_session_attrs=read-write",
        "postgres://app@db.example.com/orders?connect_timeout=10&options=-ctimezone%3Dutc&keepalives_idle=",
        "postgres://app:secret@127.0.0.1:5432/orders",
    ] {
        assert!(parsed(url).iter().all(Result::is_ok), "{url}: {:?}", parsed(url));
    }
}

#[test]
fn event_bus_has_rights_an_endpoint_and_an_alarm_only_if_named() {
    let names = ["BusPolicy", "EventsEndpoint", "EventsAlarm"];
    for (parameters, expected) in [
        (&[][..], [false, false, false]),
        (&["EventBus=shop"], [true, true, true]),
        (&[BROUGHT, IAM, "EventBus=default"], [true, false, true]),
    ] {
        let resources = &template(parameters).0["Resources"];
        assert_eq!(names.map(|name| resources.get(name).is_some()), expected, "{parameters:?}");
    }
    let bus_of = |parameters: &[&str], function: &str| {
        template(parameters).properties(function)["Environment"]["Variables"]["EVENT_BUS"].clone()
    };
    for function in ["ApiFunction", "ProcessorFunction", "SweeperFunction"] {
        assert_eq!((bus_of(&[], function), bus_of(&["EventBus=shop"], function)), (json!(""), json!("shop")));
    }
}

/// For a parameter with `NoEcho`, `sam deploy --guided` does not offer the default and asks for ever.
#[test]
fn parameters_have_defaults_and_are_echoed() {
    let template = template(&[]);
    for (name, parameter) in template.0["Parameters"].as_object().unwrap() {
        assert!(parameter.get("NoEcho").is_none() && parameter.get("Default").is_some(), "{name}: {parameter}");
    }
}

#[test]
fn migrations_sign_in_as_the_owner_does() {
    for (parameters, way, secret) in [
        (&[][..], "iam", ""),
        (&[BROUGHT, IAM], "iam", ""),
        (&[BROUGHT, SECRET], "", SECRET),
        (&[BROUGHT, SECRET, OWNER_URL, OWNER], "iam", ""),
        (&[BROUGHT, IAM, OWNER_URL, OWNER_SECRET], "", OWNER_SECRET),
    ] {
        let template = template(parameters);
        let variables = &template.properties("MigrateFunction")["Environment"]["Variables"];
        let arn = secret.split_once('=').map_or("", |(_, arn)| arn);
        let found = (&variables["DATABASE_AUTH"], &variables["DATABASE_SECRET_ARN"]);
        assert_eq!(found, (&json!(way), &json!(arn)), "{parameters:?}");
    }
}

/// A functions' role that is new to the database has no rights there before `migrate` runs.
#[test]
fn migration_runs_when_the_database_or_a_role_of_it_changes() {
    let brought = |more: &[&str]| {
        let migration = template(&[&[BROUGHT, SECRET], more].concat());
        migration.properties("Migration").clone()
    };
    let runs = [brought(&[]), brought(&[OWNER_URL, OWNER]), brought(&[OWNER_URL, OWNER, "DatabaseAppRole=shop"])];
    assert!(runs[0] != runs[1] && runs[1] != runs[2], "{runs:?}");
    assert_eq!(brought(&["MaxAttempts=7"]), runs[0]);
}

#[test]
fn default_currency_is_any_that_an_order_may_have() {
    let template = template(&[]);
    let allowed = &template.0["Parameters"]["DefaultCurrency"]["AllowedValues"];
    assert_eq!(*allowed, json!(Currency::all().map(Currency::code).collect::<Vec<_>>()));
}

/// Lambda publishes no version that equals the last published one, even if its deployment was rolled back. The next deployment
/// of the same code would fail.
#[test]
fn same_code_can_be_released_again() {
    let [first, second] = ["Release=r1", "Release=r2"].map(|release| template(&[release]));
    let mut kept = BTreeSet::new();
    for (name, version) in first.0["Resources"].as_object().unwrap() {
        if version["Type"] != "AWS::Lambda::Version" || version["DeletionPolicy"] == "Delete" {
            continue;
        }
        let function = named(&version["Properties"]["FunctionName"]);
        assert!(second.0["Resources"].get(name).is_none(), "{name} is not published again");
        assert_ne!(first.properties(function), second.properties(function), "{function} is the same");
        kept.insert(function);
    }
    assert_eq!(kept, BTreeSet::from(["ApiFunction", "ProcessorFunction", "SweeperFunction"]));
}

#[test]
fn repair_moves_the_aliases_past_codedeploy() {
    for (gradual, groups) in [("true", 2), ("false", 0)] {
        let template = template(&["Stage=prod", "Release=r1", &format!("GradualRelease={gradual}")]);
        assert_eq!(template.resources("AWS::CodeDeploy::DeploymentGroup").len(), groups);
        let policies =
            template.0["Resources"].as_object().unwrap().values().filter(|each| each.get("UpdatePolicy").is_some());
        assert_eq!(policies.count(), groups);
    }
}

/// An environment of the api holds a connection to the database, even for a call without a token.
#[test]
fn calls_without_a_token_start_few_environments_of_the_api() {
    let limits = |parameters: &[&str], route: &str| {
        let template = template(parameters);
        let settings = &template.resources("AWS::ApiGatewayV2::Stage")[0].1["RouteSettings"][route];
        (number(&settings["ThrottlingRateLimit"]), number(&settings["ThrottlingBurstLimit"]))
    };
    let closed = ["OpenThrottleRate=70", "OpenThrottleBurst=90"];
    assert_eq!(["GET /healthz", "HEAD /healthz"].map(|route| limits(&closed, route)), [(5, 10); 2]);
    assert_eq!(limits(&closed, "$default"), (70, 10));
    assert_eq!(limits(&closed, "GET /docs"), (70, 90));
    // The preflights of other origins' pages come to this route.
    let open = [&closed[..], &["CorsAllowOrigins=https://shop.example.com"]].concat();
    assert_eq!(limits(&open, "$default"), (70, 90));
}

/// A new account may run ten functions at once and reserve none. Signing in by IAM takes up to 1000 MiB of the database's memory, and
/// 2 GiB allow 198 connections.
#[test]
fn defaults_suit_a_new_account() {
    let template = template(&[]);
    let default = |name: &str| number(&template.0["Parameters"][name]["Default"]);
    assert!((2..=5).contains(&default("MaximumConcurrency")), "the api has too little left");
    assert_eq!(default("ApiReservedConcurrency"), 0);
    assert_eq!(template.properties("Database")["DBInstanceClass"], "db.t4g.small");
    let most = 198 * 9 / 10;
    assert!((100..most).contains(&default("ConnectionsAlarmCount")), "the alarm rings too early or too late");
}

/// RDS adds storage if at most a tenth is free for five minutes. <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.Autoscaling.html>
#[test]
fn storage_grows_to_its_bound_before_the_alarm_rings() {
    let bound = |template: &Template| number(&template.properties("Database")["MaxAllocatedStorage"]);
    let template = template(&[]);
    assert_eq!((bound(&template), bound(&super::template(&["DatabaseMaxStorage=1000"]))), (200, 1000));
    let tenth = number(&template.properties("Database")["AllocatedStorage"]) * (1 << 30) / 10;
    let threshold = number(&template.properties("StorageAlarm")["Threshold"]);
    assert!((tenth * 9 / 10..tenth).contains(&threshold), "{threshold} of {tenth}");
}

#[test]
fn prod_has_safeguards_that_other_stages_lack() {
    let prod = template(&["Stage=prod"]);
    let dev = template(&[]);
    let of = |template: &Template, resource: &str, property: &str| template.properties(resource)[property].clone();
    for (resource, property, in_prod, in_dev) in [
        ("Database", "MultiAZ", json!(true), json!(false)),
        ("Database", "DeletionProtection", json!(true), json!(false)),
        ("UserPool", "MfaConfiguration", json!("ON"), json!("OFF")),
        ("UserPool", "EnabledMfas", json!(["SOFTWARE_TOKEN_MFA"]), Value::Null),
        (
            "SqsEndpoint",
            "SubnetIds",
            json!([{"Ref": "PrivateSubnetA"}, {"Ref": "PrivateSubnetB"}]),
            json!([{"Ref": "PrivateSubnetA"}]),
        ),
    ] {
        let found = (of(&prod, resource, property), of(&dev, resource, property));
        assert_eq!(found, (in_prod, in_dev), "{resource} {property}");
    }
}

#[test]
fn created_network_is_in_the_named_zones_or_the_first_two() {
    let zones = |parameters: &[&str]| {
        let template = template(parameters);
        ["PrivateSubnetA", "PrivateSubnetB"].map(|subnet| template.properties(subnet)["AvailabilityZone"].clone())
    };
    let first = |index: u8| json!({"Fn::Select": [index, {"Fn::GetAZs": ""}]});
    assert_eq!(zones(&[]), [first(0), first(1)]);
    assert_eq!(zones(&["ZoneA=us-east-1c", "ZoneB=us-gov-west-1b"]), [json!("us-east-1c"), json!("us-gov-west-1b")]);
    for (parameters, refusal) in [
        (["ZoneA=us-east-1", "ZoneB=us-east-1b"], "'ZoneA' must be"),
        (["ZoneA=us-east-1c", "ZoneB=us-east-1c"], "ZoneA and ZoneB must be two zones, or both empty"),
        (["ZoneA=us-east-1c", "ZoneB="], "ZoneA and ZoneB must be two zones, or both empty"),
    ] {
        let error = translate(&parameters).unwrap_err();
        assert!(error.contains(refusal), "{parameters:?}: {error}");
    }
}

#[test]
fn cors_allows_only_named_origins() {
    let cors = |template: &Template| {
        template.resources("AWS::ApiGatewayV2::Api")[0].1["Body"]["x-amazon-apigateway-cors"].clone()
    };
    assert_eq!(cors(&template(&[])), Value::Null);
    let opened = cors(&template(&["CorsAllowOrigins=https://a.example.com,https://b.example.com"]));
    assert_eq!(opened["allowOrigins"], json!(["https://a.example.com", "https://b.example.com"]));
}
