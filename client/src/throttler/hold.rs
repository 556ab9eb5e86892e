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
use super::observe::Asked;
#[cfg(feature = "tokio")]
use super::permit::{AsyncPermit, AsyncPlace};
use super::permit::{Permit, Place};
use super::queue::Turn;
use super::{Settings, Throttler};
use crate::backend::{HoldAll, HoldUnits, PeekHold, Query, Request};
use crate::connection::Budget;
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
    /// [`retry_after`](Decision::retry_after) is the time until enough leases have ended, and units
    /// may be released sooner. If the store does not decide, as for [`check`](Self::check).
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
        let held = [(self.settings.keyspace.key(key, Hold), concurrency)];
        let holder = Holder::new();
        let deadline = Deadline::after(async_clock(), at_most);
        let mut caller = self.settings.queues.caller_for_place(&held[0].0, deadline);
        // Other calls are admitted or refused for good, so they overtake nobody.
        if concurrency.may_be_admitted_later() {
            caller.join();
        }
        let mut pace = Pace::default();
        let mut sent = async_clock();
        let answer = loop {
            match caller.turn(async_clock()) {
                Turn::Ask => {}
                Turn::Wait(event, until) => {
                    async_wait(event, until).await;
                    continue;
                }
                Turn::GiveUp(limited) => break Ok(limited),
            }
            sent = async_clock();
            let decision = match self.ask_to_hold(&held, &holder).await {
                Ok(decision) => decision,
                Err(error) => {
                    caller.failed(async_clock());
                    break Err(error);
                }
            };
            let now = async_clock();
            match decision.retry_after() {
                None => {
                    caller.admitted(now, decision.remaining() / concurrency.units());
                    break Ok(decision);
                }
                Some(RetryAfter::After(after)) if !deadline.left(now).is_zero() && !self.settings.is_shadow => {
                    caller.limited(now, decision, now + pace.pause(after).min(deadline.left(now)));
                }
                Some(_) => break Ok(decision),
            }
        };
        drop(caller);
        self.conclude_hold(key, held, holder, sent, answer)
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
    /// use premier_client::{AsyncBackend, AsyncThrottler, Concurrency, Error, Fixed, Limit, key};
    ///
    /// const IN_FLIGHT: Concurrency = Limit::concurrency(50, Duration::from_secs(30));
    /// const TOKENS: Limit<Fixed> = Limit::fixed_window(100_000, Duration::from_secs(60));
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
    /// It does not wait for a turn in a leaky bucket, or for borrowed tokens: the
    /// [`wait`](Decision::wait) of the receipt's decision says how long to wait. In a cluster all
    /// keys must be in one slot, as for [`check_all`](Self::check_all), hence the braces.
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
        if limits.is_empty() {
            return Err(Error::invalid_limits("a call must have a rate limit"));
        }
        let (mut permits, receipt) = self.check_and_hold(&[(key.clone(), concurrency)], limits).await?;
        let Some(permit) = permits.pop() else {
            let keyspace = &self.settings.keyspace;
            let binding = match receipt.binding().checked_sub(1) {
                Some(rate) => keyspace.key(&limits[rate].0, limits[rate].1.algorithm()),
                None => keyspace.key(key, Hold),
            };
            return Err(Error::quota_exceeded(binding, receipt.decision()));
        };
        Ok((permit, receipt.without_first()))
    }

    /// Decides a call by concurrency limits and rate limits together, 1 to 16 in all. It holds the
    /// units of the former and charges the latter, all of them or none.
    ///
    /// As for [`check_all`](Self::check_all), being limited is not an error. If the call is
    /// admitted, it returns a permit for each concurrency limit, in their order; otherwise none.
    /// The [decisions](JointDecision::each) begin with those of the concurrency limits.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{AsyncBackend, AsyncThrottler, Limit, key};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), premier_client::Error> {
    /// let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
    /// let a_user = Limit::concurrency(1, Duration::from_secs(30));
    /// let all_users = Limit::concurrency(100, Duration::from_secs(30));
    /// let holds = [(key!("export", "ada"), a_user), (key!("export"), all_users)];
    ///
    /// let (permits, receipt) = throttler.check_and_hold(&holds, &[]).await?;
    /// assert!(receipt.is_admitted() && permits.len() == 2);
    /// let (none, limited) = throttler.check_and_hold(&holds, &[]).await?;
    /// assert!(none.is_empty() && !limited.is_admitted());
    /// // The place of all users was not taken: one is in use.
    /// assert_eq!((limited.binding(), limited.each()[1].remaining()), (0, 98));
    /// # drop(permits);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The receipt refunds only the rate limits; permits give back what they hold.
    ///
    /// # Errors
    /// If the limits cannot go together, as for [`check_all`](Self::check_all), and as for
    /// [`check`](Self::check).
    pub async fn check_and_hold(
        &self,
        concurrency: &[(Key<'_>, Concurrency)],
        limits: &[(Key<'_>, AnyLimit)],
    ) -> Result<(Vec<AsyncPermit>, Receipt<JointDecision>), Error> {
        let Settings { keyspace, number, .. } = &*self.settings;
        let hold = |(key, concurrency): &(Key<'_>, Concurrency)| (keyspace.key(key, Hold), *concurrency);
        let holds: Vec<_> = concurrency.iter().map(hold).collect();
        let rates = self.settings.stored(limits)?;
        let holder = Holder::new();
        let joint = JointLimits::beside(&holds, &rates)?;
        let sent = async_clock();
        let answer = match (&holds[..], &rates[..]) {
            ([_], []) => self.ask_to_hold(&holds, &holder).await.map(|alone| JointDecision::least(vec![alone])),
            _ => self.ask_for_units(&HoldAll { id: holder.id(), holds: &holds, rates: joint }, &holds, &holder).await,
        };
        let asked = {
            let holds = concurrency.iter().zip(&holds);
            let holds = holds.map(|((named, _), (key, concurrency))| Asked::hold(named, key, concurrency));
            holds.chain(limits.iter().zip(&rates).map(|((named, _), (key, limit))| Asked::rate(named, key, limit)))
        };
        let decision = self.settings.conclude_together(asked, answer)?;
        let mut permits = Vec::new();
        if decision.is_admitted() {
            let by = decision.decision().decided_by();
            permits.extend(holds.into_iter().zip(decision.each()).map(|((key, concurrency), alone)| {
                AsyncPermit::new(AsyncPlace::new(self, key, holder.clone(), concurrency, by, sent), *alone)
            }));
        }
        Ok((permits, Receipt::joint(*number, decision, rates)))
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
        let held = [(self.settings.keyspace.key(key, Hold), concurrency)];
        let sent = async_clock();
        let answer = self.ask_to_hold(&held, &holder).await;
        self.conclude_hold(key, held, holder, sent, answer)
    }

    /// Makes a permit from the answer to a call that was sent at `sent`.
    fn conclude_hold(
        &self,
        named: &Key<'_>,
        held: [(String, Concurrency); 1],
        holder: Holder,
        sent: Instant,
        answer: Result<Decision, Error>,
    ) -> Result<AsyncPermit, Error> {
        let [(key, concurrency)] = held;
        self.settings.report(Asked::hold(named, &key, &concurrency), answer.as_ref());
        let decision = self.settings.in_shadow(answer?, concurrency.demand());
        if !decision.is_admitted() {
            return Err(Error::quota_exceeded(key, decision));
        }
        let place = AsyncPlace::new(self, key, holder, concurrency, decision.decided_by(), sent);
        Ok(AsyncPermit::new(place, decision))
    }

    /// Asks for the units of one limit.
    async fn ask_to_hold(&self, held: &[(String, Concurrency)], holder: &Holder) -> Result<Decision, Error> {
        let [(key, concurrency)] = held else { unreachable!("there is one limit") };
        self.ask_for_units(&HoldUnits { key, id: holder.id(), concurrency: *concurrency }, held, holder).await
    }

    /// Asks, and abandons the units if nobody will know the answer of the store.
    async fn ask_for_units<R: Request>(
        &self,
        request: &R,
        holds: &[(String, Concurrency)],
        holder: &Holder,
    ) -> Result<R::Answer, Error> {
        self.settings.refuse_to_lease_places()?;
        let Settings { fallback, deadline, confirmation, .. } = &*self.settings;
        if let Some(answer) = fallback.answer_while_down(|| self.backend.node(request), request) {
            return answer;
        }
        let background = AsyncBackground::here();
        let attempt = AsyncAttempt { throttler: self, holds, holder, background, is_known: false };
        let (node, answer) = self.reach(request, &Budget::new(*deadline), confirmation.as_ref()).await;
        attempt.answered(&answer);
        fallback.settle(&node, answer, request)
    }

    /// Asks the store for this time at most, even while it is down, and learns whether it is.
    pub(super) async fn query_within<Q: Query>(&self, query: &Q, time: Duration) -> Result<Q::Answer, Error> {
        let (node, answer) = self.reach(query, &Budget::new(time.min(self.settings.deadline)), None).await;
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
