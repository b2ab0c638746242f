//! A client of the deployed stack's Lambda API: <https://docs.aws.amazon.com/lambda/latest/api/welcome.html>

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests::Stack;

/// A client of Lambda's API.
pub struct Lambda {
    http: reqwest::Client,
    functions: String,
}

impl Lambda {
    /// The client for a stack. The emulator checks no signature, so requests are not signed.
    pub fn of(stack: &Stack) -> Self {
        let functions = format!("{}/2015-03-31/functions", stack.get("AWS_ENDPOINT_URL"));
        Self { http: reqwest::Client::new(), functions }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/{path}", self.functions))
    }

    /// Publishes a version that differs from the previous one only in its description.
    pub async fn publish(&self, function: &str, description: &str) -> Value {
        let described = json!({"Description": description});
        answer(self.request(Method::PUT, &format!("{function}/configuration")).json(&described)).await;
        answer(self.request(Method::POST, &format!("{function}/versions")).json(&json!({}))).await["Version"].take()
    }

    /// Points the alias `live` to this version.
    pub async fn move_alias(&self, function: &str, version: &Value) {
        let moved = json!({"FunctionVersion": version});
        answer(self.request(Method::PUT, &format!("{function}/aliases/live")).json(&moved)).await;
    }

    /// The version that serves calls of the alias.
    pub async fn version_in_use(&self, function: &str) -> Value {
        let call = self.request(Method::POST, &format!("{function}:live/invocations")).json(&json!("no event"));
        header(&call.send().await.expect("Lambda answers"), "x-amz-executed-version").into()
    }

    /// Invokes the function with this event. Returns Lambda's name for the failure, or an empty string.
    pub async fn failure(&self, function: &str, event: &Value) -> String {
        let call = self.request(Method::POST, &format!("{function}/invocations")).json(event);
        header(&call.send().await.expect("Lambda answers"), "x-amz-function-error")
    }
}

async fn answer(request: RequestBuilder) -> Value {
    let response = request.send().await.and_then(reqwest::Response::error_for_status).expect("Lambda accepts the call");
    response.json().await.expect("Lambda answers in JSON")
}

fn header(response: &reqwest::Response, name: &str) -> String {
    response.headers().get(name).map_or_else(String::new, |value| value.to_str().expect("text").to_owned())
}
