//! Limits as text: `100/1m`, `token 100/1m capacity 20`.

use std::error::Error as StdError;
use std::fmt;
use std::str::FromStr;

use premier_algorithms::{ALIGNED, Arguments, CAPACITY, COST, FORCE, KEEP, MAX_WAIT, WindowStart};

use crate::limit::Terms;
use crate::{Algorithm, AnyLimit, Limit, Limiter};

/// The error for a text that is not a limit.
///
/// Prints as a sentence that says what is wrong with it, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidLimit {
    text: String,
    reason: String,
}

impl InvalidLimit {
    pub(crate) fn new(text: &str, reason: String) -> Self {
        Self { text: text.to_owned(), reason }
    }
}

impl fmt::Display for InvalidLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid limit {:?}: {}", self.text, self.reason)
    }
}

impl StdError for InvalidLimit {}

/// Reads a limit, by a token bucket if the text names no algorithm:
/// `[algorithm] quota/duration [options]`.
///
/// The algorithm is `fixed`, `sliding`, `token` or `leaky`. Durations and options are those of the
/// commands: `aligned`, `capacity 20`, `cost 2`, `keep 5`, `maxwait 500ms`, `force`.
///
/// ```
/// use std::time::Duration;
///
/// use premier_client::{AnyLimit, Limit};
///
/// let minute = Duration::from_secs(60);
/// assert_eq!("100/1m".parse(), Ok(AnyLimit::from(Limit::token_bucket(100, minute))));
/// let limit: AnyLimit = "token 100/1m capacity 20".parse()?;
/// assert_eq!(limit, Limit::token_bucket(100, minute).capacity(20).into());
/// assert_eq!(limit.to_string(), "token 100/1m capacity 20");
/// # Ok::<(), premier_client::InvalidLimit>(())
/// ```
impl FromStr for AnyLimit {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        parse(text, None)
    }
}

/// Reads a limit by this algorithm, which the text may name: see [`AnyLimit`].
impl<A: Limiter> FromStr for Limit<A> {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        parse(text, Some(A::ALGORITHM)).map(|limit| Self::of(*limit.terms()))
    }
}

fn parse(text: &str, expected: Option<Algorithm>) -> Result<AnyLimit, InvalidLimit> {
    let invalid = |reason: String| InvalidLimit::new(text, reason);
    let mut words = text.split_whitespace().peekable();
    let named = words.peek().and_then(|word| Algorithm::named(word));
    if named.is_some() {
        words.next();
    }
    let algorithm = match (named, expected) {
        (Some(named), Some(expected)) if named != expected => {
            return Err(invalid(format!("the algorithm must be {}, not {}", expected.name(), named.name())));
        }
        (named, expected) => named.or(expected).unwrap_or_default(),
    };
    let Some((quota, duration)) = words.next().and_then(|word| word.split_once('/')) else {
        return Err(invalid("expected quota/duration, as in 100/1m or token 100/1m capacity 20".to_owned()));
    };
    let words = [quota, duration].into_iter().chain(words).map(str::as_bytes);
    let arguments = Arguments::parse(words, algorithm.options()).map_err(|wrong| invalid(wrong.to_string()))?;
    Ok(algorithm.with_terms(arguments.into()))
}

impl From<Arguments<'_>> for Terms {
    fn from(arguments: Arguments<'_>) -> Self {
        let Arguments { quota, duration, start, capacity, demand, max_wait, .. } = arguments;
        Self { quota, duration, is_aligned: start == WindowStart::Aligned, capacity, max_wait, demand }
    }
}

/// Prints the limit as it can be read again.
impl fmt::Display for AnyLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let terms = self.terms();
        write!(f, "{} {}/{}", self.algorithm().name(), terms.quota.get(), terms.duration.get())?;
        let mut option = |name: &str, value: Option<&dyn fmt::Display>| {
            write!(f, " {}", name.to_ascii_lowercase())?;
            value.map_or(Ok(()), |value| write!(f, " {value}"))
        };
        if terms.is_aligned {
            option(ALIGNED.name, None)?;
        }
        if let Some(capacity) = terms.capacity {
            option(CAPACITY.name, Some(&capacity.get()))?;
        }
        if terms.cost() != 1 {
            option(COST.name, Some(&terms.cost()))?;
        }
        if terms.keep() != 0 {
            option(KEEP.name, Some(&terms.keep()))?;
        }
        if let Some(max_wait) = terms.max_wait {
            option(MAX_WAIT.name, Some(&max_wait.get()))?;
        }
        if terms.is_forced() {
            option(FORCE.name, None)?;
        }
        Ok(())
    }
}

/// Prints the limit as it can be read again.
impl<A: Limiter> fmt::Display for Limit<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        A::ALGORITHM.with_terms(self.terms).fmt(f)
    }
}

/// Limits in configuration files, as text.
#[cfg(feature = "serde")]
mod serialized {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::{AnyLimit, Limit, Limiter};

    /// As text: `token 100/1m capacity 20`.
    impl Serialize for AnyLimit {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }

    /// As text: `token 100/1m capacity 20`.
    impl<A: Limiter> Serialize for Limit<A> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }

    /// From text: `100/1m`, `token 100/1m capacity 20`.
    impl<'de> Deserialize<'de> for AnyLimit {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
        }
    }

    /// From text: `100/1m`, `token 100/1m capacity 20`.
    impl<'de, A: Limiter> Deserialize<'de> for Limit<A> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
        }
    }
}
