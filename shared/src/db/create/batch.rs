//! Creating a batch: one statement for all of its orders, and a result for each.

use std::collections::HashMap;
use std::time::Duration;

use time::OffsetDateTime;

use super::{CreateRequest, Created, compare};
use crate::db::{DbError, Store, StoreError};
use crate::error::Chain;
use crate::order::OrderId;

/// The most earlier orders that are read at once: 500 items of 128 characters make one as large as 256 KB.
const LOOKED_UP: usize = 50;

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
        mut inserted: HashMap<OrderId, OffsetDateTime>,
        cancel_window: Duration,
    ) -> Vec<Result<Created, StoreError>> {
        let mut created: Vec<_> = requests
            .iter()
            .map(|request| inserted.remove(&request.order_id).map(|at| Ok(Created::Inserted(request.inserted(at)))))
            .collect();
        let missing: Vec<_> = (0..requests.len()).filter(|index| created[*index].is_none()).collect();
        // Part by part, because an earlier order can be much larger than the request that it is compared with.
        for part in missing.chunks(LOOKED_UP) {
            let earlier = self.find_earlier(&part.iter().map(|index| &requests[*index]).collect::<Vec<_>>()).await;
            for &index in part {
                let request = &requests[index];
                created[index] = Some(match &earlier {
                    Err(error) => Err(error.again()),
                    Ok(earlier) => match compare(request, earlier) {
                        Some(created) => Ok(created),
                        // An earlier request with the same identifier stood for both, and its key kept it from being inserted.
                        None => self.create(request, cancel_window).await,
                    },
                });
            }
        }
        created.into_iter().flatten().collect()
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
