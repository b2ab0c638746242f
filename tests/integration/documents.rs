//! The documents lead somewhere: their links, the files and the tests that they name exist.

use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use crate::walls::files;

/// The folders with documents, from this package.
const FOLDERS: [&str; 3] = ["..", "../docs", "../docs/decisions"];
/// How a file's name ends where a document names it.
const EXTENSIONS: [&str; 14] =
    ["css", "html", "js", "json", "md", "mjs", "pem", "py", "rs", "sh", "sql", "svg", "toml", "yaml"];

/// The documents.
fn documents() -> Vec<PathBuf> {
    let listed =
        FOLDERS.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    listed.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// What a document links to: the targets of `[…](…)`, except those on other hosts.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.contains(' '))
}

/// The anchor of a heading, by GitHub's rules.
pub fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Whether a document has a heading with this anchor.
fn has_anchor(document: &Path, expected: &str) -> bool {
    let text = read_to_string(document).unwrap();
    text.lines().any(|line| line.starts_with('#') && anchor(line.trim_start_matches('#')) == expected)
}

fn is_valid(document: &Path, link: &str) -> bool {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { document.to_owned() } else { document.parent().unwrap().join(file) };
    target.exists() && (anchor.is_empty() || has_anchor(&target, anchor))
}

/// What a document writes as code within a line.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let paragraphs = text.split("```").step_by(2).flat_map(|part| part.split("\n\n"));
    paragraphs.flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2))
}

/// Whether a word of code is the path of a file or folder of the repository.
fn is_path(files: &BTreeSet<PathBuf>, word: &str) -> bool {
    let is_plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    let is_elsewhere = ["/", "./", ".local"].iter().any(|start| word.starts_with(start));
    let is_below = word.split_once('/').is_some_and(|(folder, _)| files.iter().any(|file| file.starts_with(folder)));
    let extension = Path::new(word).extension().and_then(|extension| extension.to_str());
    is_plain && !is_elsewhere && (is_below || extension.is_some_and(|end| EXTENSIONS.contains(&end)))
}

/// Whether a word of code is a test's name. No other name has as many words.
fn is_test(word: &str) -> bool {
    word.split('_').count() >= 6 && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Every file of the repository, and the text of its Rust and Python code.
fn repository() -> (BTreeSet<PathBuf>, String) {
    let listed = std::process::Command::new("git").args(["-C", "..", "ls-files"]).output().unwrap();
    let files: BTreeSet<_> = String::from_utf8(listed.stdout).unwrap().lines().map(PathBuf::from).collect();
    let is_code = |file: &&PathBuf| file.extension().is_some_and(|end| end == "rs" || end == "py");
    let code = files.iter().filter(is_code).map(|file| read_to_string(Path::new("..").join(file)).unwrap_or_default());
    let code = code.collect();
    (files, code)
}

/// Whether the repository has this file or folder: by its path, or by the end of it.
fn has_file(files: &BTreeSet<PathBuf>, word: &str) -> bool {
    files.iter().any(|file| file.starts_with(word) || file.ends_with(word))
}

#[test]
fn links_of_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for document in documents() {
        let text = read_to_string(&document).unwrap();
        let of_this = links(&text).filter(|link| !is_valid(&document, link));
        broken.extend(of_this.map(|link| format!("{}: {link}", document.display())));
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_file_and_test_that_a_document_names_exists() {
    let (files, source) = repository();
    let mut missing = Vec::new();
    // The model names the test of each rule.
    for document in documents().into_iter().chain(["../tests/model/src/lib.rs".into()]) {
        let text = read_to_string(&document).unwrap();
        let paths = code(&text).filter(|word| is_path(&files, word) && !has_file(&files, word));
        let tests = code(&text).filter(|word| is_test(word) && !source.contains(&format!("fn {word}(")));
        missing.extend(paths.chain(tests).map(|word| format!("{}: {word}", document.display())));
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn readme_names_the_required_versions_and_every_folder_of_tests() {
    let readme = read_to_string("../README.md").unwrap();
    let machine = read_to_string("stack/machine.py").unwrap();
    let (_, python) = machine.split_once("\nPYTHON = (").unwrap();
    let python = python.split(')').next().unwrap().replace(", ", ".");
    assert!(readme.contains(&format!("Python {python} or later")), "Python {python}");
    let rust = env!("CARGO_PKG_RUST_VERSION");
    assert!(readme.contains(&format!(" {rust} or later. Each command")), "Rust {rust}");
    let (files, _) = repository();
    let below = files.iter().filter_map(|file| file.strip_prefix("tests").ok()?.parent()?.iter().next()?.to_str());
    let folders: BTreeSet<_> = below.filter(|folder| !readme.contains(&format!("`tests/{folder}/`"))).collect();
    assert_eq!(folders, BTreeSet::from(["src"]));
}

/// A variable has an underscore in its name, but for a few. AWS's own need no row.
#[test]
fn configuration_page_names_the_variables_that_functions_read() {
    let is_variable = |word: &&str| {
        let is_own = !["AWS_", "RUST_"].iter().any(|start| word.starts_with(start));
        is_own && word.trim_matches('_').contains('_') && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
    };
    let page = read_to_string("../docs/configuration.md").unwrap();
    let named: BTreeSet<_> = code(page.split("\n## ").next().unwrap()).filter(is_variable).collect();
    let sources = ["../functions", "../shared/src"].map(|folder| files(Path::new(folder))).concat();
    let source: String = sources.iter().map(|path| read_to_string(path).unwrap()).collect();
    assert_eq!(named, source.split('"').filter(is_variable).collect());
}

#[test]
fn document_that_names_a_missing_file_or_test_is_noticed() {
    let (files, source) = repository();
    let text = "See `shared/src/order.rs`, `order.rs`, `docs/`, `shared/src/gone.rs`, `gone.rs` and `docs/gone/`.\n\n\
        `GET /orders` and `next_cursor` are none; `a_test_that_nobody_has_ever_written` is.";
    let paths: Vec<_> = code(text).filter(|word| is_path(&files, word) && !has_file(&files, word)).collect();
    assert_eq!(paths, ["shared/src/gone.rs", "gone.rs", "docs/gone/"]);
    let names: Vec<_> = code(text).filter(|word| is_test(word)).collect();
    assert_eq!(names, ["a_test_that_nobody_has_ever_written"]);
    let this = concat!("fn document_that_names_a_missing_file_", "or_test_is_noticed(");
    assert!(source.contains(this) && links("[a](gone.md), [b](https://example.com)").eq(["gone.md"]));
}
