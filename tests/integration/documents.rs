//! The links of the documents.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// The paths of the documents.
fn documents() -> Vec<PathBuf> {
    let listed = std::fs::read_dir("../docs").unwrap().map(|entry| entry.unwrap().path());
    let documents = listed.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    documents.chain([PathBuf::from("../README.md")]).collect()
}

/// The targets of the links `[…](…)` of a document, without those to other sites.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.contains(' '))
}

/// Whether a document has a heading with this anchor, by GitHub's rules for anchors.
fn has_anchor(document: &Path, anchor: &str) -> bool {
    let named = |heading: &str| -> String {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    let text = read_to_string(document).unwrap();
    text.lines().any(|line| line.starts_with('#') && named(line.trim_start_matches('#').trim()) == anchor)
}

fn is_valid(document: &Path, link: &str) -> bool {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { document.to_owned() } else { document.parent().unwrap().join(file) };
    target.exists() && (anchor.is_empty() || has_anchor(&target, anchor))
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
