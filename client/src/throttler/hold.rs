//! Holding units: concurrency limits.

use std::time::{Duration, Instant};

use premier_blocking::also_blocking;

#[cfg(feature = "tokio")]
use super::AsyncThrottler;
#[cfg(feature = "tokio")]
use super::abandoned::{AsyncAttempt, AsyncBackground};
use super::abandoned::{Attempt, Background};
use super::deadline::Deadline;
use super::holder::{Holder, random};
#[cfg(feature = "tokio")]
use super::permit::{AsyncPermit, AsyncPlace};
use super::permit::{Permit, Place};
use super::queue::Turn;
use super::{Settings, Throttler};
use crate::backend::{HoldAll, HoldUnits, PeekHold, Query, Request};
use crate::decision::JointLimits;
#[cfg(feature = "tokio")]
use crate::time::{async_clock, async_wait};
use crate::time::{clock, wait};
use crate::{AnyLimit, Concurrency, Decision, Error, Hold, JointDecision, Key, Receipt, RetryAfter};

#[also_blocking]
impl AsyncThrottler {
    /// Holds the units of a concurrency limit at once. The permit gives them back when it is
    /// dropped.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{AsyncBackend, AsyncThrottler, Concurrency, Limit, key};
    ///
    /// const JOBS: Concurrency = Limit::concurrency(2, Duration::from_secs(30));
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), premier_client::Error> {
    /// let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
    /// let one = throttler.hold(&key!("jobs"), JOBS).await?;
    /// let other = throttler.hold(&key!("jobs"), JOBS).await?;
    /// assert!(throttler.hold(&key!("jobs"), JOBS).await.is_err());
    /// assert_eq!(one.release().await?, 1);
    /// assert!(throttler.hold(&key!("jobs"), JOBS).await.is_ok());
    /// # drop(other);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The store counts the units under a random id. If the reply is lost, or this is dropped
    /// before it returns, they are released in the background.
    ///
    /// With [`OnError::Admit`](crate::OnError), a permit given while the store does not answer is
    /// in no store: it is never lost, and releases nothing. With [`OnError::Local`](crate::OnError)
    /// it is kept in the memory of this process, by a share of the quota that has room for one call
    /// at least. A permit that the store has given is lost when its lease ends, whatever the
    /// policy.
    ///
    /// While permits live, all callers of a key should have the same quota: a permit of a lower one
    /// is not renewed, and so lost, if those of a higher one have taken its room.
    ///
    /// # Errors
    /// If the call is limited ([`QuotaExceeded`](crate::ErrorKind::QuotaExceeded)): then its
    /// [`retry_after`](Decision::retry_after) is when enough leases will have ended, and units that
    /// are released come sooner. If the store does not decide, as for [`check`](Self::check).
    pub async fn hold(&self, key: &Key<'_>, concurrency: Concurrency) -> Result<AsyncPermit, Error> {
        self.hold_by(key, concurrency, Holder::new()).await
    }

    /// [`hold`](Self::hold) by an id of your own, 1 to 128 bytes: that of a job, for example.
    ///
    /// The same id is the same holder. Another call with it, even of another process, begins its
    /// lease anew, holds as many units as it says, and is never counted twice: so a job that is
    /// started again after a crash takes no second place. The units end with the first of its
    /// permits that is released.
    ///
    /// After a lost reply, ask again with the same id: nothing is released in the background.
    ///
    /// # Errors
    /// If the id is out of bounds ([`Configuration`](crate::ErrorKind::Configuration)), and as for
    /// [`hold`](Self::hold).
    pub async fn hold_as(
        &self,
        key: &Key<'_>,
        concurrency: Concurrency,
        id: impl AsRef<[u8]>,
    ) -> Result<AsyncPermit, Error> {
        let holder = Holder::named(id.as_ref())?;
        self.hold_by(key, concurrency, holder).await
    }

    /// Waits for at most this time until the units can be held.
    ///
    /// Calls of this throttler and its clones that wait for the same key queue up, and are served
    /// in the order in which they came. Only the first of them asks the store: at once when a
    /// permit of this throttler is released. What other processes release is found by asking
    /// again, after a pause of 25 to 50 ms, which doubles with each limited answer up to a second,
    /// and at the retry-after at the latest. Dropping a call that waits lets the next one ask.
    ///
    /// # Errors
    /// If there is no place in this time ([`QuotaExceeded`](crate::ErrorKind::QuotaExceeded)), or
    /// never, and as for [`hold`](Self::hold).
    pub async fn hold_within(
        &self,
        key: &Key<'_>,
        concurrency: Concurrency,
        at_most: Duration,
    ) -> Result<AsyncPermit, Error> {
        let key = self.settings.keyspace.key(key, Hold);
        let holder = Holder::new();
        let deadline = Deadline::after(async_clock(), at_most);
        let mut caller = self.settings.queues.caller_for_place(&key, deadline);
        // Other calls are admitted or refused for good, so they overtake nobody.
        if concurrency.may_be_admitted_later() {
            caller.join();
        }
        let mut pace = Pace::default();
        let limited = loop {
            match caller.turn(async_clock()) {
                Turn::Ask => {}
                Turn::Wait(event, until) => {
                    async_wait(event, until).await;
                    continue;
                }
                Turn::GiveUp(limited) => break limited,
            }
            let (decision, sent) = match self.ask_to_hold(&key, concurrency, &holder).await {
                Ok(answer) => answer,
                Err(error) => {
                    caller.failed(async_clock());
                    return Err(error);
                }
            };
            let now = async_clock();
            match decision.retry_after() {
                None => {
                    caller.admitted(now, decision.remaining() / concurrency.units());
                    drop(caller);
                    return Ok(self.permit(key, concurrency, holder, decision, sent));
                }
                Some(RetryAfter::After(after)) if !deadline.left(now).is_zero() => {
                    caller.limited(now, decision, now + pace.pause(after).min(deadline.left(now)));
                }
                Some(_) => break decision,
            }
        };
        drop(caller);
        Err(Error::quota_exceeded(key, limited))
    }

    /// Holds the units of a concurrency limit and charges 1 to 15 rate limits, atomically: all of
    /// them or none. The receipt is that of the rate limits.
    ///
    /// A gateway to a language model limits how many requests are under way and how many tokens
    /// they use. It estimates the tokens, holds a place, and settles when it knows how many there
    /// were:
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{AsyncBackend, AsyncThrottler, Concurrency, Error, Limit, Token, key};
    ///
    /// const IN_FLIGHT: Concurrency = Limit::concurrency(50, Duration::from_secs(30));
    /// const TOKENS: Limit<Token> = Limit::token_bucket(100_000, Duration::from_secs(60));
    ///
    /// # struct Answer { tokens: u64 }
    /// # async fn complete(_: &str) -> Answer { Answer { tokens: 1_200 } }
    /// async fn ask(throttler: &AsyncThrottler, prompt: &str, estimate: u64) -> Result<Answer, Error> {
    ///     let tokens = [(key!("{acme}"), TOKENS.cost(estimate).into())];
    ///     let (permit, receipt) = throttler.hold_all(&key!("{acme}"), IN_FLIGHT, &tokens).await?;
    ///     let answer = complete(prompt).await;
    ///     permit.release().await?;
    ///     if answer.tokens < estimate {
    ///         throttler.refund_n(receipt, estimate - answer.tokens).await?;
    ///     } else if answer.tokens > estimate {
    ///         let rest = TOKENS.cost(answer.tokens - estimate).forced();
    ///         let _ = throttler.check(&key!("{acme}"), rest).await?;
    ///     }
    ///     Ok(answer)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
    /// ask(&throttler, "Why is the sky blue?", 1_500).await?;
    /// assert_eq!(throttler.peek(&key!("{acme}"), TOKENS).await?.remaining(), 100_000 - 1_200 - 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// It does not wait for a turn in a leaky bucket, or for borrowed tokens: that is the
    /// [`wait`](Decision::wait) of the receipt's decision. In a cluster all keys must be in one
    /// slot, as for [`check_all`](Self::check_all), hence the braces.
    ///
    /// # Errors
    /// If one of the limits does not admit the call
    /// ([`QuotaExceeded`](crate::ErrorKind::QuotaExceeded)): the error has the key of the binding
    /// one. If the limits cannot go together, as for [`check_all`](Self::check_all), and as for
    /// [`hold`](Self::hold).
    pub async fn hold_all(
        &self,
        key: &Key<'_>,
        concurrency: Concurrency,
        limits: &[(Key<'_>, AnyLimit)],
    ) -> Result<(AsyncPermit, Receipt<JointDecision>), Error> {
        let key = self.settings.keyspace.key(key, Hold);
        let named = |(key, limit): &(Key<'_>, AnyLimit)| (self.settings.keyspace.key(key, limit.algorithm()), *limit);
        let mut limits: Vec<_> = limits.iter().map(named).collect();
        let holder = Holder::new();
        let sent = async_clock();
        let hold = HoldUnits { key: &key, id: holder.id(), concurrency };
        let request = HoldAll { hold, limits: JointLimits::beside(&key, &limits)? };
        let joint = self.ask_for_units(&request, &key, &holder, concurrency.lease()).await?;
        if !joint.is_admitted() {
            let key = match joint.binding().checked_sub(1) {
                Some(rate) => limits.swap_remove(rate).0,
                None => key,
            };
            return Err(Error::quota_exceeded(key, joint.decision()));
        }
        let (decision, rates) = joint.split_first();
        let permit = self.permit(key, concurrency, holder, decision, sent);
        Ok((permit, Receipt::joint(self.settings.number, rates, limits)))
    }

    /// Returns what [`hold`](Self::hold) would decide now, including what would
    /// [remain](Decision::remaining) beside its units. Holds nothing.
    ///
    /// # Errors
    /// If the store does not decide, as for [`check`](Self::check).
    pub async fn peek_hold(&self, key: &Key<'_>, concurrency: Concurrency) -> Result<Decision, Error> {
        let key = self.settings.keyspace.key(key, Hold);
        self.ask(&PeekHold { key: &key, concurrency }).await
    }

    async fn hold_by(&self, key: &Key<'_>, concurrency: Concurrency, holder: Holder) -> Result<AsyncPermit, Error> {
        let key = self.settings.keyspace.key(key, Hold);
        let (decision, sent) = self.ask_to_hold(&key, concurrency, &holder).await?;
        if !decision.is_admitted() {
            return Err(Error::quota_exceeded(key, decision));
        }
        Ok(self.permit(key, concurrency, holder, decision, sent))
    }

    fn permit(
        &self,
        key: String,
        concurrency: Concurrency,
        holder: Holder,
        decision: Decision,
        sent: Instant,
    ) -> AsyncPermit {
        AsyncPermit::new(AsyncPlace::new(self, key, holder, concurrency, &decision, sent), decision)
    }

    /// Also returns the moment before the call was sent.
    async fn ask_to_hold(
        &self,
        key: &str,
        concurrency: Concurrency,
        holder: &Holder,
    ) -> Result<(Decision, Instant), Error> {
        let sent = async_clock();
        let hold = HoldUnits { key, id: holder.id(), concurrency };
        Ok((self.ask_for_units(&hold, key, holder, concurrency.lease()).await?, sent))
    }

    /// Asks, and abandons the units if nobody will know the answer of the store.
    async fn ask_for_units<R: Request>(
        &self,
        request: &R,
        key: &str,
        holder: &Holder,
        lease: Duration,
    ) -> Result<R::Answer, Error> {
        let Settings { fallback, deadline, confirmation, .. } = &*self.settings;
        if let Some(answer) = fallback.answer_while_down(|| self.backend.node(request), request) {
            return answer;
        }
        let background = AsyncBackground::here();
        let attempt = AsyncAttempt { throttler: self, key, holder, lease, background, is_known: false };
        let (node, answer) = self.reach(request, *deadline, *confirmation).await;
        attempt.answered(&answer);
        fallback.settle(&node, answer, request)
    }

    /// Asks the store for this time at most, even while it is down, and learns whether it is.
    pub(super) async fn query_within<Q: Query>(&self, query: &Q, time: Duration) -> Result<Q::Answer, Error> {
        let (node, answer) = self.reach(query, time.min(self.settings.deadline), None).await;
        self.settings.fallback.learn(&node, &answer);
        answer
    }
}

/// The pauses of a caller that asks again for a place.
struct Pace(Duration);

impl Default for Pace {
    fn default() -> Self {
        Self(Duration::from_millis(50))
    }
}

impl Pace {
    /// Returns the next pause, at most the time after which a place is surely free.
    fn pause(&mut self, at_most: Duration) -> Duration {
        const LONGEST: Duration = Duration::from_secs(1);
        let half = self.0 / 2;
        self.0 = (self.0 * 2).min(LONGEST);
        let jitter = Duration::from_micros(random() % u64::try_from(half.as_micros()).unwrap_or(1).max(1));
        (half + jitter).min(at_most)
    }
}
