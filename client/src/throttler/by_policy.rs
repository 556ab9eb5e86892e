//! Limits that calls name.

use premier_blocking::also_blocking;

#[cfg(feature = "tokio")]
use super::{AsyncPermit, AsyncThrottler};
use super::{Permit, Throttler};
use crate::{AnyLimit, Error, Key, PolicyLimit, Receipt};

#[also_blocking]
impl AsyncThrottler {
    /// [`check`](Self::check) by the limit that a [policy](crate::Policies) has for the key.
    ///
    /// # Errors
    /// If there is no policy of this name, it limits concurrency, or the throttler has no
    /// [policies](crate::Builder::policies) ([`Configuration`](crate::ErrorKind::Configuration)),
    /// and as for [`check`](Self::check).
    pub async fn check_policy(&self, policy: &str, key: &Key<'_>) -> Result<Receipt, Error> {
        self.check(key, self.policy(policy, key)?).await
    }

    /// [`hold`](Self::hold) by the concurrency limit that a [policy](crate::Policies) has for the
    /// key.
    ///
    /// # Errors
    /// If there is no policy of this name, it limits a rate, or the throttler has no
    /// [policies](crate::Builder::policies) ([`Configuration`](crate::ErrorKind::Configuration)),
    /// and as for [`hold`](Self::hold).
    pub async fn hold_policy(&self, policy: &str, key: &Key<'_>) -> Result<AsyncPermit, Error> {
        match self.policy_limit(policy, key)? {
            PolicyLimit::Concurrency(concurrency) => self.hold(key, concurrency).await,
            rate @ PolicyLimit::Rate(_) => Err(Error::other_policy(policy, rate)),
        }
    }

    /// Returns the limit of a rate that a [policy](crate::Policies) has for a key now, for the
    /// other methods of this throttler.
    ///
    /// # Errors
    /// If there is no policy of this name, it limits concurrency, or the throttler has no
    /// [policies](crate::Builder::policies) ([`Configuration`](crate::ErrorKind::Configuration)).
    pub fn policy(&self, policy: &str, key: &Key<'_>) -> Result<AnyLimit, Error> {
        match self.policy_limit(policy, key)? {
            PolicyLimit::Rate(limit) => Ok(limit),
            concurrency @ PolicyLimit::Concurrency(_) => Err(Error::other_policy(policy, concurrency)),
        }
    }

    /// Returns the limit that a [policy](crate::Policies) has for a key now, whatever it limits.
    ///
    /// # Errors
    /// If there is no policy of this name, or the throttler has no
    /// [policies](crate::Builder::policies) ([`Configuration`](crate::ErrorKind::Configuration)).
    pub fn policy_limit(&self, policy: &str, key: &Key<'_>) -> Result<PolicyLimit, Error> {
        self.settings.policies.as_ref().ok_or_else(Error::no_policies)?.limit(policy, key)
    }
}
