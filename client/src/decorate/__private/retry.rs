//! What `retry` calls.
#![expect(missing_docs, reason = "called by what the attributes write")]

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use crate::{Error, ErrorKind, RetryAfter};

/// The delays before further attempts.
pub mod delays {
    use std::iter;
    use std::time::Duration;

    pub const DEFAULT: Duration = Duration::from_millis(100);
    pub const DEFAULT_MAX: Duration = Duration::from_secs(60);

    /// Doubles each delay, up to the maximum.
    pub fn expo(delay: Duration, max: Duration) -> impl Iterator<Item = Duration> {
        iter::successors(Some(delay.min(max)), move |delay| Some(delay.saturating_mul(2).min(max)))
    }

    pub fn fixed(delay: Duration, max: Duration) -> impl Iterator<Item = Duration> {
        iter::repeat(delay.min(max))
    }

    /// Adds the first delay to each, up to the maximum.
    pub fn linear(delay: Duration, max: Duration) -> impl Iterator<Item = Duration> {
        computed(move |failed| delay.saturating_mul(failed), max)
    }

    pub fn computed(strategy: impl Fn(u32) -> Duration, max: Duration) -> impl Iterator<Item = Duration> {
        (1..=u32::MAX).map(move |failed| strategy(failed).min(max))
    }
}

/// The attempts of one call, which returns an `R`.
#[derive(Debug)]
pub struct Retries<D, R> {
    delays: D,
    /// The longest wait for a limit.
    max_delay: Duration,
    has_jitter: bool,
    left: u32,
    /// What the last attempt returned whose body ran.
    returned: Option<R>,
}

impl<D: Iterator<Item = Duration>, R> Retries<D, R> {
    /// Allows up to `max` attempts, including the first.
    pub fn new(delays: D, max_delay: Duration, has_jitter: bool, max: u32) -> Self {
        Self { delays, max_delay, has_jitter, left: max.saturating_sub(1), returned: None }
    }

    /// Returns the pause before the next attempt, if there is one: at least the retry-after of the
    /// last attempt, lengthened by a random part of the delay, so that calls that failed together
    /// do not come back together.
    pub fn pause(&mut self, raised: Option<Raised>) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let delay = self.delays.next()?;
        let pause = match raised.and_then(|raised| raised.retry_after) {
            None => delay,
            Some(RetryAfter::After(after)) if after <= self.max_delay.max(delay) => delay.max(after),
            Some(_) => return None,
        };
        let jitter = if self.has_jitter { rand::random_range(Duration::ZERO..=delay) } else { Duration::ZERO };
        Some(pause.saturating_add(jitter))
    }

    /// Keeps what a failed attempt has returned, unless a limit stopped it before the body.
    pub fn keep(&mut self, returned: R, raised: Option<Raised>) {
        if !is_stopped(raised) {
            self.returned = Some(returned);
        }
    }

    /// Returns what the call returns after the failure of its last attempt. If a limit stopped that
    /// one, it is the body's own last error.
    pub fn give_up(self, returned: R, raised: &mut Option<Raised>) -> R {
        match self.returned {
            Some(own) if is_stopped(*raised) => {
                *raised = raised.map(|raised| Raised { is_limit: false, ..raised });
                own
            }
            _ => returned,
        }
    }
}

fn is_stopped(raised: Option<Raised>) -> bool {
    raised.is_some_and(|raised| raised.is_limit)
}

/// What a retry depends on in an error of this crate.
#[derive(Debug, Clone, Copy)]
pub struct Raised {
    kind: ErrorKind,
    retry_after: Option<RetryAfter>,
    /// Whether a limit raised it in place of the body.
    is_limit: bool,
}

impl Raised {
    #[must_use]
    pub fn by(error: &Error) -> Self {
        let retry_after = error.decision().and_then(|decision| decision.retry_after());
        Self { kind: error.kind(), retry_after, is_limit: false }
    }

    #[must_use]
    pub fn by_limit(error: &Error) -> Self {
        Self { is_limit: true, ..Self::by(error) }
    }

    #[must_use]
    pub fn is(self, kind: ErrorKind) -> bool {
        self.kind == kind
    }

    fn first_in(mut cause: Option<&(dyn StdError + 'static)>) -> Option<Self> {
        while let Some(error) = cause {
            match unboxed(error) {
                Some(error) => return Some(Self::by(error)),
                None => cause = error.source(),
            }
        }
        None
    }
}

/// Returns an error of this crate. A box of one is an error as well, whose source is that of the
/// error in it.
fn unboxed<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    let boxed = || error.downcast_ref::<Box<Error>>().map(Box::as_ref);
    let shared = || error.downcast_ref::<Arc<Error>>().map(Arc::as_ref);
    error.downcast_ref().or_else(boxed).or_else(shared)
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
