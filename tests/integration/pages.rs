//! Caching of the pages in browsers: a page never mixes files of two releases.

use std::collections::BTreeSet;

use reqwest::header::IF_NONE_MATCH;
use tests::{Answer, Stack};

const FOR_GOOD: &str = "public, max-age=31536000, immutable";

async fn get(path: &str, known: Option<&str>) -> Answer {
    let request = reqwest::Client::new().get(format!("{}{path}", Stack::running().get("API_URL")));
    let request = known.into_iter().fold(request, |request, tag| request.header(IF_NONE_MATCH, tag));
    Answer::of(request.send().await.unwrap()).await
}

/// All quoted strings of a text.
fn quoted(text: &str) -> BTreeSet<&str> {
    text.split('"').skip(1).step_by(2).collect()
}

/// The release in the paths of the dashboard's files, read from its page.
async fn release() -> String {
    let page = get("/dashboard/index.html", None).await;
    let main = quoted(&page.text).into_iter().find_map(|link| link.strip_suffix("/main.js")).map(str::to_owned);
    main.unwrap_or_else(|| panic!("{page:?}"))
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn page_loads_only_files_of_its_own_release() {
    let release = release().await;
    assert!(release.len() == 16 && release.bytes().all(|byte| byte.is_ascii_hexdigit()), "{release}");
    for page in ["/dashboard/index.html", "/docs/problems"] {
        let text = get(page, None).await.text;
        let loaded =
            quoted(&text).into_iter().filter(|link| [".js", ".css", ".svg"].iter().any(|end| link.ends_with(end)));
        let (named, own): (BTreeSet<_>, _) = loaded.partition(|link| link.contains(&format!("{release}/")));
        assert!(own.is_subset(&BTreeSet::from(["fresh.js", "problems.css"])) && named.len() > 1, "{own:?}, {named:?}");
        for link in named {
            let path = format!("/dashboard/{}", link.trim_start_matches("../dashboard/"));
            let file = get(&path, None).await;
            assert_eq!((file.status, file.header("cache-control")), (200, FOR_GOOD), "{path}");
            let lines = file.text.lines().filter(|_| link.contains(".js") && !link.contains("uplot"));
            for import in lines.filter(|line| line.starts_with("import ") || line.contains("import(")) {
                let name = quoted(import).into_iter().find_map(|name| name.strip_prefix("./"));
                let name = name.unwrap_or_else(|| panic!("{link}: {import}"));
                let is_in_page = text.contains(&format!("\"{release}/{name}\""));
                assert!(is_in_page, "{link} imports {name}, and the page does not");
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn files_of_another_release_are_neither_found_nor_cached() {
    for path in ["/dashboard/0123456789abcdef/main.js", "/dashboard/main.js", "/dashboard/0123456789abcdef/"] {
        let answer = get(path, None).await;
        assert_eq!((answer.status, answer.header("cache-control")), (404, "no-store"), "{path}: {answer:?}");
    }
}

#[tokio::test]
#[ignore = "needs the deployed stack: `make test` runs it"]
async fn page_is_revalidated_and_sent_only_after_a_change() {
    for path in [
        "/dashboard/index.html",
        "/dashboard/config.json",
        "/dashboard/fresh.js",
        "/docs/problems",
        "/docs/problems.css",
        "/docs/index.html",
        "/docs/swagger-ui-bundle.js",
        "/openapi.json",
    ] {
        let first = get(path, None).await;
        assert_eq!((first.status, first.header("cache-control")), (200, "no-cache"), "{path}");
        let again = get(path, Some(first.header("etag"))).await;
        assert_eq!((again.status, again.text.as_str()), (304, ""), "{path}");
        assert_eq!(again.header("cache-control"), "no-cache", "{path}");
        assert_eq!(get(path, Some("\"of-another-release\"")).await.status, 200, "{path}");
    }
}
