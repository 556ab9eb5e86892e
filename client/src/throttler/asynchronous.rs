use std::sync::Arc;
use std::time::Duration;

use premier_algorithms::Units;
use tokio::time::sleep;

use super::acquire::{Patience, Step};
use super::builder::{Builder, Settings};
use crate::backend::{All, Check, Peek, Refund, Request};
use crate::joint::Limits;
use crate::{AnyLimit, AsyncBackend, Decision, Error, JointDecision, Key, Keyspace};

/// Limits calls of async code, on tokio. Cheap to clone, and clones share what was used.
///
/// ```
/// use std::time::Duration;
///
/// use premier_client::{AsyncBackend, AsyncThrottler, Limit, key};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), premier_client::Error> {
/// let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
/// let limit = Limit::fixed_window(1, Duration::from_secs(60));
///
/// assert!(throttler.check(&key!("login", "ada"), limit).await?.is_admitted());
/// assert!(!throttler.check(&key!("login", "ada"), limit).await?.is_admitted());
/// assert!(throttler.check(&key!("login", "bob"), limit).await?.is_admitted());
/// # Ok(())
/// # }
/// ```
///
/// A call that is dropped before it returns may have been charged, or not.
#[derive(Debug, Clone)]
pub struct AsyncThrottler {
    pub(super) backend: AsyncBackend,
    pub(super) settings: Arc<Settings>,
}

impl AsyncThrottler {
    /// A throttler on this backend.
    pub fn builder(backend: impl Into<AsyncBackend>) -> Builder<AsyncBackend> {
        Builder::new(backend.into())
    }

    /// Whether a call is admitted. It is charged if so, and does not wait.
    ///
    /// # Errors
    /// When the store does not decide: see [`ErrorKind`](crate::ErrorKind). A limited call is none.
    pub async fn check(&self, key: &Key<'_>, limit: impl Into<AnyLimit>) -> Result<Decision, Error> {
        let limit = limit.into();
        self.decide(&self.settings.keyspace.key(key, limit.algorithm()), &limit).await
    }

    /// [`check`](Self::check) for a call that takes `cost` units, whatever cost the limit has: 1 to 10¹².
    ///
    /// # Errors
    /// Those of [`check`](Self::check), and when the cost is out of bounds.
    pub async fn check_n(&self, key: &Key<'_>, limit: impl Into<AnyLimit>, cost: u64) -> Result<Decision, Error> {
        self.check(key, limit.into().try_cost(cost)?).await
    }

    /// Whether a call is admitted by all of these limits, 1 to 16 of them. It is charged to all of them if so, and to none otherwise,
    /// as one atomic step.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{AnyLimit, AsyncBackend, AsyncThrottler, Limit, key};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), premier_client::Error> {
    /// let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
    /// let a_user: AnyLimit = Limit::token_bucket(5, Duration::from_secs(1)).into();
    /// let all_users: AnyLimit = Limit::sliding_window(1_000, Duration::from_secs(60)).into();
    ///
    /// let answer = throttler.check_all(&[(key!("api", "ada"), a_user), (key!("api"), all_users)]).await?;
    /// assert!(answer.decision().is_admitted());
    /// // The first one leaves less.
    /// assert_eq!((answer.binding(), answer.decision().remaining()), (0, 4));
    /// assert_eq!(answer.each()[1].remaining(), 999);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// No two limits may have the same key. As the algorithm is a part of a key's name, keys that differ in nothing else are two; two
    /// limits by the same algorithm need keys of their own: `key!("api per second", user)` and `key!("api per day", user)`.
    ///
    /// In a cluster all keys have to be in one slot, which is told by what stands between the first braces in their
    /// [names](Keyspace): either those of the keyspace, `{shop}`, so that all its keys are on one node, or those of the custom parts, as
    /// in `key!("api", format_args!("{{{user}}}"))`, so that those of each user are.
    ///
    /// # Errors
    /// Those of [`check`](Self::check); [`Configuration`](crate::ErrorKind::Configuration) when there is no limit, or more than 16, or
    /// two have the same key; [`Refused`](crate::ErrorKind::Refused) when a cluster has the keys in several slots.
    pub async fn check_all(&self, limits: &[(Key<'_>, AnyLimit)]) -> Result<JointDecision, Error> {
        let named = |(key, limit): &(Key<'_>, AnyLimit)| (self.settings.keyspace.key(key, limit.algorithm()), *limit);
        let limits: Vec<_> = limits.iter().map(named).collect();
        self.ask(&All(Limits::new(&limits)?)).await
    }

    /// What [`check`](Self::check) would answer now, [`remaining`](Decision::remaining) after the call included. Changes nothing.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{AsyncBackend, AsyncThrottler, Limit, key};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), premier_client::Error> {
    /// let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
    /// let limit = Limit::fixed_window(2, Duration::from_secs(60));
    /// for _ in 0..3 {
    ///     assert_eq!(throttler.peek(&key!("login"), limit).await?.remaining(), 1);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`check`](Self::check).
    pub async fn peek(&self, key: &Key<'_>, limit: impl Into<AnyLimit>) -> Result<Decision, Error> {
        let limit = limit.into();
        let key = self.settings.keyspace.key(key, limit.algorithm());
        self.ask(&Peek(Check { key: &key, limit: &limit })).await
    }

    /// Gives back units that were used, as if they had never been: 1 to 10¹², no more than are used now, and of a sliding window the
    /// newest first. Returns how many were given back.
    ///
    /// Of the limit only its algorithm matters, which is a part of the key's name.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{AsyncBackend, AsyncThrottler, Limit, key};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), premier_client::Error> {
    /// let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
    /// let limit = Limit::sliding_window(5, Duration::from_secs(60)).cost(3);
    /// assert!(throttler.check(&key!("export", "ada"), limit).await?.is_admitted());
    /// // There was nothing to be exported.
    /// assert_eq!(throttler.refund(&key!("export", "ada"), limit, 3).await?, 3);
    /// assert!(throttler.check(&key!("export", "ada"), limit).await?.is_admitted());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// While the store does not answer, [`OnError::Local`](crate::OnError) gives back what was used locally;
    /// [`OnError::Admit`](crate::OnError) and [`OnError::Limit`](crate::OnError) give back nothing.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), and when the units are out of bounds.
    pub async fn refund(&self, key: &Key<'_>, limit: impl Into<AnyLimit>, units: u64) -> Result<u64, Error> {
        let (limit, units) = (limit.into(), Units::new(units)?);
        let key = self.settings.keyspace.key(key, limit.algorithm());
        self.ask(&Refund { key: &key, limit: &limit, units }).await
    }

    /// A call that goes ahead as soon as this returns, or is an error: a limited call is one here, and a call that is admitted
    /// waits for its turn, however long that is.
    ///
    /// # Errors
    /// [`QuotaExceeded`](crate::ErrorKind::QuotaExceeded) when it is limited, and those of [`check`](Self::check).
    pub async fn admit(&self, key: &Key<'_>, limit: impl Into<AnyLimit>) -> Result<Decision, Error> {
        let limit = limit.into();
        let key = self.settings.keyspace.key(key, limit.algorithm());
        let decision = self.decide(&key, &limit).await?;
        let Some(wait) = decision.wait() else {
            return Err(Error::quota_exceeded(key, decision));
        };
        sleep(wait).await;
        Ok(decision)
    }

    /// Waits until the call is admitted, and until it is its turn, but for `at_most` this long.
    ///
    /// It sleeps as long as the store says and asks again, so that no caller is woken in vain. When it would have to wait for
    /// longer it returns at once, and nothing is charged.
    ///
    /// # Errors
    /// [`QuotaExceeded`](crate::ErrorKind::QuotaExceeded) when it would have to wait for longer, and those of
    /// [`check`](Self::check).
    pub async fn acquire(
        &self,
        key: &Key<'_>,
        limit: impl Into<AnyLimit>,
        at_most: Duration,
    ) -> Result<Decision, Error> {
        let limit = limit.into();
        let key = self.settings.keyspace.key(key, limit.algorithm());
        let patience = Patience::new(at_most);
        loop {
            let decision = self.decide(&key, &limit.with_patience(patience.left())).await?;
            match patience.step(&decision) {
                Step::GoAfter(wait) => {
                    sleep(wait).await;
                    return Ok(decision);
                }
                Step::AskAfter(wait) => sleep(wait).await,
                Step::GiveUp => return Err(Error::quota_exceeded(key, decision)),
            }
        }
    }

    /// Forgets all keys of a keyspace, and no others. Returns how many there were.
    ///
    /// It goes through all keys of the server, or of every master of the cluster, in steps of about a thousand. Keys that are
    /// made meanwhile may stay.
    ///
    /// # Errors
    /// When the store does not answer. Some keys may be forgotten by then.
    pub async fn clear(&self, keyspace: &Keyspace) -> Result<u64, Error> {
        #[cfg(feature = "memory")]
        self.settings.fallback.clear(keyspace);
        self.backend.clear(keyspace).await
    }

    /// `quota` units per `duration` by this throttler's [`algorithm`](Builder::algorithm).
    ///
    /// # Errors
    /// When the quota is more than 10¹², or the duration not from 1 ms to 3650 days.
    pub fn limit(&self, quota: u64, duration: Duration) -> Result<AnyLimit, Error> {
        Ok(self.settings.algorithm.limit(quota, duration)?)
    }

    /// The keyspace of its keys.
    #[must_use]
    pub fn keyspace(&self) -> &Keyspace {
        &self.settings.keyspace
    }

    async fn decide(&self, key: &str, limit: &AnyLimit) -> Result<Decision, Error> {
        self.ask(&Check { key, limit }).await
    }

    async fn ask<R: Request>(&self, request: &R) -> Result<R::Answer, Error> {
        let Settings { fallback, deadline, .. } = &*self.settings;
        match fallback.instead(request) {
            Some(answer) => Ok(answer),
            None => fallback.settle(self.backend.ask(request, *deadline).await, request),
        }
    }
}
