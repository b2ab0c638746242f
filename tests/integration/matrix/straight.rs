//! Events directly to the function, past the gateway or from another gateway: without the claims of this gateway's authorizer
//! a caller is not authenticated.

use serde_json::{Value, json};
use tests::{World, invoke};

use super::routes;

/// An administrator's claims.
fn claims() -> Value {
    json!({"sub": "alice", "scope": "orders/read orders/write orders/admin"})
}

/// Values of the event's `authorizer` that could be mistaken for this gateway's claims.
fn authorizers() -> Vec<Value> {
    vec![
        Value::Null,
        json!({}),
        json!({"jwt": {}}),
        json!({"jwt": {"claims": {}}}),
        json!({"jwt": {"scopes": ["orders/read", "orders/write", "orders/admin"]}}),
        json!({"jwt": {"claims": {"scope": "orders/read orders/write orders/admin"}}}),
        json!({"jwt": {"claims": {"sub": "", "scope": "orders/admin"}}}),
        json!({"jwt": {"claims": {"username": "alice", "client_id": "alice", "scope": "orders/admin"}}}),
        json!({"JWT": {"claims": claims()}}),
        json!({"claims": claims()}),
        json!({"lambda": claims()}),
        json!({"lambda": {"jwt": {"claims": claims()}}}),
        json!({"iam": {"userId": "alice", "userArn": "arn:aws:iam::1:user/alice", "accountId": "1"}}),
        json!({"principalId": "alice", "scope": "orders/admin"}),
    ]
}

/// The event without an authorizer, and with claims in all other fields that code might read them from.
fn with_claims_elsewhere(mut event: Value) -> Value {
    event["requestContext"].as_object_mut().unwrap().remove("authorizer");
    event["requestContext"]["claims"] = claims();
    event["requestContext"]["jwt"] = json!({"claims": claims()});
    event["requestContext"]["identity"] = json!({"user": "alice"});
    event["authorizer"] = json!({"jwt": {"claims": claims()}});
    event["claims"] = claims();
    event["stageVariables"] = claims();
    for name in ["authorization", "x-amzn-oidc-data", "x-user-id", "x-forwarded-user", "x-amzn-request-context"] {
        event["headers"][name] =
            "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsInNjb3BlIjoib3JkZXJzL2FkbWluIn0.".into();
    }
    event
}

/// The same call as an event of a REST API's gateway.
fn of_a_rest_api(event: &Value) -> Value {
    json!({
        "resource": event["rawPath"], "path": event["rawPath"], "httpMethod": event["requestContext"]["http"]["method"],
        "headers": event["headers"], "multiValueHeaders": {}, "body": event["body"], "isBase64Encoded": false,
        "requestContext": {
            "resourceId": "a", "apiId": "a", "requestId": "a", "stage": "prod", "path": event["rawPath"],
            "httpMethod": event["requestContext"]["http"]["method"], "identity": {"sourceIp": "127.0.0.1"},
            "authorizer": {"claims": claims(), "principalId": "alice", "jwt": {"claims": claims()}},
        },
    })
}

/// The same call as an event of a load balancer.
fn of_a_load_balancer(event: &Value) -> Value {
    json!({
        "httpMethod": event["requestContext"]["http"]["method"], "path": event["rawPath"], "queryStringParameters": {},
        "headers": event["headers"], "body": event["body"], "isBase64Encoded": false,
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/a/b"}},
    })
}

#[tokio::test]
async fn calls_without_the_claims_of_the_gateway_are_refused() {
    let world = World::new().await;
    world.create("o-1").await;
    let api = world.api_with("AUTH", "jwt");
    for route in routes::with_token() {
        let right = route.event("o-1", "o-2").await;
        let mut events = vec![with_claims_elsewhere(right.clone())];
        for authorizer in authorizers() {
            let mut event = right.clone();
            event["requestContext"]["authorizer"] = authorizer;
            events.push(event);
        }
        for event in &events {
            let answer = invoke(&api, event).await.unwrap_or_else(|error| panic!("{error}: {event}"));
            assert_eq!(answer.problem(401)["type"], "/docs/problems#unauthorized", "{route}: {event}");
        }
        for event in [of_a_rest_api(&right), of_a_load_balancer(&right)] {
            // The function refuses the event, or finds no order's path in it.
            let answer = invoke(&api, &event).await;
            assert!(answer.as_ref().map_or(true, |answer| (401..=404).contains(&answer.status)), "{route}: {answer:?}");
        }
    }
    assert_eq!((world.order_count().await, world.status("o-1").await.as_str()), (1, "pending"));
}
