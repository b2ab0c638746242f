//! The table of log messages in docs/operations.md is the one of the code: the same messages, at the same levels.

use std::collections::BTreeSet;
use std::path::Path;

const DOCUMENT: &str = include_str!("../../docs/operations.md");

/// A log message: its level, and its text.
type Message = (String, String);

/// The levels that the table lists. `DEBUG` is off in a deployment.
const LEVELS: [&str; 3] = ["ERROR", "WARN", "INFO"];

/// Reads every Rust file of a folder.
fn sources(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| match path.extension() {
        _ if path.is_dir() => sources(&path),
        Some(extension) if extension == "rs" => vec![std::fs::read_to_string(&path).unwrap()],
        _ => Vec::new(),
    };
    entries.flat_map(read).collect()
}

/// The last string literal of a macro call, whose arguments begin here.
fn last_literal(arguments: &str) -> String {
    let (mut depth, mut is_string, mut is_escaped, mut literal) = (1, false, false, String::new());
    for character in arguments.chars() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => {
                is_string = !is_string;
                if is_string {
                    literal.clear();
                }
                continue;
            }
            '(' if !is_string => depth += 1,
            ')' if !is_string => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if is_string {
            literal.push(character);
        }
    }
    literal
}

/// The messages that a source logs at the listed levels.
fn logged(source: &str) -> Vec<Message> {
    let of_level = |level: &'static str| {
        let call = format!("{}!(", level.to_lowercase());
        let calls: Vec<_> = source.split(call.as_str()).collect();
        let messages = calls.windows(2).filter(|pair| !pair[0].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
        messages.map(|pair| (level.to_owned(), last_literal(pair[1]))).collect::<Vec<_>>()
    };
    LEVELS.into_iter().flat_map(of_level).collect()
}

/// The rows of the table.
fn documented() -> BTreeSet<Message> {
    let (_, section) = DOCUMENT.split_once("\n## Log messages\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let (level, message) = (cells.next()?, cells.next()?);
        let is_complete = cells.filter(|cell| cell.len() > 3).count() == 2;
        assert!(is_complete, "a row lacks a meaning or a remedy: {line}");
        Some((level.to_owned(), message.strip_prefix('`')?.strip_suffix('`')?.to_owned()))
    };
    section
        .lines()
        .filter(|line| LEVELS.iter().any(|level| line.starts_with(&format!("| {level} |"))))
        .filter_map(row)
        .collect()
}

#[test]
fn log_messages_are_those_of_the_runbook() {
    let folders = ["api", "migrate", "processor", "site", "sweeper"].map(|name| format!("../functions/{name}/src"));
    let folders = folders.into_iter().chain(["../shared/src".to_owned()]);
    let logged: BTreeSet<_> =
        folders.flat_map(|folder| sources(Path::new(&folder))).flat_map(|source| logged(&source)).collect();
    let documented = documented();
    assert!(logged.len() > 30, "{logged:?}");
    let unlisted: Vec<_> = logged.difference(&documented).collect();
    let unknown: Vec<_> = documented.difference(&logged).collect();
    assert!(unlisted.is_empty() && unknown.is_empty(), "not in the table: {unlisted:#?}; nothing logs: {unknown:#?}");
}

#[test]
fn message_is_the_last_literal_of_a_call() {
    let source =
        r#"tracing::warn!(%error, "a (b)"); x.map(|e| tracing::info!(n = f("x"), "say \"c\"")); my_error!("no")"#;
    let expected =
        [("WARN", "a (b)"), ("INFO", "say \\\"c\\\"")].map(|(level, text)| (level.to_owned(), text.to_owned()));
    assert_eq!(logged(source), expected);
}
