//! Async connections that one call has to itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use super::Budget;
use super::confirmation::{Confirmation, Confirmed};
use super::request::Request;
use super::sentinel::Target;
use super::shared::Own;
use crate::Error;
use crate::time::within;

/// How many calls may wait for replicas at a time.
const SIZE: usize = 100;

/// Connections for calls that wait for replicas: a server answers nothing else on a connection that
/// waits. They are made when they are needed.
pub(crate) struct Exclusive {
    target: Arc<Target>,
    idle: Mutex<Vec<Own>>,
    free: Semaphore,
}

impl Exclusive {
    pub(super) fn new(target: Arc<Target>) -> Self {
        Self { target, idle: Mutex::default(), free: Semaphore::new(SIZE) }
    }

    /// Sends a request, of which nothing is executed twice, waits for its replies, and for the
    /// replicas if it is an admitted call.
    pub(super) async fn exchange(
        &self,
        request: Request<'_>,
        budget: &Budget,
        confirmation: Confirmation,
    ) -> Result<Confirmed, Error> {
        let permit = within(budget.left(), self.free.acquire()).await;
        let _permit = permit.ok_or_else(|| Error::unavailable("no connection was free in time"))?;
        let lent = self.idle().pop();
        // If this call is dropped, so is its connection, which may be busy.
        let own = lent.unwrap_or_else(|| Own::new(Arc::clone(&self.target)));
        let (replies, mut connection) = match own.exchange(request, budget).await {
            Ok(exchanged) => exchanged,
            Err(error) => {
                if error.is_outage() {
                    self.idle().clear();
                }
                return Err(error);
            }
        };
        let Some(confirmation) = confirmation.if_admitted(&replies) else {
            self.idle().push(own);
            return Ok((replies, None));
        };
        let replicas = confirmation.ask(&mut connection, *budget).await;
        if replicas.is_some() {
            self.idle().push(own);
        }
        Ok((replies, Some(replicas.unwrap_or(0))))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Own>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
