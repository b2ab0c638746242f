//! Tests of the order's body: every field, and every error at once.

use utoipa::PartialSchema;

use super::NewOrderBody;
use super::*;

const GOOD: &str = r#"{"order_id":"o-1","user_id":"alice","item_ids":["a"],"total_amount":59.98}"#;

fn euro() -> Currency {
    "EUR".parse().unwrap()
}

/// The pointers of a body's errors, or its problem if it is malformed.
fn complaints(body: &str) -> Vec<String> {
    match parse(body.as_bytes(), euro()) {
        Ok(_) => vec![],
        Err(ApiError::Invalid(errors)) => errors.into_iter().map(|error| error.pointer).collect(),
        Err(ApiError::Malformed(detail)) => vec![detail],
        Err(other) => vec![format!("{other:?}")],
    }
}

#[test]
fn valid_order_is_read_exactly() {
    let order = parse(GOOD.as_bytes(), euro()).unwrap();
    assert_eq!(order.total_amount.to_string(), "59.98");
    assert_eq!(order.order_id.unwrap().as_str(), "o-1");
    assert_eq!(complaints(r#"{"user_id":"a","item_ids":["a"],"total_amount":"0.1"}"#), [""; 0]);
    let body = br#"{"order_id": null ,"user_id":"a","item_ids":["a"],"total_amount":"36.4000"}"#;
    let order = parse(body, euro()).unwrap();
    assert_eq!((order.order_id, order.total_amount.to_string().as_str()), (None, "36.40"));
}

#[test]
fn every_bad_field_is_reported_at_once() {
    let body = r#"{"order_id":"a b","item_ids":["ok","\u0000"],"total_amount":1.005,"coupon/~x":1,"order_id":"x"}"#;
    let expected = ["#/order_id", "#/order_id", "#/user_id", "#/total_amount", "#/item_ids/1", "#/coupon~1~0x"];
    assert_eq!(complaints(body), expected);
    let many = "\"x\":0,".repeat(1000);
    assert_eq!(complaints(&format!("{{{many}{}", &GOOD[1..])).len(), MAX_ERRORS);
    assert_eq!(complaints("{}"), ["#/user_id", "#/total_amount", "#/item_ids"]);
}

#[test]
fn errors_of_items_do_not_displace_those_of_other_fields() {
    let items = format!("[{}]", vec![r#""""#; 500].join(","));
    let found = complaints(&GOOD.replace(r#"["a"]"#, &items).replace("59.98", "-1"));
    assert_eq!((found.len(), found[0].as_str(), found[1].as_str()), (MAX_ERRORS, "#/total_amount", "#/item_ids/0"));
}

#[test]
fn value_of_another_type_is_reported() {
    let body = r#"{"order_id":7,"user_id":null,"item_ids":"a","total_amount":true}"#;
    assert_eq!(complaints(body), ["#/order_id", "#/user_id", "#/total_amount", "#/item_ids"]);
}

#[test]
fn lone_surrogates_are_reported_at_their_fields() {
    assert_eq!(complaints(&GOOD.replace("alice", r"\ud800")), ["#/user_id"]);
    assert_eq!(
        complaints(&GOOD.replace(r#"["a"]"#, r#"["\udfff", "ok", 7, ""]"#)),
        ["#/item_ids/0", "#/item_ids/2", "#/item_ids/3"]
    );
}

#[test]
fn amount_that_is_no_plain_decimal_is_refused() {
    for amount in [
        "1e400",
        "-1",
        "1.005",
        "36.4001",
        r#""36.4001""#,
        r#""36.""#,
        r#""0000000000036.40""#,
        "1000000000000",
        r#""1e1""#,
        r#""+1""#,
        r#"" 1""#,
        r#"".5""#,
        r#""""#,
        "[]",
        "null",
    ] {
        assert_eq!(complaints(&GOOD.replace("59.98", amount)), ["#/total_amount"], "{amount}");
    }
}

/// Without the format some generators make a 32-bit float of the number.
#[test]
fn number_of_the_amount_is_a_double_in_the_schema() {
    let schema = serde_json::to_value(NewOrderBody::schema()).unwrap();
    assert_eq!(schema["properties"]["total_amount"]["oneOf"][0]["format"], "double");
}

/// The same order with another amount and more members.
fn with(amount: &str, more: &str) -> String {
    GOOD.replace("59.98", &format!("{amount},{more}"))
}

#[test]
fn decimals_of_the_amount_are_those_of_the_currency() {
    for (amount, currency, shown) in
        [("1200", "JPY", "1200"), ("1200.0", "JPY", "1200"), ("\"1.505\"", "KWD", "1.505"), ("1.5", "USD", "1.50")]
    {
        let body = with(amount, &format!(r#""currency":"{currency}""#));
        let amount = parse(body.as_bytes(), euro()).unwrap().total_amount;
        assert_eq!((amount.to_string().as_str(), amount.currency().code()), (shown, currency), "{body}");
    }
    assert_eq!(complaints(&with("1200.5", r#""currency":"JPY""#)), ["#/total_amount"]);
    assert_eq!(complaints(&with("1.5055", r#""currency":"KWD""#)), ["#/total_amount"]);
    for currency in ["\"eur\"", "\"XAU\"", "\"\"", "978", "[]"] {
        assert_eq!(complaints(&with("1", &format!(r#""currency":{currency}"#))), ["#/currency"], "{currency}");
    }
    let yen = |body: String| parse(body.as_bytes(), "JPY".parse().unwrap());
    assert_eq!(yen(with("7", r#""currency":null"#)).unwrap().total_amount.currency().code(), "JPY");
    assert!(yen(with("7.5", r#""metadata":null"#)).is_err());
}

#[test]
fn body_that_is_no_json_object_is_malformed() {
    for body in ["", "null", "[]", "{", "NaN", &GOOD.replace("59.98", "NaN"), "{}{}", "\u{feff}{}"] {
        assert!(complaints(body)[0].starts_with("The body is not a JSON object"), "{body}");
    }
    assert!(matches!(parse(b"{\"\xff\":1}", euro()), Err(ApiError::Malformed(_))));
}

/// Validators divide by `multipleOf` in floating point, where 59.98 / 0.0001 is no whole number.
#[test]
fn schema_of_an_amount_has_no_divisor() {
    let schema = serde_json::to_value(NewOrderBody::schema()).unwrap();
    let kinds = schema["properties"]["total_amount"]["oneOf"].as_array().unwrap();
    let number = kinds.iter().find(|kind| kind["type"] == "number").unwrap();
    assert_eq!((&number["multipleOf"], &number["minimum"]), (&serde_json::Value::Null, &serde_json::json!(0)));
}

#[test]
fn document_names_the_fields_of_an_order() {
    let schema = serde_json::to_value(NewOrderBody::schema()).unwrap();
    let mut documented: Vec<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
    let mut read = Members::NAMES.map(str::to_owned).to_vec();
    documented.sort();
    read.sort();
    assert_eq!(documented, read);
}
