//! How long a permit surely holds its units.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_listener::Event;
#[cfg(feature = "tokio")]
use event_listener::EventListener;

/// The lease of a permit. It counts from the moment when the latest call that the store has
/// admitted was *sent*, so it ends no later than in the store.
#[derive(Debug)]
pub(super) struct Lease {
    length: Duration,
    state: Mutex<State>,
    /// The store has not renewed it.
    lost: Event,
}

#[derive(Debug)]
struct State {
    ends_at: Instant,
    /// When the background renews it.
    renew_at: Instant,
    /// Whether the store has refused to renew it.
    is_refused: bool,
    /// When the lease in the store has ended at the latest: it began no later than when its call
    /// was answered, or given up.
    stored_until: Instant,
}

/// How many attempts to renew a lease fit into it if each fails at once.
const ATTEMPTS: u32 = 16;

/// The longest pause between two attempts to renew a lease.
const MAX_PAUSE: Duration = Duration::from_secs(1);

impl Lease {
    /// Makes the lease of a call that was sent at a moment, and answered now.
    pub(super) fn new(sent: Instant, now: Instant, length: Duration) -> Self {
        let (ends_at, renew_at, stored_until) = (sent + length, sent + length / 3, now + length);
        let state = State { ends_at, renew_at, is_refused: false, stored_until };
        Self { length, state: Mutex::new(state), lost: Event::new() }
    }

    /// Returns the time that is left. `None` once the lease has ended or was refused: it is never
    /// renewed again then.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        self.state().left(now)
    }

    /// Returns how long to wait before the next renewal; `None` if there is none.
    #[cfg(feature = "tokio")]
    pub(super) fn until_renewal(&self, now: Instant) -> Option<Duration> {
        let state = self.state();
        state.left(now).map(|left| state.renew_at.saturating_duration_since(now).min(left))
    }

    /// Returns an event that comes when the lease is refused, and the moment when the lease ends;
    /// `None` if it has ended.
    #[cfg(feature = "tokio")]
    pub(super) fn end(&self, now: Instant) -> Option<(EventListener, Instant)> {
        // Before looking, so that no change is missed.
        let listener = self.lost.listen();
        let state = self.state();
        state.left(now).map(|_| (listener, state.ends_at))
    }

    /// Begins anew after a renewal that was sent at this moment. Returns whether it came in time.
    pub(super) fn renew(&self, sent: Instant, now: Instant) -> bool {
        let mut state = self.state();
        state.stored_until = now + self.length;
        if state.left(now).is_none() {
            return false;
        }
        state.ends_at = state.ends_at.max(sent + self.length);
        state.renew_at = sent + self.length / 3;
        state.left(now).is_some()
    }

    /// Notes that a renewal has failed, to be tried again.
    pub(super) fn failed(&self, now: Instant, may_have_arrived: bool) {
        let mut state = self.state();
        if may_have_arrived {
            state.stored_until = now + self.length;
        }
        state.renew_at = now + (self.length / ATTEMPTS).min(MAX_PAUSE);
    }

    /// Ends the lease, as the store has not renewed it.
    pub(super) fn refuse(&self) {
        self.state().is_refused = true;
        self.lost.notify(usize::MAX);
    }

    /// Returns whether the store may still count the units.
    pub(super) fn may_be_stored(&self, now: Instant) -> bool {
        now < self.state().stored_until
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn left(&self, now: Instant) -> Option<Duration> {
        if self.is_refused || self.ends_at <= now { None } else { Some(self.ends_at.saturating_duration_since(now)) }
    }
}
