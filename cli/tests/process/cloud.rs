//! AWS that gives no access: `doctor` says why it could not check. And AWS that keeps what belongs to an alias apart.

use sandbox::server::{self, Request, Server};
use serde_json::{Value, json};

use super::api::{Api, Manner};
use super::{finding, json, run};

pub const ACCESS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_REGION", "eu-central-1")];

/// The report of doctor about this server, which is the API and AWS, with these variables too.
fn report_of(aws: &Server, variables: &[(&str, &str)]) -> Value {
    let url = aws.url();
    let places = [("ORDERMILL_URL", &*url), ("AWS_ENDPOINT_URL", &*url)];
    json(&run(&["--json", "doctor"], &[&ACCESS[..], &places, variables].concat()))
}

/// Checks that doctor, with these variables too, gives this reason for each check that needs AWS.
fn assert_not_checked(variables: &[(&str, &str)], why: &str) {
    let (api, queue) = (Api::start(Manner::Sound), "http://127.0.0.1:1/0/orders");
    let url = api.url();
    let own = [("ORDERMILL_URL", url.as_str()), ("ORDERMILL_TOKEN", "a.e30.b"), ("API_ID", "api")];
    let places = [("QUEUE_URL", queue), ("PROCESSOR_FUNCTION", "processor")];
    let report = json(&run(&["--json", "doctor"], &[&own[..], &places, variables].concat()));
    for (check, place) in [("queue", "orders"), ("function", "processor"), ("token.issuer", "gateway")] {
        let found = finding(&report, check);
        assert_eq!((&found["where"], &found["state"]), (&json!(place), &json!("not_checked")), "{found}");
        assert!(found["what"].as_str().unwrap().starts_with(why), "{found}");
    }
}

#[test]
fn doctor_names_the_missing_variable_of_aws() {
    assert_not_checked(&[], "give AWS_REGION");
    let region = ("AWS_DEFAULT_REGION", "eu-central-1");
    assert_not_checked(&[region], "give AWS_ACCESS_KEY_ID");
    assert_not_checked(&[region, ("AWS_ACCESS_KEY_ID", "id")], "give AWS_SECRET_ACCESS_KEY");
}

#[test]
fn doctor_repeats_why_aws_refuses_a_call() {
    let aws = Api::start(Manner::HealthyBut(403));
    assert_not_checked(&[&ACCESS[..], &[("AWS_ENDPOINT_URL", &aws.url())]].concat(), "AWS answers 403: refused");
}

/// Callers invoke the alias `live` of the template. Lambda answers for the name that the call has: the function's own is its newest
/// code, which may never have run.
#[tokio::test(flavor = "multi_thread")]
async fn doctor_checks_the_function_of_the_alias() {
    let arn = "arn:aws:lambda:eu-central-1:0:function:processor";
    let aws = Server::start(move |request: Request| async move {
        let asked = request.uri().to_string();
        let is_live = asked.contains("live");
        let mapping = is_live.then(|| json!({"State": "Enabled"}));
        let answer = if asked.contains("/aliases") {
            json!({"Aliases": [{"Name": "live", "AliasArn": format!("{arn}:live")}]})
        } else if asked.contains("/event-source-mappings") {
            json!({"EventSourceMappings": Vec::from_iter(mapping)})
        } else {
            json!({"FunctionArn": arn, "Timeout": 15, "State": if is_live { "Active" } else { "Inactive" }})
        };
        Some(server::json(200, answer.to_string()))
    });
    let report = report_of(&aws.await.unwrap(), &[("PROCESSOR_FUNCTION", "processor")]);
    for (check, what) in [("function", "active"), ("mapping", "its mapping is Enabled")] {
        assert_eq!(finding(&report, check)["what"], what, "{report}");
    }
}

/// Without its aliases, doctor would check the newest code and its mapping, which callers don't invoke.
#[tokio::test(flavor = "multi_thread")]
async fn doctor_does_not_check_a_function_of_unknown_aliases() {
    let aws = Server::start(|request: Request| async move {
        let refusal = json!({"__type": "AccessDeniedException", "message": "no right"});
        let is_refused = request.uri().to_string().contains("/aliases");
        let function = json!({"FunctionArn": "arn:aws:lambda:eu-central-1:0:function:processor", "State": "Active"});
        Some(if is_refused { server::json(403, refusal.to_string()) } else { server::json(200, function.to_string()) })
    });
    let report = report_of(&aws.await.unwrap(), &[("PROCESSOR_FUNCTION", "processor")]);
    let found = finding(&report, "function");
    assert_eq!((&found["where"], &found["state"]), (&json!("processor"), &json!("not_checked")), "{report}");
    assert_eq!(found["what"], "AWS answers 403: no right", "{report}");
}

/// A deployment may lack its authorizer: API Gateway leaves it out with a mere warning if it can't read the issuer.
#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_a_gateway_without_an_authorizer() {
    let aws = Server::start(|_: Request| async { Some(server::json(200, json!({"items": []}).to_string())) });
    let (aws, own) = (aws.await.unwrap(), [("ORDERMILL_TOKEN", "a.e30.b"), ("API_ID", "api")]);
    // The variable says what the gateway should accept, and not what it does.
    for variables in [&[][..], &[("OIDC_ISSUER", "https://issuer.example.com")]] {
        let report = report_of(&aws, &[&own[..], variables].concat());
        let found = finding(&report, "token.issuer");
        assert_eq!((&found["where"], &found["state"]), (&json!("gateway"), &json!("wrong")), "{found}");
        assert_eq!(found["what"], "it has no JWT authorizer, so no route that needs a token", "{found}");
        assert!(found["remedy"].as_str().unwrap().contains("JwtIssuer"), "{found}");
    }
}
