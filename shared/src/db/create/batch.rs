//! Creating a batch: one statement for all of its orders, and a result for each.

use std::collections::HashMap;
use std::time::Duration;

use time::OffsetDateTime;

use super::{CreateRequest, Created, compare};
use crate::db::{DbError, Store, StoreError};
use crate::error::Chain;

impl Store {
    /// Creates the orders of a batch in one statement. Returns one result per request, in their order. The second of two orders with
    /// the same identifier is a repeat of the first, or collides with it. Fails as a whole if the database is unavailable.
    ///
    /// If the statement fails for another reason, this creates the orders one by one, so that no order fails because of another.
    ///
    /// Conflicts: as for [`Self::create`], for each order by itself.
    pub async fn create_all(
        &self,
        requests: &[CreateRequest],
        cancel_window: Duration,
    ) -> Result<Vec<Result<Created, StoreError>>, StoreError> {
        match self.insert_all(requests, cancel_window).await {
            Ok(inserted) => Ok(self.resolve(requests, inserted, cancel_window).await),
            Err(error) if error.is_temporary() => Err(error),
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "could not create a batch in one statement; creating its orders one by one");
                Ok(self.one_by_one(requests, cancel_window).await)
            }
        }
    }

    /// Builds one result per request: inserted orders are new, the others are looked up. A failed lookup fails only the requests that
    /// needed it.
    async fn resolve(
        &self,
        requests: &[CreateRequest],
        mut inserted: HashMap<String, OffsetDateTime>,
        cancel_window: Duration,
    ) -> Vec<Result<Created, StoreError>> {
        let earlier = if inserted.len() < requests.len() { self.find_earlier(requests).await } else { Ok(Vec::new()) };
        let mut created = Vec::with_capacity(requests.len());
        for request in requests {
            created.push(match (inserted.remove(request.order_id.as_str()), &earlier) {
                (Some(created_at), _) => Ok(Created::Inserted(request.inserted(created_at))),
                (None, Err(error)) => Err(error.again()),
                (None, Ok(earlier)) => match compare(request, earlier) {
                    Some(created) => Ok(created),
                    // An earlier request with the same identifier stood for both, and its key kept it from being inserted.
                    None => self.create(request, cancel_window).await,
                },
            });
        }
        created
    }

    /// Creates one order after the other, until the database is unavailable.
    async fn one_by_one(
        &self,
        requests: &[CreateRequest],
        cancel_window: Duration,
    ) -> Vec<Result<Created, StoreError>> {
        let mut created: Vec<Result<Created, StoreError>> = Vec::with_capacity(requests.len());
        for request in requests {
            let is_down = matches!(created.last(), Some(Err(error)) if error.is_temporary());
            created.push(if is_down {
                Err(StoreError::new(
                    "create an order",
                    DbError::Unavailable("an earlier order of the batch could not be stored".into()),
                ))
            } else {
                self.create(request, cancel_window).await
            });
        }
        created
    }
}
