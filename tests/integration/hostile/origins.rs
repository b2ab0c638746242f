//! The headers for browsers: pages of other origins can't read the API, and answers are neither cached nor sniffed.

use reqwest::{Client, Method};
use tests::{Answer, Stack, order};

fn client() -> Client {
    Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// Calls like a browser does for a page of another origin.
async fn call_from_elsewhere(client: &Client, method: Method, path: &str, token: Option<&str>) -> Answer {
    let stack = Stack::running();
    let mut request = client.request(method.clone(), format!("{}{path}", stack.get("API_URL")));
    request = request.header("origin", "https://elsewhere.example.com");
    if method == Method::OPTIONS {
        let asked = "authorization, content-type";
        request =
            request.header("access-control-request-method", "POST").header("access-control-request-headers", asked);
    }
    if let Some(token) = token {
        request = request.bearer_auth(stack.get(token));
    }
    Answer::of(request.send().await.unwrap()).await
}

const PAGES: [&str; 9] = [
    "/docs",
    "/docs/index.html",
    "/docs/swagger-ui-bundle.js",
    "/docs/nothing",
    "/openapi.json",
    "/dashboard",
    "/dashboard/index.html",
    "/dashboard/fresh.js",
    "/dashboard/config.json",
];
const CALLS: [&str; 5] = ["/orders", "/orders/none", "/metrics", "/healthz", "/nothing"];

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn pages_of_other_origins_can_read_no_answer() {
    let client = client();
    for path in PAGES.into_iter().chain(CALLS) {
        for method in [Method::GET, Method::OPTIONS, Method::POST] {
            for token in [None, Some("TOKEN_ADMIN")] {
                let answer = call_from_elsewhere(&client, method.clone(), path, token).await;
                let permits = answer.headers.keys().find(|name| name.as_str().starts_with("access-control-"));
                assert_eq!(permits, None, "{method} {path}: {answer:?}");
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn api_answers_forbid_caching_and_sniffing() {
    let stack = Stack::running();
    let id = format!("origins-{}", uuid::Uuid::new_v4().simple());
    let created = stack.post_as("TOKEN_ALICE", "/orders", &order(&id)).await;
    let mut answers = vec![created, stack.get_as("TOKEN_ALICE", &format!("/orders/{id}")).await];
    let client = client();
    for path in CALLS {
        answers.push(call_from_elsewhere(&client, Method::GET, path, Some("TOKEN_ADMIN")).await);
    }
    for answer in answers {
        let headers = (answer.header("cache-control"), answer.header("x-content-type-options"));
        assert_eq!(headers, ("no-store", "nosniff"), "{answer:?}");
    }
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn pages_load_nothing_from_elsewhere_and_forbid_framing() {
    let client = client();
    for path in PAGES {
        let page = call_from_elsewhere(&client, Method::GET, path, None).await;
        let policy: Vec<_> = page.header("content-security-policy").split(';').map(str::trim).collect();
        for directive in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(&directive), "{path}: {policy:?} lacks {directive}");
        }
        assert!(!policy.iter().any(|directive| directive.contains("unsafe") || directive.contains('*')), "{policy:?}");
        for (name, value) in [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")] {
            assert_eq!(page.header(name), value, "{path}: {name}");
        }
        assert!(page.header("strict-transport-security").starts_with("max-age="), "{path}");
    }
}
