//! The words of a call, separated by spaces: they are either read correctly or refused with a valid
//! error.

use std::collections::BTreeSet;

use premier_algorithms::{
    Arguments, CAPACITY, COST, Calendar, CallOption, Demand, HolderId, InvalidCall, KEEP, Peeked, Period, QUOTA, UNITS,
    Window,
};

/// Checks how the words of a call are read.
///
/// # Panics
///
/// If words are misread, or refused without a valid error.
pub fn check(text: &[u8]) {
    // Seeds end in a line break, as text files do.
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let words = || text.split(|byte| *byte == b' ');
    for word in words() {
        check_word(word);
    }
    let call = Arguments::parse(words(), CallOption::ALL);
    match Peeked::parse(words(), CallOption::ALL) {
        Ok(Peeked::Call(arguments)) => {
            check_arguments(&arguments, &words().collect::<Vec<_>>());
            // Only a preview may leave the holder out.
            let expected = arguments.holder.map_or(Err(InvalidCall::Missing(CallOption::Id)), |_| Ok(arguments));
            assert_eq!(call, expected);
        }
        Ok(Peeked::Look(_)) => check_sentence(&call.expect_err("only a preview may cost 0")),
        Err(invalid) => {
            check_sentence(&invalid);
            check_sentence(&call.expect_err("a preview was refused that would be accepted as a call"));
        }
    }
}

/// Checks that a number is accepted only as it would be printed.
fn check_word(word: &[u8]) {
    for argument in [&QUOTA, &CAPACITY, &COST, &KEEP, &UNITS] {
        if let Ok(units) = argument.units(word) {
            assert_eq!(units.to_string().as_bytes(), word);
        }
    }
}

fn check_arguments(arguments: &Arguments<'_>, words: &[&[u8]]) {
    let [quota, duration, options @ ..] = words else { panic!("too few words were accepted: {words:?}") };
    let mut expected = Expected { cost: 1, ..Expected::default() };
    let mut seen = BTreeSet::new();
    let mut rest = options.iter();
    while let Some(name) = rest.next() {
        let name = name.to_ascii_uppercase();
        assert!(seen.insert(name.clone()), "a repeated option was accepted");
        let mut value = || rest.next().expect("an option has its value");
        match &name[..] {
            b"ALIGNED" => expected.is_aligned = true,
            b"CAPACITY" => expected.capacity = Some(number(value())),
            b"ID" => expected.holder = Some(value()),
            b"COST" => expected.cost = number(value()),
            b"ATMOST" => expected.is_at_most = true,
            b"KEEP" => expected.keep = number(value()),
            b"FORCE" => expected.is_forced = true,
            b"MAXWAIT" => expected.max_wait = Some(micros(value())),
            b"ZONE" => expected.zone = Some(minutes(value())),
            _ => panic!("an unknown option was accepted: {name:?}"),
        }
    }
    assert!(expected.is_aligned || expected.zone.is_none(), "a zone was accepted without ALIGNED");
    let zone = match arguments.window() {
        Window::FromFirstCall(_) => None,
        Window::Aligned(Calendar { zone, .. }) => Some(i128::from(zone.get())),
    };
    let (is_at_most, is_forced, keep) = match arguments.demand {
        Demand::Exactly(_, keep) => (false, false, keep.get()),
        Demand::AtMost(_, keep) => (true, false, keep.get()),
        Demand::Forced(_) => (false, true, 0),
    };
    let read = Expected {
        is_aligned: zone.is_some(),
        zone: zone.filter(|minutes| *minutes != 0 || expected.zone.is_some()),
        capacity: arguments.capacity.map(|capacity| capacity.get().into()),
        holder: arguments.holder.map(HolderId::get),
        cost: arguments.demand.cost().get().into(),
        is_at_most,
        keep: keep.into(),
        is_forced,
        max_wait: arguments.max_wait.map(|wait| wait.get().as_micros().into()),
    };
    assert_eq!(read, expected);
    assert_eq!(u128::from(arguments.quota.get()), number(quota));
    check_window(&arguments.window(), duration);

    // A command without options refuses the first one.
    match (Arguments::parse(words.iter().copied(), &[]), options) {
        (Ok(alone), []) => assert_eq!(alone, *arguments),
        (Err(InvalidCall::UnknownOption { name, .. }), [first, ..]) => assert_eq!(name, *first),
        (other, _) => panic!("{other:?}"),
    }
}

/// Checks the length of a window.
fn check_window(window: &Window, duration: &[u8]) {
    let time = match window {
        Window::FromFirstCall(time) | Window::Aligned(Calendar { period: Period::Time(time), .. }) => *time,
        Window::Aligned(Calendar { period: Period::Weeks(weeks), .. }) => {
            assert!(duration.iter().filter(|byte| byte.is_ascii_alphabetic()).eq([&b'w']), "{duration:?}");
            weeks.time()
        }
        Window::Aligned(Calendar { period: Period::Months(months), .. }) => {
            let digits = duration.strip_suffix(b"mo").expect("a number of months");
            return assert_eq!(u128::from(months.get()), number(digits));
        }
    };
    assert_eq!(u128::from(time.get().as_micros()), micros(duration));
}

/// The options of a call, read independently of the parser.
#[derive(Debug, Default, PartialEq, Eq)]
struct Expected<'text> {
    is_aligned: bool,
    capacity: Option<u128>,
    holder: Option<&'text [u8]>,
    cost: u128,
    is_at_most: bool,
    keep: u128,
    is_forced: bool,
    max_wait: Option<u128>,
    zone: Option<i128>,
}

/// Reads an offset from UTC, in minutes.
fn minutes(word: &[u8]) -> i128 {
    if word.eq_ignore_ascii_case(b"Z") {
        return 0;
    }
    let (sign, digits) = word.split_at(1);
    let numbers: Vec<u128> = digits.split(|byte| *byte == b':').map(number).collect();
    let [hours, minutes] = numbers[..] else { panic!("an offset has hours and minutes: {word:?}") };
    assert!(minutes < 60 && hours * 60 + minutes <= 18 * 60, "{word:?}");
    let minutes = i128::try_from(hours * 60 + minutes).expect("it is small");
    if sign == b"-" { -minutes } else { minutes }
}

fn number(word: &[u8]) -> u128 {
    str::from_utf8(word).expect("digits").parse().expect("a number")
}

/// Reads a time: numbers with units, or one number without.
fn micros(word: &[u8]) -> u128 {
    let mut sum = 0;
    let mut rest = word;
    while !rest.is_empty() {
        let (value, behind) = rest.split_at(rest.iter().take_while(|byte| byte.is_ascii_digit()).count());
        let (unit, behind) = behind.split_at(behind.iter().take_while(|byte| !byte.is_ascii_digit()).count());
        let factor = match unit {
            b"us" => 1,
            b"ms" => 1_000,
            b"s" => 1_000_000,
            b"m" => 60 * 1_000_000,
            b"h" => 60 * 60 * 1_000_000,
            b"d" => 24 * 60 * 60 * 1_000_000,
            b"w" => 7 * 24 * 60 * 60 * 1_000_000,
            b"" => {
                assert!(value == word && number(word) <= 366 * 24 * 60 * 60, "a unit is missing: {word:?}");
                1_000_000
            }
            _ => panic!("an unknown unit was accepted: {unit:?}"),
        };
        sum += number(value) * factor;
        rest = behind;
    }
    sum
}

/// Checks that an error fits into one line of a reply.
fn check_sentence(invalid: &InvalidCall) {
    let sentence = invalid.to_string();
    assert!(!sentence.is_empty() && sentence.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{sentence:?}");
    assert!(sentence.len() < 300, "{sentence:?}");
}
