//! Arguments are read as documented and are always in bounds. Errors name the argument and say what
//! is allowed.

use core::fmt::Debug;

use premier_algorithms::{
    ALGORITHM, ALIGNED, Argument, CAPACITY, COST, Capacity, Cost, DURATION, FORCE, HolderId, ID, InvalidArgument,
    LimitDuration, MAX_WAIT, MaxWait, QUOTA, Quota, Span, UNITS, Values,
};
use proptest::prelude::*;

const MAX_UNITS: u64 = 1_000_000_000_000;
const MAX_TIME: u64 = 3650 * 24 * 60 * 60 * 1_000_000;

fn micros<E>(time: Result<LimitDuration, E>) -> Option<u64> {
    time.ok().map(|time| time.get().as_micros())
}

/// Texts that no argument allows.
const NONSENSE: [&[u8]; 23] = [
    b"",
    b" ",
    b"+1",
    b"-1",
    b"-0",
    b" 1",
    b"1 ",
    b"1\n",
    b"01",
    b"00",
    b"1.0",
    b"1,000",
    b"1_000",
    b"1e3",
    b"0x10",
    b"one",
    b"1\0",
    b"\xff",
    "١".as_bytes(),
    "１".as_bytes(),
    b"18446744073709551616",
    b"18446744073709551621", // 5 in 64 bits
    b"99999999999999999999999999999999999999999",
];

fn accepts_no_nonsense<T: Debug>(parse: impl Fn(&[u8]) -> Result<T, InvalidArgument>, argument: &Argument) {
    for text in NONSENSE {
        let error = parse(text).expect_err(&String::from_utf8_lossy(text));
        assert_eq!(error.argument(), argument);
    }
}

#[test]
fn nonsense_is_an_error_that_names_the_argument() {
    accepts_no_nonsense(Quota::parse, &QUOTA);
    accepts_no_nonsense(Capacity::parse, &CAPACITY);
    accepts_no_nonsense(Cost::parse, &COST);
    accepts_no_nonsense(LimitDuration::parse, &DURATION);
    accepts_no_nonsense(MaxWait::parse, &MAX_WAIT);
}

#[test]
fn a_time_is_a_number_with_a_known_unit_and_nothing_else() {
    for text in ["s", "ms", "d", "1000S", "1000Ms", "1min", "1y", "1 s", "1s ", "1ss", "1s1", "1.5s", "01s", "1000µs"]
    {
        assert_eq!(micros(LimitDuration::parse(text.as_bytes())), None, "{text}");
    }
}

#[test]
fn units_come_longest_first_and_each_once() {
    for text in ["1s1m", "1m1m", "1m1s1m", "1m01s", "1m 1s", "1m+1s", "1m1", "1m1S", "1mm1s", "m1s"] {
        assert_eq!(micros(LimitDuration::parse(text.as_bytes())), None, "{text}");
    }
}

/// A longer one is most often a time in milliseconds or nanoseconds.
#[test]
fn a_time_without_a_unit_is_at_most_366_days() {
    assert_eq!(micros(LimitDuration::parse(b"31622400")), Some(366 * 86_400_000_000));
    for argument in [&DURATION, &MAX_WAIT] {
        assert!(argument.rule.contains(" or whole seconds up to 31622400"));
    }
    for text in ["31622401", "60000000", "60000000000"] {
        assert_eq!(LimitDuration::parse(text.as_bytes()), Err(DURATION.invalid()), "{text}");
        assert_eq!(MaxWait::parse(text.as_bytes()), Err(MAX_WAIT.invalid()), "{text}");
        assert_eq!(
            LimitDuration::parse(format!("{text}s").as_bytes()).is_ok(),
            text == "31622401" || text == "60000000",
            "{text}s"
        );
    }
}

#[test]
fn units_are_limited_to_the_documented_range() {
    for (units, is_quota, is_count) in [
        (0, true, false),
        (1, true, true),
        (MAX_UNITS, true, true),
        (MAX_UNITS + 1, false, false),
        (u64::MAX, false, false),
    ] {
        let text = units.to_string();
        assert_eq!(Quota::new(units).map(Quota::get).ok(), is_quota.then_some(units));
        assert_eq!(Quota::parse(text.as_bytes()), Quota::new(units));
        assert_eq!(Capacity::new(units).map(Capacity::get).ok(), is_count.then_some(units));
        assert_eq!(Capacity::parse(text.as_bytes()), Capacity::new(units));
        assert_eq!(Cost::new(units).map(Cost::get).ok(), is_count.then_some(units));
        assert_eq!(Cost::parse(text.as_bytes()), Cost::new(units));
    }
    assert_eq!(Cost::ONE.get(), 1);
}

/// All arguments that take units, with their lowest and highest number.
const NUMBERS: [(&Argument, u64, u64); 4] =
    [(&QUOTA, 0, MAX_UNITS), (&CAPACITY, 1, MAX_UNITS), (&COST, 1, MAX_UNITS), (&UNITS, 1, MAX_UNITS)];

#[test]
fn each_number_is_limited_to_the_range_in_its_rule() {
    for (argument, min, max) in NUMBERS {
        assert_eq!(argument.values, Values::Units { min, max });
        assert_eq!(argument.rule, format!("{} must be an integer from {min} to {max}", argument.name));
        for units in [0, 1, min, min + 1, max / 2, max - 1, max, max + 1, 2 * MAX_UNITS, u64::MAX] {
            let read = argument.units(units.to_string().as_bytes());
            if (min..=max).contains(&units) {
                assert_eq!(read, Ok(units), "{}", argument.name);
            } else {
                assert_eq!(read.map_err(|error| error.rule()), Err(argument.rule), "{units}");
            }
        }
        accepts_no_nonsense(|text| argument.units(text), argument);
    }
}

#[test]
fn only_arguments_that_take_units_read_units() {
    for argument in [&DURATION, &MAX_WAIT, &ALGORITHM, &ALIGNED, &FORCE, &ID] {
        for text in ["0", "1", "1000", "1000000"] {
            assert_eq!(argument.units(text.as_bytes()).map_err(|error| error.rule()), Err(argument.rule));
        }
    }
}

#[test]
fn a_holder_is_named_by_1_to_128_bytes_of_any_kind() {
    let id = [b'\n'; 129];
    for (len, is_id) in [(0, false), (1, true), (16, true), (128, true), (129, false)] {
        assert_eq!(HolderId::new(&id[..len]).map(HolderId::get).ok(), is_id.then_some(&id[..len]));
    }
    assert_eq!(HolderId::new(b"AND").map(HolderId::get), Ok(b"AND".as_slice()));
    assert_eq!(HolderId::new(b"").unwrap_err().to_string(), "ID must be a string of 1 to 128 bytes");
    assert_eq!(ID.values, Values::Bytes { min: 1, max: 128 });
}

#[test]
fn times_are_limited_to_the_documented_range() {
    for (time, is_duration, is_wait) in [
        (0, false, true),
        (1, false, true),
        (999, false, true),
        (1_000, true, true),
        (MAX_TIME, true, true),
        (MAX_TIME + 1, false, false),
        (u64::MAX, false, false),
    ] {
        let text = format!("{time}us");
        let span = Span::from_micros(time);
        assert_eq!(LimitDuration::new(span).map(LimitDuration::get).ok(), is_duration.then_some(span));
        assert_eq!(LimitDuration::parse(text.as_bytes()), LimitDuration::new(span));
        assert_eq!(MaxWait::new(span).map(MaxWait::get).ok(), is_wait.then_some(span));
        assert_eq!(MaxWait::parse(text.as_bytes()), MaxWait::new(span));
    }
}

#[test]
fn a_time_is_whole_seconds_or_has_a_unit() {
    for (text, expected) in [
        ("60", 60_000_000),
        ("1000us", 1_000),
        ("1ms", 1_000),
        ("500ms", 500_000),
        ("1s", 1_000_000),
        ("2m", 120_000_000),
        ("1h", 3_600_000_000),
        ("1d", 86_400_000_000),
        ("3650d", MAX_TIME),
        ("87600h", MAX_TIME),
        ("315360000s", MAX_TIME),
        ("1w", 604_800_000_000),
        ("521w3d", MAX_TIME),
        ("1m30s", 90_000_000),
        ("1w2d3h4m5s6ms7us", 788_645_006_007),
        ("1h0m0s", 3_600_000_000),
    ] {
        assert_eq!(micros(LimitDuration::parse(text.as_bytes())), Some(expected), "{text}");
    }
    for text in ["3651d", "87601h", "522w", "521w3d1us", "315360001s", "0", "0s", "0d", "999us"] {
        assert_eq!(micros(LimitDuration::parse(text.as_bytes())), None, "{text}");
    }
    for text in ["0", "0us", "0ms", "0s", "0m", "0h", "0d"] {
        assert_eq!(MaxWait::parse(text.as_bytes()).map(MaxWait::get), Ok(Span::ZERO), "{text}");
    }
}

#[test]
fn a_time_that_overflows_is_too_long() {
    // Each would be in bounds if it were cut to 64 bits.
    for text in ["18446744073710", "18446744073709552s", "5124095576030432h", "213503982334602d"] {
        assert_eq!(micros(LimitDuration::parse(text.as_bytes())), None, "{text}");
        assert!(MaxWait::parse(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn errors_name_the_argument_and_what_is_allowed() {
    let time = "integers with units, longest first (w, d, h, m, s, ms, us; 1m30s), or whole seconds up to 31622400";
    for (error, expected) in [
        (Quota::parse(b"x").unwrap_err(), "quota must be an integer from 0 to 1000000000000".to_owned()),
        (Capacity::parse(b"0").unwrap_err(), "CAPACITY must be an integer from 1 to 1000000000000".to_owned()),
        (Cost::new(0).unwrap_err(), "COST must be an integer from 1 to 1000000000000".to_owned()),
        (
            LimitDuration::parse(b"0").unwrap_err(),
            format!(
                "duration must be a time from 1ms to 3650d: {time}; FIXED with ALIGNED also takes calendar months, \
                 from 1mo to 120mo"
            ),
        ),
        (MaxWait::parse(b"-1").unwrap_err(), format!("MAXWAIT must be a time from 0 to 3650d: {time}")),
    ] {
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn each_argument_has_a_summary_and_its_bounds() {
    for argument in [&QUOTA, &DURATION, &CAPACITY, &COST, &MAX_WAIT, &ID] {
        assert!(!argument.summary.is_empty());
    }
    assert_eq!(QUOTA.values, Values::Units { min: 0, max: MAX_UNITS });
    assert_eq!(CAPACITY.values, Values::Units { min: 1, max: MAX_UNITS });
    assert_eq!(COST.values, CAPACITY.values);
    let max = Span::from_micros(MAX_TIME);
    assert_eq!(DURATION.values, Values::Time { min: Span::from_micros(1_000), max, max_months: 120 });
    assert_eq!(MAX_WAIT.values, Values::Time { min: Span::ZERO, max, max_months: 0 });
    assert_eq!(LimitDuration::MAX.get(), max);
}

proptest! {
    #[test]
    fn a_printed_time_reads_as_the_same_time(
        time in prop_oneof![0..=MAX_TIME, (0..=3650_u64).prop_map(|days| days * 86_400_000_000)]
    ) {
        let span = Span::from_micros(time);
        prop_assert_eq!(MaxWait::parse(span.to_string().as_bytes()).map(MaxWait::get), Ok(span));
    }

    #[test]
    fn any_bytes_are_read_or_refused(text in "([0-9]{0,25}(us|ms|s|m|h|d|w|\\PC)?){0,3}|.*") {
        let number = |text: &str| (text == "0" || !text.starts_with('0')).then(|| text.parse::<u64>().ok()).flatten();
        let digits_only = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let units = Some(text.as_str()).filter(|text| digits_only(text)).and_then(number);
        prop_assert_eq!(Quota::parse(text.as_bytes()).ok().map(Quota::get), units.filter(|units| *units <= MAX_UNITS));
    }
}
