//! Limits that calls name.

use premier_blocking::also_blocking;

#[cfg(feature = "tokio")]
use super::AsyncThrottler;
use super::Throttler;
use crate::{AnyLimit, Error, Key, Receipt};

#[also_blocking]
impl AsyncThrottler {
    /// [`check`](Self::check) by the limit that a [policy](crate::Policies) has for the key.
    ///
    /// # Errors
    /// If there is no policy of this name, or the throttler has no
    /// [policies](crate::Builder::policies) ([`Configuration`](crate::ErrorKind::Configuration)),
    /// and as for [`check`](Self::check).
    pub async fn check_policy(&self, policy: &str, key: &Key<'_>) -> Result<Receipt, Error> {
        self.check(key, self.policy(policy, key)?).await
    }

    /// Returns the limit that a [policy](crate::Policies) has for a key now, for the other methods
    /// of this throttler.
    ///
    /// # Errors
    /// If there is no policy of this name, or the throttler has no
    /// [policies](crate::Builder::policies) ([`Configuration`](crate::ErrorKind::Configuration)).
    pub fn policy(&self, policy: &str, key: &Key<'_>) -> Result<AnyLimit, Error> {
        self.settings.policies.as_ref().ok_or_else(Error::no_policies)?.limit(policy, key)
    }
}
