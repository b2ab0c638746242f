//! Lists of orders, page by page.

use serde_json::Value;

/// The order ids on a page.
pub fn ids(page: &Value) -> Vec<String> {
    let orders = page["orders"].as_array().expect("a page of orders");
    orders.iter().map(|order| order["order_id"].as_str().expect("an id").to_owned()).collect()
}

/// Reads all pages of `/orders` with this query by their cursors, and returns the order ids. `read` returns the page of a path.
pub async fn walk(query: &str, mut read: impl AsyncFnMut(&str) -> Value) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = read(&format!("/orders?{query}{cursor}")).await;
        seen.extend(ids(&page));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return seen,
        }
    }
}
