//! The OpenAPI document and its pages.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::{call_in_process, get};

#[test]
fn published_document_matches_the_routes() {
    let made = serde_json::to_string_pretty(&api::openapi()).unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write("../functions/site/assets/openapi.json", &made).unwrap();
    } else {
        let is_published = made == site::OPENAPI;
        assert!(is_published, "functions/site/assets/openapi.json differs from the routes: run `make openapi`");
    }
}

#[test]
fn every_call_with_a_token_documents_its_refusals() {
    let document: Value = serde_json::from_str(site::OPENAPI).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let calls = paths.values().flat_map(|path| path.as_object().unwrap().values());
    for call in calls.filter(|call| call["security"][0]["token"].is_array()) {
        let with_body = call["requestBody"].as_object().map(|_| "413");
        for status in ["401", "403", "429", "500", "503"].into_iter().chain(with_body) {
            let by_the_gateway = &call["responses"][status]["content"]["application/json"];
            assert!(by_the_gateway.is_object(), "{} lacks {status}", call["operationId"]);
        }
        assert!(call["responses"]["401"]["headers"]["WWW-Authenticate"].is_object(), "{}", call["operationId"]);
    }
    assert!(paths["/orders/{order_id}"]["get"]["responses"]["304"]["headers"]["ETag"].is_object());
}

/// Collects the members that a part of the document describes and that may be absent.
fn optional_members(document: &Value, part: &Value, found: &mut BTreeSet<String>) {
    if let Some(name) = part["$ref"].as_str() {
        optional_members(document, document.pointer(&name[1..]).unwrap(), found);
    }
    let required: Vec<_> = part["required"].as_array().into_iter().flatten().collect();
    let members = part["properties"].as_object().into_iter().flat_map(|members| members.keys());
    found.extend(members.filter(|name| !required.contains(&&Value::from(name.as_str()))).cloned());
    let object = part.as_object().into_iter().flat_map(|members| members.values());
    for part in object.chain(part.as_array().into_iter().flatten()) {
        optional_members(document, part, found);
    }
}

#[test]
fn every_member_of_an_answer_is_always_there_except_errors() {
    let (document, mut optional) = (serde_json::from_str::<Value>(site::OPENAPI).unwrap(), BTreeSet::new());
    for call in document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values()) {
        optional_members(&document, &call["responses"], &mut optional);
    }
    assert_eq!(Vec::from_iter(optional), ["errors"]);
}

/// Collects the patterns of a part of the document.
fn patterns<'a>(part: &'a Value, found: &mut BTreeSet<&'a str>) {
    found.extend(part["pattern"].as_str());
    let object = part.as_object().into_iter().flat_map(|members| members.values());
    for part in object.chain(part.as_array().into_iter().flatten()) {
        patterns(part, found);
    }
}

/// Generators and clients compile the patterns with the engine of their language. RE2, which Go uses, has neither look-around nor
/// back-references, and a Go client refuses the whole document because of one.
#[test]
fn every_engine_can_compile_the_patterns_of_the_document() {
    let (document, mut found) = (serde_json::from_str::<Value>(site::OPENAPI).unwrap(), BTreeSet::new());
    patterns(&document, &mut found);
    assert!(found.len() > 5, "{found:?}");
    for pattern in found {
        let mut escapes = pattern.split('\\').skip(1);
        assert!(escapes.all(|escape| escape.starts_with(['x', '.'])), "an escape that an engine may lack: {pattern}");
        for lacking in ["(?", "*+", "++", "?+", "}+"] {
            assert!(!pattern.contains(lacking), "{lacking}: {pattern}");
        }
    }
}

#[tokio::test]
async fn pages_link_to_nothing_outside_the_function() {
    let site = site::router(site::SiteConfig::default());
    assert_eq!(call_in_process(&site, None, get("/docs")).await.header("location"), "docs/index.html");
    let pages = ["/docs/index.html", "/docs/problems", "/dashboard/index.html"];
    for (page, script) in pages.into_iter().zip(["swagger-ui-bundle.js", "", "main.js"]) {
        let answer = call_in_process(&site, None, get(page)).await;
        assert!(answer.status == 200 && answer.header("content-type").starts_with("text/html"), "{page}: {answer:?}");
        assert!(answer.text.contains(script) && !answer.text.contains("//"), "{page}: {}", answer.text);
    }
    let start = call_in_process(&site, None, get("/docs/swagger-initializer.js")).await;
    assert!(start.text.contains("../openapi.json"), "{}", start.text);
    for path in ["/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/openapi.json"] {
        assert_eq!(call_in_process(&site, None, get(path)).await.status, 200, "{path}");
    }
    assert_eq!(call_in_process(&site, None, get("/docs/nothing")).await.status, 404);
}
