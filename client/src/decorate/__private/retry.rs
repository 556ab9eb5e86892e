//! What `retry` calls.
#![expect(missing_docs, reason = "called by what the attributes write")]

use std::error::Error as StdError;
use std::time::Duration;

use crate::{Error, ErrorKind, RetryAfter};

/// The pauses between attempts.
pub mod delays {
    use std::time::Duration;

    use backon::{BackoffBuilder, ConstantBuilder, ExponentialBuilder};

    pub const DEFAULT: Duration = Duration::from_millis(100);

    /// Doubles each pause, up to a minute.
    pub fn expo(delay: Duration) -> impl Iterator<Item = Duration> {
        ExponentialBuilder::new().with_min_delay(delay).without_max_times().build()
    }

    pub fn fixed(delay: Duration) -> impl Iterator<Item = Duration> {
        ConstantBuilder::new().with_delay(delay).without_max_times().build()
    }

    /// Adds the delay to each pause.
    pub fn linear(delay: Duration) -> impl Iterator<Item = Duration> {
        computed(move |failed| delay.saturating_mul(failed))
    }

    pub fn computed(strategy: impl Fn(u32) -> Duration) -> impl Iterator<Item = Duration> {
        (1..=u32::MAX).map(strategy)
    }

    /// Lengthens a pause by a random part of itself, so that calls that failed together do not come
    /// back together.
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
    /// Allows up to `max` attempts, including the first.
    pub fn new(delays: D, max: u32) -> Self {
        Self { delays, left: max.saturating_sub(1) }
    }

    /// Returns the pause before the next attempt, if there is one: at least the retry-after of the
    /// last attempt.
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

/// What a retry depends on in an error of this crate.
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

/// What a function returns that may fail.
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

/// Calls a predicate. The signature helps the compiler to infer its argument.
pub fn holds<E>(predicate: impl FnOnce(&E) -> bool, error: &E) -> bool {
    predicate(error)
}

/// Looks for an error of this crate within another error. The first trait below that applies is
/// used, as the compiler removes the fewest references to call its method.
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

/// For `anyhow::Error` and `Box<dyn Error + Send + Sync>`.
pub trait InSyncAsRef {
    fn raised(&self) -> Option<Raised>;
}

impl<E: AsRef<dyn StdError + Send + Sync>> InSyncAsRef for &&Within<'_, E> {
    fn raised(&self) -> Option<Raised> {
        Raised::first_in(Some(self.0.as_ref()))
    }
}

/// For `Box<dyn Error>`.
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
