//! The size of a record in the gateway's access log: the template's format with values of the usual length.

use super::billed::RECORD;

const TEMPLATE: &str = include_str!("../../../../template.yaml");
/// The variables of the format, each with a value of the usual length.
const USUAL: [(&str, &str); 8] = [
    ("requestId", "JKJaXmPLvHcESHA="),
    ("routeKey", "POST /orders"),
    ("status", "201"),
    ("integrationLatency", "12"),
    ("identity.sourceIp", "203.0.113.178"),
    ("authorizer.claims.sub", "3f0c1a9e-7d52-4b1c-9a60-2b8f5d1e7c44"),
    ("authorizer.error", "-"),
    ("error.responseType", "-"),
];

/// The billed bytes of a record. The Lambda service itself logs nothing about a successful invocation (`SystemLogLevel: WARN`).
pub fn bytes() -> f64 {
    crate::stats::count(record().len()) + RECORD
}

fn record() -> String {
    USUAL.iter().fold(format(), |record, (name, value)| record.replace(&format!("$context.{name}"), value))
}

/// The lines of the format, folded into one as YAML does.
fn format() -> String {
    let (_, rest) = TEMPLATE.split_once("Format: >-\n").expect("the template has a format of the log");
    rest.lines().map(str::trim).take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_has_a_value_for_every_variable_of_the_template() {
        let usual =
            r#"JKJaXmPLvHcESHA= 201 12 203.0.113.178 - "POST /orders" "-" 3f0c1a9e-7d52-4b1c-9a60-2b8f5d1e7c44"#;
        assert_eq!(record(), usual);
    }
}
