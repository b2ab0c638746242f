//! One run: its name, its user and its orders.

use serde_json::{Value, json};

use crate::client::Client;
use crate::deployment::Deployment;
use crate::exit::Failure;
use crate::orders::{Page, encoded};
use crate::token::Claims;

/// A run. Its orders have identifiers of their own, and a user of their own if the token allows it.
pub struct Run {
    /// Its name, the prefix of its orders' identifiers.
    pub name: String,
    /// The user of its orders.
    pub user: String,
}

impl Run {
    /// Makes a run. Fails without a token.
    pub fn new(deployment: &Deployment) -> Result<Self, Failure> {
        let token =
            deployment.token.as_deref().ok_or_else(|| Failure::Usage("give --token or ORDERMILL_TOKEN".to_owned()))?;
        let name = deployment.token_name;
        let claims = Claims::of(token).map_err(|problem| Failure::Usage(format!("{name} is no token: {problem}")))?;
        let name = format!("load-{:08x}", fastrand::u32(..));
        let own = claims.text("sub").unwrap_or_default().to_owned();
        Ok(Self { user: if claims.acts_for_all() { name.clone() } else { own }, name })
    }

    /// Checks that the service answers and accepts the token, before thousands of calls do.
    pub async fn check(&self, client: &Client<'_>) -> Result<(), Failure> {
        let path = format!("/orders?limit=1&user_id={}", encoded(&self.user));
        client.get(&path).await?.read::<Page>().map(drop)
    }

    /// The order with this number.
    pub fn order(&self, number: u32) -> Value {
        let total_amount = format!("{}.{:02}", number % 1000 + 1, number % 100);
        json!({"order_id": self.order_id(number), "user_id": self.user, "item_ids": ["load"],
            "total_amount": total_amount, "currency": "EUR"})
    }

    /// The identifier of the order with this number.
    pub fn order_id(&self, number: u32) -> String {
        format!("{}-{number}", self.name)
    }

    /// The number of the order with this identifier, if it is of this run.
    pub fn number(&self, order_id: &str) -> Option<u32> {
        order_id.strip_prefix(&self.name)?.strip_prefix('-')?.parse().ok()
    }
}
