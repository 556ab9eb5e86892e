//! Aligned windows follow the calendar of a zone: days, weeks from Monday, months. The calendar of
//! jiff says where they begin and end.

use jiff::civil::{Date, DateTime, date};
use jiff::tz::Offset;
use jiff::{Timestamp as Moment, ToSpan};
use premier_algorithms::{
    Algorithm, Arguments, Calendar, CallOption, Clock, Cost, Fixed, FixedLimit, FixedState, LimitDuration, Months, Now,
    Outcome, Period, Quota, Retry, Span, State, Timestamp, Weeks, Window, Zone,
};
use proptest::collection;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const LAST_MOMENT: u64 = (1 << 54) - 1;

/// How far from a beginning of the calendar a window may have begun by another offset.
const TOLERANCE: u64 = 3 * HOUR;

/// A period of the calendar.
#[derive(Debug, Clone, Copy)]
enum Each {
    Days(u64),
    Weeks(u64),
    Months(u64),
}

impl Each {
    fn period(self) -> Period {
        match self {
            Self::Days(days) => Period::Time(LimitDuration::new(Span::from_micros(days * DAY)).unwrap()),
            Self::Weeks(weeks) => Period::Weeks(Weeks::new(weeks).unwrap()),
            Self::Months(months) => Period::Months(Months::new(months).unwrap()),
        }
    }

    /// Returns the first day of the window in which a day lies.
    fn first_day(self, day: Date) -> Date {
        let days_since = |origin: Date| i64::from((day - origin).get_days());
        let behind = |origin, length: u64| days_since(origin).rem_euclid(length.cast_signed());
        match self {
            Self::Days(days) => day - behind(date(1970, 1, 1), days).days(),
            Self::Weeks(weeks) => day - behind(date(1970, 1, 5), 7 * weeks).days(),
            Self::Months(months) => {
                let since = (i64::from(day.year()) - 1970) * 12 + i64::from(day.month()) - 1;
                day.first_of_month() - since.rem_euclid(months.cast_signed()).months()
            }
        }
    }

    /// Returns the first day of the window that follows the one of this first day.
    fn next(self, first_day: Date) -> Date {
        match self {
            Self::Days(days) => first_day + days.cast_signed().days(),
            Self::Weeks(weeks) => first_day + weeks.cast_signed().weeks(),
            Self::Months(months) => first_day + months.cast_signed().months(),
        }
    }

    /// Returns the longest time that a window may take, if all offsets are the same.
    fn longest(self) -> u64 {
        match self {
            Self::Days(days) => days * DAY,
            Self::Weeks(weeks) => weeks * 7 * DAY,
            Self::Months(months) => months * 31 * DAY,
        }
    }
}

fn offset(minutes: i16) -> Offset {
    Offset::from_seconds(i32::from(minutes) * 60).unwrap()
}

/// Returns the date and the time on the clock of a zone.
fn local(micros: u64, zone: i16) -> DateTime {
    offset(zone).to_datetime(Moment::from_microsecond(micros.cast_signed()).unwrap())
}

/// Returns when a day begins in a zone.
fn beginning(day: Date, zone: i16) -> i64 {
    offset(zone).to_timestamp(day.at(0, 0, 0, 0)).unwrap().as_microsecond()
}

fn moment(day: Date) -> u64 {
    beginning(day, 0).cast_unsigned()
}

/// A moment in the years 1970 to 2200, often close to the beginning of a month.
fn any_moment() -> impl Strategy<Value = u64> {
    let months = (0..231 * 12_i64, -2 * DAY.cast_signed()..=2 * DAY.cast_signed());
    prop_oneof![
        moment(date(1970, 1, 1))..moment(date(2201, 1, 1)),
        months.prop_map(|(month, micros)| moment(date(1970, 1, 1) + month.months()).saturating_add_signed(micros)),
    ]
}

fn any_zone() -> impl Strategy<Value = i16> {
    prop_oneof![Just(0), -1080..=1080_i16, (-72..=72_i16).prop_map(|quarters| quarters * 15), Just(-1080), Just(1080)]
}

fn any_period() -> impl Strategy<Value = Each> {
    prop_oneof![period_with_a_length(), prop_oneof![Just(1), 1..=120_u64].prop_map(Each::Months)]
}

fn period_with_a_length() -> impl Strategy<Value = Each> {
    prop_oneof![
        prop_oneof![Just(1), 1..=3650_u64].prop_map(Each::Days),
        prop_oneof![Just(1), 1..=521_u64].prop_map(Each::Weeks),
    ]
}

fn limit(quota: u64, each: Each, zone: i16) -> FixedLimit {
    let calendar = Calendar { period: each.period(), zone: Zone::new(zone).unwrap() };
    FixedLimit { quota: Quota::new(quota).unwrap(), window: Window::Aligned(calendar) }
}

/// What a caller is told.
#[derive(Debug, PartialEq, Eq)]
struct Reply {
    is_admitted: bool,
    remaining: u64,
    retry: Option<u64>,
    reset: u64,
}

/// A key and the clock that serves it.
#[derive(Debug, Clone, Default)]
struct Key {
    state: FixedState,
    clock: Clock,
}

impl Key {
    fn call(&mut self, reading: u64, limit: &FixedLimit, cost: u64) -> Reply {
        let now = self.read(reading);
        let decision = Fixed::decide(&self.state, now, limit, Cost::new(cost).unwrap());
        let retry = match decision.outcome {
            Outcome::Limited { retry: Retry::After(wait) } => Some(wait.as_micros()),
            _ => None,
        };
        let (remaining, reset) = (decision.remaining, decision.reset.as_micros());
        let is_admitted = matches!(decision.outcome, Outcome::Admitted { .. });
        if let Outcome::Admitted { change, .. } = decision.outcome {
            self.state.apply(&change);
        }
        Reply { is_admitted, remaining, retry, reset }
    }

    fn ask(&self, reading: u64, limit: &FixedLimit, cost: u64) -> Reply {
        self.clone().call(reading, limit, cost)
    }

    fn read(&mut self, reading: u64) -> Now {
        self.clock.read(Timestamp::from_micros(reading))
    }

    /// Returns when the window opened.
    fn opened(&self) -> u64 {
        self.state.latest_stamp().as_micros()
    }
}

/// The contract: a window has a first day, and lasts until the next one begins in the zone of the
/// call.
#[derive(Debug, Default)]
struct Model {
    window: Option<(Date, u64)>,
}

impl Model {
    fn call(&mut self, now: u64, quota: u64, each: Each, zone: i16, cost: u64) -> Reply {
        let end = |first_day| beginning(each.next(first_day), zone).saturating_sub_unsigned(now);
        let open = self.window.filter(|(first_day, _)| end(*first_day) > 0);
        let (first_day, used) = open.unwrap_or((each.first_day(local(now, zone).date()), 0));
        let is_admitted = used + cost <= quota;
        let rest = end(first_day).cast_unsigned();
        if is_admitted {
            self.window = Some((first_day, used + cost));
        }
        Reply {
            is_admitted,
            remaining: quota - used - if is_admitted { cost } else { 0 },
            retry: (!is_admitted && cost <= quota).then_some(rest),
            reset: if is_admitted || used > 0 { rest } else { 0 },
        }
    }
}

proptest! {
    #[test]
    fn a_window_is_that_of_the_calendar(now in any_moment(), each in any_period(), zone in any_zone()) {
        let first_day = each.first_day(local(now, zone).date());
        let [start, end] = [first_day, each.next(first_day)].map(|day| beginning(day, zone));
        let mut key = Key::default();
        let reply = key.call(now, &limit(1, each, zone), 1);
        prop_assert_eq!((now + reply.reset).cast_signed(), end);
        prop_assert_eq!(key.opened().cast_signed(), start.max(0));
    }

    /// Also if windows began by other offsets than that of the call, as they do where summer time
    /// begins or ends.
    #[test]
    fn calls_with_the_offset_of_the_day_answer_exactly(
        start in moment(date(1980, 1, 1))..moment(date(2190, 1, 1)),
        each in prop_oneof![Just(Each::Days(1)), Just(Each::Weeks(1)), Just(Each::Months(1)), any_period()],
        quota in 1..=6_u64,
        zone in -990..=990_i16,
        calls in collection::vec((0..=80_u64, 0..=90_u64, -6..=6_i16, 1..=4_u64), 1..40),
    ) {
        let (mut key, mut model, mut now) = (Key::default(), Model::default(), start);
        let mut reset = 0;
        for (share, minutes, quarters, cost) in calls {
            // Around the end of the window, or a part of the period.
            now += match share {
                65.. => (reset + minutes * MINUTE).saturating_sub(45 * MINUTE),
                share => each.longest() / 64 * share / 4,
            };
            if now > LAST_MOMENT {
                break;
            }
            let zone = zone + 15 * quarters;
            let reply = key.call(now, &limit(quota, each, zone), cost);
            prop_assert_eq!(&reply, &model.call(now, quota, each, zone, cost), "at {} by {}", now, zone);
            prop_assert!(reply.reset <= each.longest() + TOLERANCE);
            reset = reply.reset;
        }
    }

    #[test]
    fn the_retry_after_is_accurate(
        now in any_moment(), each in any_period(), zones in (any_zone(), -6..=6_i16), share in 0..=64_u64
    ) {
        let zone = zones.0.clamp(-990, 990) + 15 * zones.1;
        let mut key = Key::default();
        let first = key.call(now, &limit(1, each, zones.0.clamp(-990, 990)), 1);
        let limit = limit(1, each, zone);
        let then = now + first.reset.saturating_sub(TOLERANCE) / 64 * share;
        if let Some(wait) = key.ask(then, &limit, 1).retry {
            prop_assert!(!key.ask(then + wait - 1, &limit, 1).is_admitted);
            prop_assert!(key.ask(then + wait, &limit, 1).is_admitted);
        }
    }

    /// However far the clock steps, and however often.
    #[test]
    fn steps_of_the_clock_mint_nothing(
        each in any_period(),
        zone in -1000..=1000_i16,
        steps in collection::vec((any::<bool>(), 0..=6_u32, 0..=64_u64), 1..40),
    ) {
        let start = moment(date(2030, 1, 1));
        let limit = limit(1, each, zone);
        let (mut key, mut reading) = (Key::default(), start);
        let mut closed_until = 0;
        for (is_forward, magnitude, share) in steps {
            let micros = each.longest() / 10_u64.pow(magnitude) / 64 * share;
            reading = if is_forward { reading + micros } else { reading.saturating_sub(micros).max(start / 2) };
            let at = key.read(reading).at().as_micros();
            let reply = key.call(reading, &limit, 1);
            prop_assert!(reply.reset <= each.longest() + TOLERANCE, "{reply:?}");
            if reply.is_admitted {
                prop_assert!(at >= closed_until, "{at} is before {closed_until}");
                closed_until = at + reply.reset;
            } else {
                let wait = reply.retry.unwrap();
                prop_assert!(key.ask(reading + wait, &limit, 1).is_admitted, "{reply:?}");
                prop_assert!(!key.ask(reading + wait - 1, &limit, 1).is_admitted, "{reply:?}");
            }
        }
    }

    /// Only months look at where it began: they have no length of their own.
    #[test]
    fn a_window_of_a_first_call_runs_to_its_own_end(
        now in any_moment(), each in period_with_a_length(), zone in any_zone(), micros in 1..MINUTE
    ) {
        let now = now / MINUTE * MINUTE + micros;
        let limit = limit(1, each, zone);
        let length = each.period().longest();
        let mut key = Key::default();
        key.call(now, &FixedLimit { window: Window::FromFirstCall(length), ..limit }, 1);
        prop_assert_eq!(key.ask(now + 1, &limit, 1).reset, length.get().as_micros() - 1);
    }

    #[test]
    fn an_open_window_ends_where_its_months_end(now in any_moment(), months in 1..=120_u64, zone in any_zone()) {
        let each = Each::Months(months);
        let limit = limit(1, each, zone);
        let mut key = Key::default();
        let hour = LimitDuration::new(Span::from_micros(HOUR)).unwrap();
        key.call(now, &FixedLimit { window: Window::FromFirstCall(hour), ..limit }, 1);
        let first_day = each.first_day(local(now + TOLERANCE, zone).date());
        let end = beginning(each.next(first_day), zone).cast_unsigned();
        prop_assert_eq!(now + key.ask(now, &limit, 1).reset, end);
    }

    #[test]
    fn a_printed_period_or_zone_reads_as_the_same(each in any_period(), zone in any_zone()) {
        let (period, zone) = (each.period(), Zone::new(zone).unwrap());
        prop_assert_eq!(Period::parse(period.to_string().as_bytes()), Ok(period));
        prop_assert_eq!(Zone::parse(zone.to_string().as_bytes()), Ok(zone));
    }
}

/// From 1970 to 2200, on the first and the last microsecond.
#[test]
fn every_month_begins_and_ends_on_the_day() {
    let limit = limit(1, Each::Months(1), 0);
    for month in 0..231 * 12_i64 {
        let [start, end] = [month, month + 1].map(|month| moment(date(1970, 1, 1) + month.months()));
        for now in [start, end - 1] {
            let mut key = Key::default();
            assert_eq!(now + key.call(now, &limit, 1).reset, end, "month {month}");
            assert_eq!(key.opened(), start, "month {month}");
        }
    }
}

#[test]
fn weeks_begin_on_monday_and_seven_days_on_thursday() {
    // A Friday.
    let now = moment(date(2027, 1, 15)) + 8 * HOUR;
    for (each, zone, end) in [
        (Each::Weeks(1), 0, date(2027, 1, 18)),
        (Each::Weeks(2), 0, date(2027, 1, 18)),
        (Each::Weeks(5), 0, date(2027, 2, 15)),
        (Each::Days(7), 0, date(2027, 1, 21)),
        (Each::Days(1), 0, date(2027, 1, 16)),
        (Each::Days(1), -600, date(2027, 1, 15)),
        (Each::Weeks(1), 1080, date(2027, 1, 18)),
        (Each::Months(1), 0, date(2027, 2, 1)),
        (Each::Months(3), 0, date(2027, 4, 1)),
        (Each::Months(12), 0, date(2028, 1, 1)),
        (Each::Months(120), 0, date(2030, 1, 1)),
    ] {
        let reply = Key::default().call(now, &limit(1, each, zone), 1);
        assert_eq!((now + reply.reset).cast_signed(), beginning(end, zone), "{each:?} by {zone}");
    }
}

/// Berlin, 2026: +02:00 from 29 March to 25 October, otherwise +01:00.
#[test]
fn summer_time_neither_shortens_nor_prolongs_a_window() {
    let check = |each, opened: (DateTime, i16), asked: (DateTime, i16), end: DateTime| {
        let at = |(time, zone): (DateTime, i16)| {
            offset(zone * 60).to_timestamp(time).unwrap().as_microsecond().cast_unsigned()
        };
        let mut key = Key::default();
        key.call(at(opened), &limit(2, each, opened.1 * 60), 1);
        let reply = key.call(at(asked), &limit(2, each, asked.1 * 60), 1);
        assert_eq!((reply.is_admitted, reply.remaining), (true, 0), "{each:?}");
        assert_eq!(at(asked) + reply.reset, at((end, asked.1)), "{each:?}");
    };
    let noon = |month, day| date(2026, month, day).at(12, 0, 0, 0);
    let midnight = |month, day| date(2026, month, day).at(0, 0, 0, 0);
    let late = |month, day| date(2026, month, day).at(23, 59, 59, 0);
    check(Each::Months(1), (noon(10, 20), 2), (late(10, 31), 1), midnight(11, 1));
    check(Each::Months(1), (noon(3, 3), 1), (late(3, 31), 2), midnight(4, 1));
    check(Each::Months(12), (noon(2, 1), 1), (noon(7, 1), 2), midnight(12, 31) + 1.day());
    check(Each::Weeks(1), (noon(10, 20), 2), (late(10, 25), 1), midnight(10, 26));
    check(Each::Weeks(1), (noon(3, 24), 1), (late(3, 29), 2), midnight(3, 30));
    // A day of 25 hours and one of 23.
    check(Each::Days(1), (midnight(10, 25), 2), (late(10, 25), 1), midnight(10, 26));
    check(Each::Days(1), (midnight(3, 29), 1), (late(3, 29), 2), midnight(3, 30));
}

/// A new duration moves only the end of an open window.
#[test]
fn an_open_day_becomes_the_month_in_which_it_began() {
    let now = moment(date(2026, 10, 31)) + 12 * HOUR;
    let mut key = Key::default();
    key.call(now, &limit(2, Each::Days(1), 0), 1);
    let reply = key.call(now + HOUR, &limit(2, Each::Months(1), 0), 1);
    assert_eq!((reply.remaining, now + HOUR + reply.reset), (0, moment(date(2026, 11, 1))));
    let reply = key.ask(now + HOUR, &limit(3, Each::Months(3), 0), 1);
    assert_eq!((reply.remaining, now + HOUR + reply.reset), (0, moment(date(2027, 1, 1))));
}

/// It began in September, by the clock that is read now, but its quota was that of October.
#[test]
fn a_clock_set_back_by_days_opens_no_month_anew() {
    let limit = limit(1, Each::Months(1), 0);
    let october = moment(date(2026, 10, 1));
    let mut key = Key::default();
    assert!(key.call(october + HOUR, &limit, 1).is_admitted);
    for back in [1, SECOND, HOUR, 2 * HOUR] {
        let reply = key.ask(october + HOUR - back, &limit, 1);
        assert_eq!(reply.retry, Some(31 * DAY - HOUR + back), "set back by {back}");
    }
    for back in [4 * HOUR, 2 * DAY, 400 * DAY] {
        let reply = key.ask(october + HOUR - back, &limit, 1);
        assert_eq!(reply.retry, Some(31 * DAY - HOUR), "set back by {back}");
    }
}

/// The day before that is shown again is none that began by another offset.
#[test]
fn a_clock_set_back_by_hours_keeps_the_end_of_a_day() {
    let limit = limit(1, Each::Days(1), 0);
    let noon = moment(date(2026, 10, 1)) + 12 * HOUR;
    let mut key = Key::default();
    assert!(key.call(noon, &limit, 1).is_admitted);
    for back in [15 * MINUTE + 1, 5 * HOUR, 21 * HOUR, 22 * HOUR, 24 * HOUR] {
        assert_eq!(key.ask(noon - back, &limit, 1).retry, Some(12 * HOUR), "set back by {back}");
    }
}

#[test]
fn the_first_and_the_last_moment_are_in_a_window() {
    for each in [Each::Days(1), Each::Weeks(521), Each::Months(1), Each::Months(120)] {
        for zone in [-1080, 0, 1080] {
            for now in [0, 1, LAST_MOMENT] {
                let mut key = Key::default();
                let reply = key.call(now, &limit(1, each, zone), 1);
                assert!((1..=each.longest()).contains(&reply.reset), "{each:?} by {zone} at {now}: {reply:?}");
                key.ask(now, &limit(1, Each::Months(7), -zone), 1);
            }
        }
    }
}

fn arguments(line: &str) -> Result<Arguments<'_>, String> {
    // Every option but the ID, which only holders have, and they need it.
    const OPTIONS: &[CallOption] =
        &[CallOption::Aligned, CallOption::Zone, CallOption::Capacity, CallOption::Cost, CallOption::MaxWait];
    Arguments::parse(line.split(' ').map(str::as_bytes), OPTIONS).map_err(|invalid| invalid.to_string())
}

#[test]
fn zones_are_read_from_minus_18_to_plus_18_hours() {
    for (text, minutes) in [
        ("Z", 0),
        ("z", 0),
        ("+00:00", 0),
        ("-00:00", 0),
        ("+02:00", 120),
        ("-03:30", -210),
        ("+05:45", 345),
        ("+18:00", 1080),
        ("-18:00", -1080),
    ] {
        assert_eq!(Zone::parse(text.as_bytes()).map(Zone::get), Ok(minutes), "{text}");
    }
    for text in ["", "+", "02:00", "+2:00", "+02", "+0200", "+02:60", "+18:01", "-18:01", "+99:99", "+02:0a", "UTC"] {
        let error = Zone::parse(text.as_bytes()).expect_err(text).to_string();
        assert_eq!(error, "ZONE must be an offset from -18:00 to +18:00, like +02:00, or Z");
    }
    assert!(Zone::new(1081).is_err() && Zone::new(-1081).is_err() && Zone::new(i16::MIN).is_err());
}

#[test]
fn weeks_alone_follow_the_calendar_and_compounds_do_not() {
    let days = |days| Each::Days(days).period();
    for (text, period) in [
        ("1w", Each::Weeks(1).period()),
        ("521w", Each::Weeks(521).period()),
        ("7d", days(7)),
        ("1w1d", days(8)),
        ("1w0d", days(7)),
        ("1mo", Each::Months(1).period()),
        ("120mo", Each::Months(120).period()),
    ] {
        assert_eq!(Period::parse(text.as_bytes()), Ok(period), "{text}");
    }
    for text in ["0mo", "121mo", "01mo", "1mo1d", "1y", "1m1o", "1 mo", "1MO", "mo", "0w", "522w", "-1mo", "1mo "] {
        let error = Period::parse(text.as_bytes()).expect_err(text).to_string();
        assert!(error.ends_with("; FIXED with ALIGNED also takes calendar months, from 1mo to 120mo"), "{error}");
    }
}

#[test]
fn months_and_zones_need_aligned() {
    let months = "duration may be in calendar months only for FIXED with ALIGNED";
    assert_eq!(arguments("5 1mo"), Err(months.to_owned()));
    assert_eq!(arguments("5 1mo COST 2"), Err(months.to_owned()));
    assert_eq!(arguments("5 1d ZONE +02:00"), Err("ZONE may be given only with ALIGNED".to_owned()));
    assert!(arguments("5 1d MAXWAIT 1mo").is_err_and(|error| error.starts_with("MAXWAIT must be a time")));
    assert_eq!(arguments("5 1d ALIGNED ZONE Z ZONE Z"), Err("ZONE may be given only once".to_owned()));
    for line in ["5 1mo zone +02:00 aligned", "5 1mo ALIGNED ZONE +02:00", "5 1mo aligned COST 1 Zone +02:00"] {
        let window = arguments(line).map(|arguments| arguments.window());
        assert_eq!(window, Ok(limit(5, Each::Months(1), 120).window), "{line}");
    }
    let utc = arguments("5 2w ALIGNED").map(|arguments| arguments.window());
    assert_eq!(utc, Ok(limit(5, Each::Weeks(2), 0).window));
    let weeks = LimitDuration::new(Span::from_micros(14 * DAY)).unwrap();
    assert_eq!(arguments("5 2w").map(|arguments| arguments.window()), Ok(Window::FromFirstCall(weeks)));
}
