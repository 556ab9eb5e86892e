//! What `retry` stands on.
#![expect(missing_docs, reason = "called by what the attributes write")]

use std::error::Error as StdError;
use std::time::Duration;

use crate::{Error, ErrorKind, RetryAfter};

/// The pauses between attempts.
pub mod delays {
    use std::time::Duration;

    use backon::{BackoffBuilder, ConstantBuilder, ExponentialBuilder};

    pub const DEFAULT: Duration = Duration::from_millis(100);

    /// Twice as long each time, up to a minute.
    pub fn expo(delay: Duration) -> impl Iterator<Item = Duration> {
        ExponentialBuilder::new().with_min_delay(delay).without_max_times().build()
    }

    pub fn fixed(delay: Duration) -> impl Iterator<Item = Duration> {
        ConstantBuilder::new().with_delay(delay).without_max_times().build()
    }

    /// Longer by the delay each time.
    pub fn linear(delay: Duration) -> impl Iterator<Item = Duration> {
        computed(move |failed| delay.saturating_mul(failed))
    }

    pub fn computed(strategy: impl Fn(u32) -> Duration) -> impl Iterator<Item = Duration> {
        (1..=u32::MAX).map(strategy)
    }

    /// Up to as long again, so that those who failed together do not come back together.
    #[must_use]
    pub fn jitter(delay: Duration) -> Duration {
        delay.saturating_add(rand::random_range(Duration::ZERO..=delay))
    }
}

/// The attempts of one call.
#[derive(Debug)]
pub struct Retries<D> {
    delays: D,
    left: u32,
}

impl<D: Iterator<Item = Duration>> Retries<D> {
    /// Of up to `max` attempts, the first one included.
    pub fn new(delays: D, max: u32) -> Self {
        Self { delays, left: max.saturating_sub(1) }
    }

    /// How long to wait before the next attempt, if there is to be one: never less than the last one was told.
    pub fn pause(&mut self, raised: Option<Raised>) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let delay = self.delays.next()?;
        match raised.and_then(|raised| raised.retry_after) {
            None => Some(delay),
            Some(RetryAfter::After(after)) => Some(delay.max(after)),
            Some(RetryAfter::Never) => None,
        }
    }
}

/// What matters of an error of this crate's when it comes to trying again.
#[derive(Debug, Clone, Copy)]
pub struct Raised {
    kind: ErrorKind,
    retry_after: Option<RetryAfter>,
}

impl Raised {
    #[must_use]
    pub fn by(error: &Error) -> Self {
        let retry_after = error.decision().and_then(|decision| decision.retry_after());
        Self { kind: error.kind(), retry_after }
    }

    #[must_use]
    pub fn is(self, kind: ErrorKind) -> bool {
        self.kind == kind
    }

    fn first_in(mut cause: Option<&(dyn StdError + 'static)>) -> Option<Self> {
        while let Some(error) = cause {
            match error.downcast_ref() {
                Some(error) => return Some(Self::by(error)),
                None => cause = error.source(),
            }
        }
        None
    }
}

/// What a function returns whose calls may fail.
#[diagnostic::on_unimplemented(
    message = "a call that returns `{Self}` can't fail, and be tried again",
    label = "a `Result` can"
)]
pub trait Fallible {
    type Error;

    fn error(&self) -> Option<&Self::Error>;
}

impl<T, E> Fallible for Result<T, E> {
    type Error = E;

    fn error(&self) -> Option<&E> {
        self.as_ref().err()
    }
}

/// So that the compiler knows what the predicate takes.
pub fn holds<E>(predicate: impl FnOnce(&E) -> bool, error: &E) -> bool {
    predicate(error)
}

/// Looks for an error of this crate's within another. Of the traits below the first one applies that can, as to call its method
/// the compiler has to take fewest references away.
#[derive(Debug)]
pub struct Within<'a, E>(pub &'a E);

pub trait InChain {
    fn raised(&self) -> Option<Raised>;
}

impl<E: StdError + 'static> InChain for &&&Within<'_, E> {
    fn raised(&self) -> Option<Raised> {
        Raised::first_in(Some(self.0))
    }
}

/// `anyhow::Error`, `Box<dyn Error + Send + Sync>`.
pub trait InSyncAsRef {
    fn raised(&self) -> Option<Raised>;
}

impl<E: AsRef<dyn StdError + Send + Sync>> InSyncAsRef for &&Within<'_, E> {
    fn raised(&self) -> Option<Raised> {
        Raised::first_in(Some(self.0.as_ref()))
    }
}

/// `Box<dyn Error>`.
pub trait InAsRef {
    fn raised(&self) -> Option<Raised>;
}

impl<E: AsRef<dyn StdError>> InAsRef for &Within<'_, E> {
    fn raised(&self) -> Option<Raised> {
        Raised::first_in(Some(self.0.as_ref()))
    }
}

pub trait Nowhere {
    fn raised(&self) -> Option<Raised>;
}

impl<E> Nowhere for Within<'_, E> {
    fn raised(&self) -> Option<Raised> {
        None
    }
}
