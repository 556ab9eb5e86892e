//! Limits as text: `100/1m`, `token 100/1m capacity 20`.

use std::error::Error as StdError;
use std::fmt;
use std::str::FromStr;

#[cfg(feature = "jiff")]
use premier_algorithms::CallOption;
use premier_algorithms::{ALIGNED, Arguments, CAPACITY, COST, Calendar, FORCE, KEEP, MAX_WAIT, ZONE};

use crate::limit::{Terms, Window};
use crate::{Algorithm, AnyLimit, Limit, Limiter, Zone};

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
/// commands: `aligned`, `zone +02:00`, `capacity 20`, `cost 2`, `keep 5`, `maxwait 500ms`, `force`.
/// With the feature `jiff` a zone may also be the name of a time zone: `fixed 100/1d aligned zone
/// Europe/Berlin`.
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
    #[cfg_attr(not(feature = "jiff"), expect(unused_mut, reason = "only names of time zones are replaced"))]
    let mut options: Vec<&str> = words.collect();
    #[cfg(feature = "jiff")]
    let zone = take_named_zone(&mut options, algorithm).map_err(|wrong| invalid(wrong.to_string()))?;
    let words = [quota, duration].into_iter().chain(options).map(str::as_bytes);
    let arguments = Arguments::parse(words, algorithm.options()).map_err(|wrong| invalid(wrong.to_string()))?;
    let terms = Terms::from(arguments);
    #[cfg(feature = "jiff")]
    let terms = Terms { window: zone.map_or(terms.window, |zone| terms.window.in_zone(zone)), ..terms };
    Ok(algorithm.with_terms(terms))
}

/// Replaces the name of a time zone, which commands do not take, by an offset.
#[cfg(feature = "jiff")]
fn take_named_zone(options: &mut [&str], algorithm: Algorithm) -> Result<Option<Zone>, crate::InvalidZone> {
    let has_zone = algorithm.options().contains(&CallOption::Zone);
    let mut words = options.iter_mut().skip_while(|word| !word.eq_ignore_ascii_case(ZONE.name)).skip(1);
    let Some(name) = words.next().filter(|_| has_zone) else { return Ok(None) };
    let zone: Zone = name.parse()?;
    if !zone.is_named() {
        return Ok(None);
    }
    *name = "Z";
    Ok(Some(zone))
}

impl From<Arguments<'_>> for Terms {
    fn from(arguments: Arguments<'_>) -> Self {
        let Arguments { quota, duration, calendar, capacity, demand, max_wait, .. } = arguments;
        let window = calendar.map_or(Window::FromFirstCall(duration), |Calendar { period, zone }| Window::Aligned {
            period,
            zone: Zone::of(zone),
        });
        Self { quota, window, capacity, max_wait, demand }
    }
}

/// Prints the limit as it can be read again.
impl fmt::Display for AnyLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let terms = self.terms();
        write!(f, "{} {}/", self.algorithm().name(), terms.quota.get())?;
        match terms.window {
            Window::FromFirstCall(duration) => duration.get().fmt(f)?,
            Window::Aligned { period, .. } => period.fmt(f)?,
        }
        let mut option = |name: &str, value: Option<&dyn fmt::Display>| {
            write!(f, " {}", name.to_ascii_lowercase())?;
            value.map_or(Ok(()), |value| write!(f, " {value}"))
        };
        if let Some(zone) = terms.zone() {
            option(ALIGNED.name, None)?;
            if zone != Zone::UTC {
                option(ZONE.name, Some(&zone))?;
            }
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
