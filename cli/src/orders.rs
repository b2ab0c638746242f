//! Orders as the API shows them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use shared::order::Status;
use time::OffsetDateTime;

use crate::client::Client;
use crate::exit::Failure;

/// An order.
#[derive(Debug, Clone, Deserialize)]
pub struct ApiOrder {
    pub order_id: String,
    pub user_id: String,
    pub total_amount: String,
    pub currency: String,
    pub status: Status,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub started_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub finished_at: Option<OffsetDateTime>,
    pub attempts: u32,
    pub failure: Option<String>,
}

/// A page of orders, newest first.
#[derive(Debug, Deserialize)]
pub struct Page {
    pub orders: Vec<ApiOrder>,
    pub next_cursor: Option<String>,
}

/// The most orders of a page.
pub const PAGE: usize = 200;

/// The pages of a list, one at a time.
pub struct Pages<'a> {
    client: &'a Client<'a>,
    query: String,
    cursor: Option<String>,
    is_over: bool,
}

impl<'a> Pages<'a> {
    /// The pages of this user's orders, or of all.
    pub fn of(client: &'a Client<'a>, user: Option<&str>, limit: usize) -> Self {
        let user = user.map(|user| format!("&user_id={}", encoded(user))).unwrap_or_default();
        Self { client, query: format!("/orders?limit={limit}{user}"), cursor: None, is_over: false }
    }

    /// Whether the last page was the end of the list.
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Reads the next page; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<ApiOrder>>, Failure> {
        if self.is_over {
            return Ok(None);
        }
        let cursor = self.cursor.iter().map(|cursor| format!("&cursor={}", encoded(cursor)));
        let path = cursor.fold(self.query.clone(), |path, cursor| path + &cursor);
        let page: Page = self.client.follow(&path).await?.read()?;
        self.is_over = page.next_cursor.is_none();
        self.cursor = page.next_cursor;
        Ok(Some(page.orders))
    }
}

/// All characters but the unreserved ones of RFC 3986, 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes a value of a query or a part of a path.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}
