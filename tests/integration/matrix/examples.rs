//! The examples of the OpenAPI document: each operation has them, and each gets its answer through the gateway.

use serde_json::{Map, Value, json};
use tests::{Issuer, Stack, World};
use tokio::process::Command;
use uuid::Uuid;

use super::routes::{self, PAUSE, Route};

/// The order of the examples. Each call gets a new order instead.
const ORDER_ID: &str = "order-1001";

/// The example of a body or a parameter: its own, or else its schema's.
pub fn example(document: &Value, content: &Value) -> Option<Value> {
    let own = [&content["example"], &content["schema"]["examples"][0]].into_iter().find(|example| !example.is_null());
    let listed = || content["examples"].as_object()?.values().next().map(|example| &example["value"]);
    let schema = || {
        let schema = &content["schema"];
        let schemas = schema["oneOf"].as_array().map_or(std::slice::from_ref(schema), Vec::as_slice);
        let name = schemas.iter().find_map(|schema| schema["$ref"].as_str())?;
        document.pointer(name.trim_start_matches('#')).map(|schema| &schema["examples"][0])
    };
    own.or_else(listed).or_else(schema).filter(|example| !example.is_null()).cloned()
}

/// The example calls of an operation: its parameters by their place and name, its body, its answer.
struct Example<'a> {
    route: &'a Route,
    parameters: Vec<(&'a Value, Option<Value>)>,
    body: Option<Value>,
    answer: Option<Value>,
}

impl<'a> Example<'a> {
    fn of(document: &Value, route: &'a Route) -> Self {
        let parameters = route.operation["parameters"].as_array().into_iter().flatten();
        let parameters = parameters.map(|parameter| (parameter, example(document, parameter))).collect();
        let body = example(document, json_of(&route.operation["requestBody"]));
        let success = if route.path == PAUSE { 200 } else { route.success };
        let answer = example(document, json_of(&route.operation["responses"][success.to_string()]));
        Self { route, parameters, body, answer }
    }

    /// The examples that the operation lacks.
    fn missing(&self) -> Vec<String> {
        let operation = &self.route.operation;
        let required = self.parameters.iter().filter(|(parameter, _)| parameter["required"] == true);
        let parameters = required.filter(|(_, example)| example.is_none()).map(|(parameter, _)| &parameter["name"]);
        let body = !operation["requestBody"].is_null() && self.body.is_none();
        let of_body = body.then(|| json!("request body")).into_iter();
        let of_answer = self.answer.is_none().then(|| json!("answer")).into_iter();
        let all = parameters.cloned().chain(of_body).chain(of_answer);
        all.map(|name| format!("{} lacks an example of {name}", self.route)).collect()
    }

    /// The path with this order's identifier, and the query.
    fn path(&self, order_id: &str) -> String {
        let given = self.parameters.iter().filter(|(parameter, _)| parameter["in"] == "query");
        let given = given.filter_map(|(parameter, example)| Some((parameter["name"].as_str()?, example.as_ref()?)));
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let query: Vec<_> = given.map(|(name, value)| format!("{name}={}", text(value))).collect();
        let path = self.route.path_of(order_id);
        if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
    }

    /// Sends the example. Returns the answer, or a description of a wrong status.
    async fn send(&self, stack: &Stack) -> Result<Value, String> {
        let (route, order_id) = (self.route, format!("example-{}", Uuid::new_v4().simple()));
        route.prepare(stack, &order_id).await;
        let issuer = Issuer::of(stack);
        let token = (!route.scope.is_empty()).then(|| issuer.token(&issuer.claims("alice", &route.scope)));
        let body = self.body.as_ref().map(|body| body.to_string().replace(ORDER_ID, &order_id).parse().unwrap());
        let (method, path) = (route.method.clone(), self.path(&order_id));
        let answer = stack.call_bearing(method, &path, token.as_deref(), body.as_ref()).await;
        if answer.status == route.success {
            return Ok(answer.json());
        }
        Err(format!("{route}: {} instead of {}: {}", answer.status, route.success, answer.text))
    }
}

/// The differences of the answers from the document's schemas, by the validator that `make lint` uses.
async fn invalid(document: &Value, routes: &[Route], answers: &Map<String, Value>) -> Option<String> {
    let schema = |route: &Route| json_of(&route.operation["responses"][route.success.to_string()])["schema"].clone();
    let answered = routes.iter().filter(|route| answers.contains_key(&route.to_string()));
    let schemas: Map<_, _> = answered.map(|route| (route.to_string(), schema(route))).collect();
    let whole = json!({"properties": schemas, "components": document["components"]});
    let folder = tempfile::tempdir().unwrap();
    let [schema, instance] = ["schema.json", "answers.json"].map(|name| folder.path().join(name));
    std::fs::write(&schema, whole.to_string()).unwrap();
    std::fs::write(&instance, json!(answers).to_string()).unwrap();
    let mut check = Command::new("../.venv/lint/bin/check-jsonschema");
    let output = check.arg("--schemafile").args([schema, instance]).output().await.expect("`make tools` installs it");
    (!output.status.success()).then(|| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// The JSON content of a request body or a response.
pub fn json_of(holder: &Value) -> &Value {
    &holder["content"]["application/json"]
}

/// The members of the example that an answer lacks.
fn lacking(example: &Value, answer: &Value, at: &str) -> Vec<String> {
    let pairs: Vec<(String, &Value, Option<&Value>)> = match (example, answer) {
        (Value::Object(members), Value::Object(_)) => {
            members.iter().map(|(name, value)| (format!("{at}/{name}"), value, answer.get(name))).collect()
        }
        (Value::Array(items), Value::Array(answers)) => {
            items.iter().zip(answers).map(|(item, got)| (format!("{at}/0"), item, Some(got))).collect()
        }
        _ => Vec::new(),
    };
    let found =
        pairs.into_iter().flat_map(|(at, value, got)| got.map_or(vec![at.clone()], |got| lacking(value, got, &at)));
    found.collect()
}

#[test]
fn every_operation_has_an_example_of_request_and_answer() {
    let (document, routes) = (routes::document(), routes::all());
    let missing: Vec<_> = routes.iter().flat_map(|route| Example::of(&document, route).missing()).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn every_example_gets_its_answer_through_the_gateway() {
    let (stack, document) = (Stack::running(), routes::document());
    // A pause would hold the orders of other tests: the next test sends it.
    let routes: Vec<_> = routes::all().into_iter().filter(|route| route.path != PAUSE).collect();
    let (mut answers, mut wrong) = (Map::new(), Vec::new());
    for route in &routes {
        let example = Example::of(&document, route);
        match example.send(&stack).await {
            Ok(answer) => {
                let lacking = lacking(example.answer.as_ref().unwrap(), &answer, "");
                wrong.extend(lacking.into_iter().map(|member| format!("{route}: no {member} in {answer}")));
                answers.insert(route.to_string(), answer);
            }
            Err(status) => wrong.push(status),
        }
    }
    wrong.extend(invalid(&document, &routes, &answers).await);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn example_of_a_pause_pauses_a_world_of_its_own() {
    let (world, document) = (World::new().await, routes::document());
    let route = routes::all().into_iter().find(|route| route.path == PAUSE).unwrap();
    let example = Example::of(&document, &route);
    let answer = world.post(PAUSE, example.body.as_ref().unwrap()).await.expect(200);
    assert_eq!(lacking(example.answer.as_ref().unwrap(), &answer, ""), [""; 0]);
}

#[tokio::test]
async fn answer_that_differs_from_its_schema_is_noticed() {
    let (document, routes) = (routes::document(), routes::all());
    let answer = |order: Value| Map::from_iter([("GET /orders/{order_id}".to_owned(), order)]);
    let mut order = document["components"]["schemas"]["Order"]["examples"][0].clone();
    assert_eq!(invalid(&document, &routes, &answer(order.clone())).await, None);
    order["attempts"] = "none".into();
    let found = invalid(&document, &routes, &answer(order)).await.unwrap();
    assert!(found.contains("attempts"), "{found}");
}

#[test]
fn member_that_an_answer_lacks_is_noticed() {
    let example = json!({"order": {"order_id": "a", "status": "pending"}, "causes": [{"failure": "b"}]});
    let answer = json!({"order": {"order_id": "c"}, "causes": [{}], "more": 1});
    assert_eq!(lacking(&example, &answer, ""), ["/causes/0/failure", "/order/status"]);
    assert_eq!(lacking(&example, &json!({"order": null, "causes": []}), ""), Vec::<String>::new());
}
