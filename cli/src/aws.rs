//! A few calls of AWS's APIs, signed by hand. The program makes one or two calls to each of a few services; their SDKs would
//! make it ten times as large.
//!
//! | variable | meaning |
//! |---|---|
//! | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | the credentials |
//! | `AWS_REGION` or `AWS_DEFAULT_REGION` | the region |
//! | `AWS_ENDPOINT_URL` | an emulator's URL |

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use reqwest::{Method, RequestBuilder, Url};
use serde_json::Value;
use shared::config::Env;
use shared::error::Chain;

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A client of AWS with credentials, in a region.
pub struct Aws {
    http: reqwest::Client,
    credentials: Credentials,
    region: String,
    endpoint: Option<String>,
}

impl Aws {
    /// Reads the variables. Names the first that is missing.
    pub fn from_env(env: &Env) -> Result<Self, String> {
        let required = |name: &str| env.text(name).ok_or_else(|| format!("give {name}"));
        let region = env.text("AWS_REGION").or_else(|| env.text("AWS_DEFAULT_REGION")).ok_or("give AWS_REGION")?;
        let (id, secret) = (required("AWS_ACCESS_KEY_ID")?, required("AWS_SECRET_ACCESS_KEY")?);
        let session = env.text("AWS_SESSION_TOKEN").map(str::to_owned);
        let http = crate::http::builder().timeout(TIMEOUT).build().map_err(|error| Chain(&error).to_string())?;
        Ok(Self {
            http,
            credentials: Credentials::new(id, secret, session, None, "environment"),
            region: region.to_owned(),
            endpoint: env.text("AWS_ENDPOINT_URL").map(str::to_owned),
        })
    }

    /// Reads a resource of a service with a REST API.
    pub async fn get(&self, service: &str, path: &str) -> Result<Value, String> {
        self.call(Method::GET, service, path, None).await
    }

    /// Posts to a service with a REST API.
    pub async fn post(&self, service: &str, path: &str, body: &Value) -> Result<Value, String> {
        self.call(Method::POST, service, path, Some(("content-type", "application/json", body))).await
    }

    /// Calls an action of a service with a JSON API: `AmazonSQS.GetQueueAttributes`.
    pub async fn act(&self, service: &str, target: &str, body: &Value) -> Result<Value, String> {
        self.call(Method::POST, service, "/", Some(("x-amz-target", target, body))).await
    }

    async fn call(
        &self,
        method: Method,
        service: &str,
        path: &str,
        sent: Option<(&str, &str, &Value)>,
    ) -> Result<Value, String> {
        let url = Url::parse(&format!("{}{path}", self.endpoint_of(service)))
            .map_err(|error| format!("AWS_ENDPOINT_URL: {error}"))?;
        let body = sent.map(|(_, _, body)| body.to_string()).unwrap_or_default();
        let mut request = self.http.request(method.clone(), url.clone()).body(body.clone());
        let named = sent.map(|(name, value, _)| (name, value));
        if let Some((name, value)) = named {
            request = request.header(name, value);
        }
        if named.is_some_and(|(name, _)| name == "x-amz-target") {
            request = request.header(
                "content-type",
                if service == "sqs" { "application/x-amz-json-1.0" } else { "application/x-amz-json-1.1" },
            );
        }
        let signed = self.sign(request, &method, service, &url, named, body.as_bytes());
        answer(signed.map_err(|error| format!("the call can't be signed: {error}"))?).await
    }

    fn sign(
        &self,
        request: RequestBuilder,
        method: &Method,
        service: &str,
        url: &Url,
        header: Option<(&str, &str)>,
        body: &[u8],
    ) -> Result<RequestBuilder, Box<dyn std::error::Error>> {
        let identity = self.credentials.clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let signable =
            SignableRequest::new(method.as_str(), url.as_str(), header.into_iter(), SignableBody::Bytes(body))?;
        let (instructions, _) = sign(signable, &params)?.into_parts();
        Ok(instructions.headers().fold(request, |request, (name, value)| request.header(name, value)))
    }

    fn endpoint_of(&self, service: &str) -> String {
        let suffix = if self.region.starts_with("cn-") { ".cn" } else { "" };
        let of_aws = || format!("https://{service}.{}.amazonaws.com{suffix}", self.region);
        self.endpoint.as_deref().map_or_else(of_aws, |endpoint| endpoint.trim_end_matches('/').to_owned())
    }
}

/// Sends the call. Returns the answer's body, or the reason for the refusal.
async fn answer(request: RequestBuilder) -> Result<Value, String> {
    let described = |error: reqwest::Error| format!("AWS can't be reached: {}", Chain(&error.without_url()));
    let response = request.send().await.map_err(described)?;
    let (status, text) = (response.status(), response.text().await.map_err(described)?);
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    if status.is_success() {
        return Ok(body);
    }
    let said = ["message", "Message", "__type"].iter().find_map(|name| body[name].as_str()).unwrap_or(&text);
    Err(format!("AWS answers {}: {said}", status.as_u16()))
}
