//! The confirmation of admitted calls by replicas.

use std::time::Duration;

#[cfg(feature = "tokio")]
use redis::aio::ConnectionLike;
use redis::{Cmd, Value};

use super::Budget;
use super::request::Replies;
#[cfg(feature = "tokio")]
use super::request::Request;
#[cfg(feature = "tokio")]
use crate::time::within;

/// How many replicas are to confirm an admitted call, and within which time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Confirmation {
    replicas: u32,
    timeout: Duration,
}

/// The replies to a request, and how many replicas have confirmed it, if they were asked.
pub(super) type Confirmed = (Replies, Option<u32>);

impl Confirmation {
    pub(crate) fn by(replicas: u32, timeout: Duration) -> Self {
        Self { replicas, timeout }
    }

    /// Returns this if these are the replies to an admitted call. A limited call has changed
    /// nothing, and waiting for replicas would only delay its answer.
    pub(super) fn if_admitted(self, replies: &Replies) -> Option<Self> {
        let is_admitted =
            matches!(replies.last(), Some(Value::Array(fields)) if fields.first() == Some(&Value::Int(0)));
        is_admitted.then_some(self)
    }

    /// Returns the command that waits for the replicas. It has to follow on the connection of the
    /// call, as it is about the changes of that connection.
    pub(super) fn command(self) -> Cmd {
        // A timeout of zero would be endless.
        let millis = self.timeout.as_nanos().div_ceil(1_000_000).clamp(1, u128::from(u32::MAX));
        let mut wait = redis::cmd("WAIT");
        wait.arg(self.replicas).arg(u64::try_from(millis).unwrap_or(u64::MAX));
        wait
    }

    /// Returns how long the reply of the replicas may take.
    pub(super) fn time(self, budget: Budget) -> Duration {
        budget.left().saturating_add(self.timeout)
    }

    /// Reads their number. None has confirmed a call if the server refuses the command.
    pub(super) fn read(replies: Replies) -> u32 {
        replies.read_last().unwrap_or(0)
    }

    /// Asks the replicas on the connection of an admitted call. Returns `None` if there is no
    /// reply.
    #[cfg(feature = "tokio")]
    pub(super) async fn ask(self, connection: &mut (impl ConnectionLike + ?Sized), budget: Budget) -> Option<u32> {
        let command = self.command();
        let replies = within(self.time(budget), Request::One(&command).send(connection)).await?.ok()?;
        Some(Self::read(replies))
    }
}
