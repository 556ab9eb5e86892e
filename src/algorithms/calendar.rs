//! Windows that follow the calendar: where they begin and end on the clock of a zone.
//!
//! Dates are computed in integers by Howard Hinnant's algorithms `civil_from_days` and
//! `days_from_civil` (<https://howardhinnant.github.io/date_algorithms.html>). Their years begin in
//! March, so that the leap day is the last one of a year.

use core::fmt;

use crate::{InvalidArgument, LimitDuration, Months, Now, Span, Timestamp, Weeks, Zone};

/// How long a window is that follows the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// This long. Windows are counted from 1 January 1970.
    Time(LimitDuration),
    /// Whole weeks. Windows are counted from Monday, 5 January 1970.
    Weeks(Weeks),
    /// Calendar months. Windows are counted from January 1970.
    Months(Months),
}

/// Where windows begin that follow the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Calendar {
    /// How long a window is.
    pub period: Period,
    /// The clock on which windows are counted.
    pub zone: Zone,
}

/// A window of the calendar, in microseconds since the Unix epoch. It may begin before that.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    start: i64,
    end: i64,
}

/// The offset of a zone changes by an hour or two. A window that began by another offset is still
/// recognized if it began at most this far from where the calendar begins one.
const TOLERANCE: Span = Span::from_secs(3 * 60 * 60);

/// Offsets differ by whole quarters of an hour.
const QUARTER_OF_AN_HOUR: i64 = 15 * 60 * 1_000_000;

const MINUTE: i64 = 60 * 1_000_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// The longest month, in days.
const LONGEST_MONTH: u64 = 31;

/// From Thursday, 1 January 1970 to the first Monday.
const FIRST_MONDAY: i64 = 4 * DAY;

impl Period {
    /// Reads the duration of an aligned window. A whole number of weeks, `2w`, is
    /// [`Period::Weeks`], and a number of months, `3mo`, is [`Period::Months`].
    ///
    /// # Errors
    /// If the text is not a duration, or the duration is out of bounds.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidArgument> {
        Self::of(LimitDuration::parse(text).ok(), text)
    }

    /// Makes a period of a text, which is this time, or else is not a time.
    pub(crate) fn of(time: Option<LimitDuration>, text: &[u8]) -> Result<Self, InvalidArgument> {
        match time {
            // A week is the longest unit, so no other precedes it.
            Some(_) if text.ends_with(b"w") => Weeks::parse(text).map(Self::Weeks),
            Some(time) => Ok(Self::Time(time)),
            None => Months::parse(text).map(Self::Months),
        }
    }

    /// Returns how long the longest window is. A month counts as 31 days, and the longest duration
    /// is [`LimitDuration::MAX`].
    #[must_use]
    pub const fn longest(self) -> LimitDuration {
        match self {
            Self::Time(time) => time,
            Self::Weeks(weeks) => weeks.time(),
            Self::Months(months) => match LimitDuration::new(longest_of(months)) {
                Ok(duration) => duration,
                Err(_) => LimitDuration::MAX,
            },
        }
    }
}

/// Prints the period as a command takes it.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => time.get().fmt(f),
            Self::Weeks(weeks) => write!(f, "{}w", weeks.get()),
            Self::Months(months) => write!(f, "{}mo", months.get()),
        }
    }
}

impl Calendar {
    /// Returns how long ago the current window began, and the rest of it.
    pub(crate) fn current(self, now: Now) -> (Span, Span) {
        let reading = signed(now.reading());
        let Bounds { start, end } = self.bounds(reading);
        (span(reading - start), span(end - reading))
    }

    /// Returns the rest of an open window, or zero if it is over. `opened` is at most now.
    pub(crate) fn rest(self, opened: Timestamp, now: Now) -> Span {
        let open_for = now.at().since(opened);
        // If the clock has stepped back further since, it is unknown which day it showed then.
        let is_day_known = now.set_back_since(opened) <= TOLERANCE;
        let length = match self.period {
            Period::Time(time) => signed_span(time.get()),
            Period::Weeks(weeks) => signed_span(weeks.time().get()),
            Period::Months(months) if !is_day_known => return longest_of(months).saturating_sub(open_for),
            Period::Months(_) => {
                let began = signed(now.as_read(opened).plus(TOLERANCE));
                return span(self.bounds(began).end - signed(now.reading()));
            }
        };
        let shift = if is_day_known && length % DAY == 0 { self.shift(signed(now.as_read(opened))) } else { 0 };
        span(length + shift - signed_span(open_for))
    }

    /// Returns how much later than a window that began then the calendar begins its own: by the
    /// difference of two offsets, or zero if the window does not follow the calendar.
    fn shift(self, began: i64) -> i64 {
        let Bounds { start, end } = self.bounds(began);
        let is_difference = |time: i64| time <= signed_span(TOLERANCE) && time % QUARTER_OF_AN_HOUR == 0;
        match (start - began, end - began) {
            (late, _) if is_difference(-late) => late,
            (_, early) if is_difference(early) => early,
            _ => 0,
        }
    }

    /// Returns the window in which a moment lies.
    fn bounds(self, moment: i64) -> Bounds {
        let offset = i64::from(self.zone.get()) * MINUTE;
        let local = moment + offset;
        let (start, end) = match self.period {
            Period::Time(time) => whole(local, 0, signed_span(time.get())),
            Period::Weeks(weeks) => whole(local, FIRST_MONDAY, signed_span(weeks.time().get())),
            Period::Months(months) => {
                let months = months.get().cast_signed();
                let month = month_of_day(local.div_euclid(DAY));
                let first = month - month.rem_euclid(months);
                (first_day_of_month(first) * DAY, first_day_of_month(first + months) * DAY)
            }
        };
        Bounds { start: start - offset, end: end - offset }
    }
}

/// Returns the whole period around a moment, if the first one begins at `origin`.
const fn whole(moment: i64, origin: i64, length: i64) -> (i64, i64) {
    let start = moment - (moment - origin).rem_euclid(length);
    (start, start + length)
}

const DAYS_PER_ERA: i64 = 146_097;
const YEARS_PER_ERA: i64 = 400;

/// From 1 March of the year 0 to 1 January 1970, in days and in months.
const DAYS_TO_EPOCH: i64 = 719_468;
const MONTHS_TO_EPOCH: i64 = 1_969 * 12 + 10;

/// Returns the months from January 1970 to that of a day, from the days since 1 January 1970.
const fn month_of_day(day: i64) -> i64 {
    let day = day + DAYS_TO_EPOCH;
    let (era, day_of_era) = (day.div_euclid(DAYS_PER_ERA), day.rem_euclid(DAYS_PER_ERA));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_of_year = (5 * day_of_year + 2) / 153;
    (era * YEARS_PER_ERA + year_of_era) * 12 + month_of_year - MONTHS_TO_EPOCH
}

/// Returns the days from 1 January 1970 to the first day of a month, from the months since January
/// 1970.
const fn first_day_of_month(month: i64) -> i64 {
    let month = month + MONTHS_TO_EPOCH;
    let (year, month_of_year) = (month.div_euclid(12), month.rem_euclid(12));
    let (era, year_of_era) = (year.div_euclid(YEARS_PER_ERA), year.rem_euclid(YEARS_PER_ERA));
    let day_of_year = (153 * month_of_year + 2) / 5;
    let day_of_era = 365 * year_of_era + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_PER_ERA + day_of_era - DAYS_TO_EPOCH
}

/// Returns the time that these months take at most.
const fn longest_of(months: Months) -> Span {
    Span::from_secs(months.get() * LONGEST_MONTH * 24 * 60 * 60)
}

const fn signed(moment: Timestamp) -> i64 {
    moment.as_micros().cast_signed()
}

/// No time here is longer than 2⁵⁵ µs.
const fn signed_span(span: Span) -> i64 {
    span.as_micros().cast_signed()
}

/// Returns the time, or zero if it is negative.
const fn span(micros: i64) -> Span {
    Span::from_micros(if micros > 0 { micros.cast_unsigned() } else { 0 })
}
