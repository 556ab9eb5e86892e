//! Backs off as the called service asks, for outgoing requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

use crate::decide::Reply;
use crate::layer::Policies;
use crate::received;

/// Until when the requests of each key are held back.
pub(crate) struct Heeding {
    at_most: Duration,
    paused: Mutex<Paused>,
}

/// Until when requests are held back, by key. Pauses that have ended are removed before the map
/// grows.
#[derive(Default)]
struct Paused(HashMap<String, Instant>);

/// The pause of the requests with a key.
pub(crate) struct Heeded {
    heeding: Arc<Heeding>,
    key: String,
}

impl Heeding {
    pub(crate) fn new(at_most: Duration) -> Self {
        // So that adding it to a moment never overflows.
        const LONGEST: Duration = Duration::from_secs(3_650 * 24 * 60 * 60);
        Self { at_most: at_most.min(LONGEST), paused: Mutex::default() }
    }

    /// Returns what concerns requests with these policies.
    pub(crate) fn of(self: &Arc<Self>, policies: &Policies) -> Heeded {
        let mut key = String::new();
        for policy in policies.enforced.iter().chain(&policies.in_shadow) {
            policy.write_key(&mut key);
        }
        Heeded { heeding: Arc::clone(self), key }
    }

    fn paused(&self) -> MutexGuard<'_, Paused> {
        self.paused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heeded {
    /// Waits until requests may be sent.
    ///
    /// # Errors
    /// If that takes longer than the time that is left. The error is how long it takes.
    pub(crate) async fn wait(&self, left: impl Fn() -> Duration) -> Result<(), Duration> {
        while let Some(pause) = self.pause() {
            if pause > left() {
                return Err(pause);
            }
            sleep(pause).await;
        }
        Ok(())
    }

    /// Returns for how long requests are held back.
    fn pause(&self) -> Option<Duration> {
        self.heeding.paused().left(&self.key, Instant::now())
    }

    /// Learns from a response.
    pub(crate) fn learn(&self, reply: Reply<'_>) {
        let Some(pause) = received::pause(reply.status(), reply.headers(), SystemTime::now()) else { return };
        let now = Instant::now();
        self.heeding.paused().pause(&self.key, now, now + pause.min(self.heeding.at_most));
    }
}

impl Paused {
    /// Returns for how long requests with a key are held back.
    fn left(&mut self, key: &str, now: Instant) -> Option<Duration> {
        let left = self.0.get(key)?.checked_duration_since(now).filter(|left| !left.is_zero());
        if left.is_none() {
            self.0.remove(key);
        }
        left
    }

    /// Holds requests with a key back until a moment, or until the end of a longer pause.
    fn pause(&mut self, key: &str, now: Instant, until: Instant) {
        if let Some(paused) = self.0.get_mut(key) {
            *paused = until.max(*paused);
            return;
        }
        if self.0.len() == self.0.capacity() {
            self.0.retain(|_, until| *until > now);
        }
        self.0.insert(key.to_owned(), until);
    }
}
