//! The clock on which aligned windows are counted.

use std::error::Error as StdError;
use std::fmt;
use std::str::FromStr;

use premier_algorithms::Zone as Offset;

use crate::InvalidArgument;
use crate::limit::valid;

/// The clock on which [aligned](crate::Limit::aligned) windows are counted: by its offset from UTC,
/// or with the feature `jiff` by the name of a time zone.
///
/// ```
/// use premier_client::{Fixed, Limit, Zone};
///
/// const PER_MONTH: Limit<Fixed> = Limit::per_month(3_000).in_zone(Zone::offset(2 * 60));
///
/// assert_eq!(PER_MONTH, Limit::per_month(3_000).in_zone("+02:00".parse()?));
/// # Ok::<(), premier_client::InvalidZone>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Zone(Clock);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Clock {
    Offset(Offset),
    #[cfg(feature = "jiff")]
    Named(named::Named),
}

impl Zone {
    /// The clock of UTC.
    pub const UTC: Self = Self::of(Offset::UTC);

    /// Makes the clock that is this many minutes ahead of UTC, or behind it if they are negative.
    ///
    /// # Panics
    /// If the offset is more than 18 hours.
    #[must_use]
    #[track_caller]
    pub const fn offset(minutes: i16) -> Self {
        valid!(Self::try_offset(minutes))
    }

    /// [`Zone::offset`] for a value that may be out of bounds.
    ///
    /// # Errors
    /// If the offset is more than 18 hours.
    pub const fn try_offset(minutes: i16) -> Result<Self, InvalidArgument> {
        match Offset::new(minutes) {
            Ok(offset) => Ok(Self::of(offset)),
            Err(_) => Err(InvalidArgument::zone(minutes)),
        }
    }

    pub(crate) const fn of(offset: Offset) -> Self {
        Self(Clock::Offset(offset))
    }

    /// Returns the offset of the zone at this moment.
    pub(crate) fn now(self) -> Offset {
        match self.0 {
            Clock::Offset(offset) => offset,
            #[cfg(feature = "jiff")]
            Clock::Named(zone) => zone.now(),
        }
    }

    /// Returns whether the zone has a name, which commands do not take.
    #[cfg(feature = "jiff")]
    pub(crate) const fn is_named(self) -> bool {
        matches!(self.0, Clock::Named(_))
    }
}

/// Reads an offset as commands take it, `+02:00` or `Z`, or with the feature `jiff` the name of a
/// time zone.
impl FromStr for Zone {
    type Err = InvalidZone;

    fn from_str(text: &str) -> Result<Self, InvalidZone> {
        match Offset::parse(text.as_bytes()) {
            Ok(offset) => Ok(Self::of(offset)),
            #[cfg(feature = "jiff")]
            Err(_) => Self::named(text),
            #[cfg(not(feature = "jiff"))]
            Err(_) => Err(InvalidZone { text: text.to_owned() }),
        }
    }
}

/// Prints the zone as it can be read again.
impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Clock::Offset(offset) => offset.fmt(f),
            #[cfg(feature = "jiff")]
            Clock::Named(zone) => f.write_str(zone.name()),
        }
    }
}

/// The error for a text that is not a [`Zone`].
///
/// Prints as a sentence that says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidZone {
    text: String,
}

impl fmt::Display for InvalidZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid zone {:?}: expected an offset from -18:00 to +18:00, like +02:00, or Z", self.text)?;
        if cfg!(feature = "jiff") {
            f.write_str(", or the name of a time zone that this system knows, like Europe/Berlin")
        } else {
            Ok(())
        }
    }
}

impl StdError for InvalidZone {}

/// Time zones by name.
#[cfg(feature = "jiff")]
mod named {
    use std::collections::BTreeMap;
    use std::fmt;
    use std::hash::{Hash, Hasher};
    use std::sync::{Mutex, PoisonError};

    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::{Clock, InvalidZone, Offset, Zone};

    /// A time zone that is never dropped, so that limits with it can be copied.
    #[derive(Clone, Copy)]
    pub(super) struct Named(&'static (String, TimeZone));

    /// The time zones that were asked for. A system knows some hundred, so this stays small.
    static KNOWN: Mutex<BTreeMap<String, Named>> = Mutex::new(BTreeMap::new());

    impl Zone {
        /// Finds a time zone by its name in the IANA database, like `Europe/Berlin`, in any case.
        ///
        /// Its offset is looked up at each call, on the clock of this process, so that windows
        /// follow summer time. The database is that of the system; where there is none, turn on
        /// the feature `tzdb-bundle-always` of `jiff`.
        ///
        /// ```
        /// use premier_client::{Limit, Zone};
        ///
        /// let limit = Limit::per_day(100).in_zone(Zone::named("Europe/Berlin")?);
        /// assert_eq!(limit.to_string(), "fixed 100/1d aligned zone Europe/Berlin");
        /// # Ok::<(), premier_client::InvalidZone>(())
        /// ```
        ///
        /// # Errors
        /// If the database has no such time zone.
        pub fn named(name: &str) -> Result<Self, InvalidZone> {
            let invalid = || InvalidZone { text: name.to_owned() };
            let time_zone = TimeZone::get(name).map_err(|_| invalid())?;
            let name = time_zone.iana_name().ok_or_else(invalid)?.to_owned();
            let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
            let zone =
                *known.entry(name.clone()).or_insert_with(|| Named(Box::leak(Box::new((name, time_zone.clone())))));
            Ok(Self(Clock::Named(zone)))
        }
    }

    impl Named {
        pub(super) const fn name(self) -> &'static str {
            self.0.0.as_str()
        }

        pub(super) fn now(self) -> Offset {
            const SECONDS_PER_MINUTE: i32 = 60;
            let seconds = self.0.1.to_offset(Timestamp::now()).seconds();
            let minutes = i16::try_from(seconds.div_euclid(SECONDS_PER_MINUTE)).ok();
            // No offset of our time is out of bounds, nor a fraction of a minute.
            minutes.and_then(|minutes| Offset::new(minutes).ok()).unwrap_or(Offset::UTC)
        }
    }

    impl PartialEq for Named {
        fn eq(&self, other: &Self) -> bool {
            self.name() == other.name()
        }
    }

    impl Eq for Named {}

    impl Hash for Named {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.name().hash(state);
        }
    }

    impl fmt::Debug for Named {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.name().fmt(f)
        }
    }
}
