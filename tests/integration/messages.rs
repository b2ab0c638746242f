//! The table of log messages in docs/operations.md is the one of the code: the same messages, at the same levels.

use std::collections::BTreeSet;
use std::path::Path;

use crate::walls::files;

const DOCUMENT: &str = include_str!("../../docs/operations.md");

/// A log message: its level, and its text.
type Message = (String, String);

/// The levels that the table lists. `DEBUG` is off in a deployment.
const LEVELS: [&str; 3] = ["ERROR", "WARN", "INFO"];

/// The texts of the Rust files of a folder.
fn sources(folder: &str) -> Vec<String> {
    files(Path::new(folder)).iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
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

/// The calls of a macro in a source, each from its first argument on.
fn calls<'a>(source: &'a str, level: &str) -> Vec<&'a str> {
    let parts: Vec<_> = source.split(&format!("{}!(", level.to_lowercase())).collect();
    let calls = parts.windows(2).filter(|pair| !pair[0].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
    calls.map(|pair| pair[1]).collect()
}

/// The messages that a source logs at the listed levels.
fn logged(source: &str) -> Vec<Message> {
    let of_level = |level| calls(source, level).into_iter().map(move |call| (level.to_owned(), last_literal(call)));
    LEVELS.into_iter().flat_map(of_level).collect()
}

/// The names of a call's fields, which stand before its message.
fn fields(call: &str) -> Vec<&str> {
    let message = format!("\"{}\"", last_literal(call));
    let (fields, _) = call.split_once(&message).unwrap();
    let names = fields.split(',').map(|field| field.split('=').next().unwrap_or_default());
    names.map(|name| name.trim().trim_start_matches(['%', '?'])).collect()
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
    let of_table = section.lines().filter(|line| LEVELS.iter().any(|level| line.starts_with(&format!("| {level} |"))));
    of_table.filter_map(row).collect()
}

#[test]
fn log_messages_are_those_of_the_runbook() {
    let folders = ["api", "migrate", "processor", "site", "sweeper"].map(|name| format!("../functions/{name}/src"));
    let folders = folders.into_iter().chain(["../shared/src".to_owned()]);
    let logged: BTreeSet<_> = folders.flat_map(|folder| sources(&folder)).flat_map(|source| logged(&source)).collect();
    let documented = documented();
    assert!(logged.len() > 30, "{logged:?}");
    let unlisted: Vec<_> = logged.difference(&documented).collect();
    let unknown: Vec<_> = documented.difference(&logged).collect();
    assert!(unlisted.is_empty() && unknown.is_empty(), "not in the table: {unlisted:#?}; nothing logs: {unknown:#?}");
}

#[test]
fn messages_that_the_runbook_looks_for_are_logged() {
    let in_queries = DOCUMENT.split("fields.message = \"").skip(1).filter_map(|rest| rest.split('"').next());
    let in_text = DOCUMENT.split("shows `").skip(1).filter_map(|rest| rest.split('`').next());
    let messages: Vec<_> = in_queries.chain(in_text).collect();
    assert!(messages.len() >= 2, "{messages:?}");
    let code = ["../functions", "../shared/src"].map(sources).concat().concat();
    for message in messages {
        assert!(code.contains(&format!("\"{message}\"")), "nothing logs {message:?}");
    }
}

/// The message of a log line is its field `message`. A second one stands beside it in JSON, and parsers keep only the last.
#[test]
fn log_lines_have_no_field_that_replaces_their_message() {
    let sources = ["../functions", "../shared/src"].map(sources).concat();
    let of_source = |source| LEVELS.into_iter().flat_map(move |level| calls(source, level));
    let replaced =
        sources.iter().map(String::as_str).flat_map(of_source).filter(|call| fields(call).contains(&"message"));
    let replaced: Vec<_> = replaced.map(last_literal).collect();
    assert!(replaced.is_empty(), "{replaced:#?}");
}

#[test]
fn message_is_the_last_literal_of_a_call_after_its_fields() {
    let source = r#"tracing::warn!(%error, code = failure.code, message, "a (b), c");
        x.map(|e| tracing::info!(n = f("x"), "say \"c\"")); my_error!("no"); info!("d");"#;
    let expected = [("WARN", "a (b), c"), ("INFO", "say \\\"c\\\""), ("INFO", "d")];
    assert_eq!(logged(source), expected.map(|(level, text)| (level.to_owned(), text.to_owned())));
    assert_eq!(fields(calls(source, "WARN")[0]), ["error", "code", "message", ""]);
    assert_eq!(fields(calls(source, "INFO")[1]), [""]);
}
