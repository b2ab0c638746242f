//! The page of problems, generated from docs/api.md. The `type` of each problem links to it.

use std::fmt::Write;

use tests::{call_in_process, get};

const DOCUMENT: &str = include_str!("../../docs/api.md");
const PUBLISHED: &str = "../functions/site/assets/problems/problems.html";

#[test]
fn published_page_of_problems_matches_the_documentation() {
    let made = page();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(PUBLISHED, &made).unwrap();
    } else {
        assert!(made == site::PROBLEMS, "{PUBLISHED} differs from docs/api.md: run `make openapi`");
    }
}

#[tokio::test]
async fn type_of_a_problem_leads_to_its_explanation() {
    let site = site::router(site::SiteConfig::default());
    let page = call_in_process(&site, None, get("/docs/problems")).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").contains("script-src 'self'"), "{page:?}");
    for kind in ["invalid", "conflict", "unavailable", "gateway"] {
        assert!(page.text.contains(&format!("<section id=\"{kind}\">")), "{kind}");
    }
    for part in ["//", "<script", "<style", "style="] {
        assert!(!page.text.contains(part), "{part}");
    }
    let links = page.text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    for link in links.filter(|link| !link.starts_with('#')) {
        let path = link.strip_prefix("..").map_or_else(|| format!("/docs/{link}"), str::to_owned);
        assert_eq!(call_in_process(&site, None, get(&path)).await.status, 200, "{link}");
    }
}

/// Generates the page from the entries of the document.
fn page() -> String {
    let (_, problems) = DOCUMENT.split_once("\n## Problems\n").unwrap();
    let (problems, _) = problems.split_once("\n## ").unwrap();
    let entries: Vec<_> = problems.split("\n### ").skip(1).filter_map(|entry| entry.split_once('\n')).collect();
    let mut page = BEGIN.to_owned();
    for (kind, _) in &entries {
        let _ = writeln!(page, "      <a href=\"#{kind}\">{kind}</a>");
    }
    page += "    </nav>\n";
    for (kind, text) in &entries {
        let _ = writeln!(page, "\n    <section id=\"{kind}\">\n      <h2><a href=\"#{kind}\">{kind}</a></h2>");
        text.trim().split("\n\n").enumerate().for_each(|(index, block)| page += &paragraph(block, index == 0));
        page += "    </section>\n";
    }
    page + END
}

/// The HTML of a paragraph or a list.
fn paragraph(block: &str, is_title: bool) -> String {
    let Some(list) = block.strip_prefix("- ") else {
        let class = if is_title { " class=\"title\"" } else { "" };
        return format!("      <p{class}>{}</p>\n", inline(block));
    };
    let items = list.split("\n- ").map(|item| format!("        <li>{}</li>\n", inline(item)));
    format!("      <ul>\n{}      </ul>\n", items.collect::<String>())
}

/// Converts code, emphasis and links to HTML.
fn inline(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let words = escaped.split_whitespace().collect::<Vec<_>>().join(" ");
    linked(&tagged(&tagged(&words, "**", "strong"), "`", "code"))
}

/// Replaces each pair of marks by a pair of tags.
fn tagged(text: &str, mark: &str, tag: &str) -> String {
    let parts: Vec<_> = text.split(mark).collect();
    assert_eq!(parts.len() % 2, 1, "an unmatched {mark}: {text}");
    let tagged = parts.iter().enumerate().map(|(index, part)| match index % 2 {
        0 => (*part).to_owned(),
        _ => format!("<{tag}>{part}</{tag}>"),
    });
    tagged.collect()
}

/// Converts each `[text](target)` to a link.
fn linked(text: &str) -> String {
    let Some((before, rest)) = text.split_once('[') else { return text.to_owned() };
    let (words, rest) = rest.split_once("](").expect("a link");
    let (target, rest) = rest.split_once(')').expect("a link");
    format!("{before}<a href=\"{target}\">{words}</a>{}", linked(rest))
}

const BEGIN: &str = r#"<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <title>Ordermill: problems</title>
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <meta name="description" content="What each refusal of the order service means, and what to do about it">
  <link rel="icon" href="../dashboard/RELEASE/icon.svg">
  <link rel="stylesheet" href="../dashboard/RELEASE/look.css">
  <link rel="stylesheet" href="problems.css">
</head>
<body>
  <main>
    <h1>Problems</h1>
    <p>What each refusal means, and what to do about it. A program decides by the <code>type</code>, which leads here;
      <code>detail</code> says what happened in the case at hand. <a href="index.html">All calls</a></p>
    <nav aria-label="Kinds of problems">
"#;

const END: &str = "  </main>\n</body>\n</html>\n";
