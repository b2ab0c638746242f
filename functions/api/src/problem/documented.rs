//! A test that docs/api.md explains every kind of problem. The page `/docs/problems` is generated from that document.

use shared::db::{DbError, StoreError};

use super::ApiError;

const DOCUMENT: &str = include_str!("../../../../docs/api.md");

/// One error of each kind.
fn all() -> Vec<ApiError> {
    let all = vec![
        ApiError::Malformed(String::new()),
        ApiError::Unauthorized,
        ApiError::Forbidden(String::new()),
        ApiError::NoSuchOrder,
        ApiError::NoSuchRoute,
        ApiError::MethodNotAllowed,
        ApiError::Conflict(String::new()),
        ApiError::TooLarge(0),
        ApiError::NotJson,
        ApiError::Invalid(Vec::new()),
        ApiError::KeyReused,
        ApiError::Unavailable(StoreError::new("read an order", DbError::Unavailable("gone".into()))),
        ApiError::Internal("lost".into()),
    ];
    // A new kind does not compile until it is added here. Add it to the list above too.
    for error in &all {
        match error {
            ApiError::Malformed(_)
            | ApiError::Unauthorized
            | ApiError::Forbidden(_)
            | ApiError::NoSuchOrder
            | ApiError::NoSuchRoute
            | ApiError::MethodNotAllowed
            | ApiError::Conflict(_)
            | ApiError::TooLarge(_)
            | ApiError::NotJson
            | ApiError::NotUtf8
            | ApiError::Encoded
            | ApiError::Invalid(_)
            | ApiError::KeyReused
            | ApiError::Unavailable(_)
            | ApiError::QueueUnavailable(_)
            | ApiError::Internal(_) => {}
        }
    }
    all
}

/// The entries of the document: the name of each kind, and the line with its status and title.
fn entries() -> Vec<(&'static str, &'static str)> {
    let (_, problems) = DOCUMENT.split_once("\n## Problems\n").unwrap();
    let (problems, _) = problems.split_once("\n## ").unwrap();
    let parts = problems.split("\n### ").skip(1);
    parts
        .map(|part| part.split_once("\n\n").unwrap())
        .map(|(name, text)| (name, text.lines().next().unwrap()))
        .collect()
}

#[test]
fn document_has_one_entry_for_each_kind_of_problem() {
    let all = all();
    let made = all.iter().map(ApiError::kind);
    let mut made: Vec<_> =
        made.map(|(status, kind, title)| (kind, format!("**{}** · {title}", status.as_u16()))).collect();
    let documented = entries().into_iter().filter(|(kind, _)| *kind != "gateway");
    let mut documented: Vec<_> = documented.map(|(kind, line)| (kind, line.to_owned())).collect();
    made.sort();
    documented.sort();
    assert_eq!(documented, made);
}

/// A filter that selects too many orders can cause it.
#[test]
fn call_that_took_too_long_gets_the_advice_to_narrow_its_filter() {
    let has_advice = |cause| {
        let detail = ApiError::Unavailable(StoreError::new("list orders", cause)).detail();
        detail.contains("A call with a filter can name a shorter span of time")
    };
    let source = || "a cause".into();
    assert!(has_advice(DbError::OutOfTime));
    assert!(!has_advice(DbError::Unavailable(source())) && !has_advice(DbError::Busy(source())));
}
