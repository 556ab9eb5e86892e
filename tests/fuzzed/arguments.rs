//! The words of a call, separated by spaces: they are either read correctly or refused with a valid
//! error.

use std::collections::BTreeSet;

use premier_algorithms::{
    Arguments, CAPACITY, COST, CallOption, Demand, HolderId, InvalidCall, KEEP, Peeked, QUOTA, UNITS, WindowStart,
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
    for options in [CallOption::ALL, OF_RATES] {
        match Arguments::parse(words(), options) {
            Ok(arguments) => {
                check_arguments(&arguments, &words().collect::<Vec<_>>());
                assert_eq!(Peeked::parse(words(), options), Ok(Peeked::Call(arguments)));
            }
            Err(invalid) => {
                check_sentence(&invalid);
                if let Ok(Peeked::Call(arguments)) = Peeked::parse(words(), options) {
                    let needs_id = options.contains(&CallOption::Id) && arguments.holder.is_none();
                    assert!(needs_id, "a preview may have a cost of 0 and no id: {arguments:?}");
                }
            }
        }
    }
}

/// The options of calls that need no id.
const OF_RATES: &[CallOption] = &[
    CallOption::Aligned,
    CallOption::Capacity,
    CallOption::Cost,
    CallOption::AtMost,
    CallOption::Keep,
    CallOption::MaxWait,
    CallOption::Force,
];

/// Checks that a number is accepted only as it would be printed.
fn check_word(word: &[u8]) {
    for argument in [&QUOTA, &CAPACITY, &COST, &KEEP, &UNITS] {
        if let Ok(units) = argument.units(word) {
            assert_eq!(units.to_string().as_bytes(), word);
        }
    }
}

fn check_arguments(arguments: &Arguments, words: &[&[u8]]) {
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
            b"ID" => expected.id = Some(value()),
            b"CAPACITY" => expected.capacity = Some(number(value())),
            b"COST" => expected.cost = number(value()),
            b"ATMOST" => expected.is_at_most = true,
            b"KEEP" => expected.keep = number(value()),
            b"FORCE" => expected.is_forced = true,
            b"MAXWAIT" => expected.max_wait = Some(micros(value())),
            _ => panic!("an unknown option was accepted: {name:?}"),
        }
    }
    let (is_at_most, is_forced, keep) = match arguments.demand {
        Demand::Exactly(_, keep) => (false, false, keep.get()),
        Demand::AtMost(_, keep) => (true, false, keep.get()),
        Demand::Forced(_) => (false, true, 0),
    };
    let read = Expected {
        is_aligned: arguments.start == WindowStart::Aligned,
        id: arguments.holder.map(HolderId::get),
        capacity: arguments.capacity.map(|capacity| capacity.get().into()),
        cost: arguments.demand.cost().get().into(),
        is_at_most,
        keep: keep.into(),
        is_forced,
        max_wait: arguments.max_wait.map(|wait| wait.get().as_micros().into()),
    };
    assert_eq!(read, expected);
    assert!(expected.id.is_none_or(|id| (1..=128).contains(&id.len())), "an invalid id was accepted");
    assert_eq!(u128::from(arguments.quota.get()), number(quota));
    assert_eq!(u128::from(arguments.duration.get().as_micros()), micros(duration));

    // A command without options refuses the first one.
    match (Arguments::parse(words.iter().copied(), &[]), options) {
        (Ok(alone), []) => assert_eq!(alone, *arguments),
        (Err(InvalidCall::UnknownOption { name, .. }), [first, ..]) => assert_eq!(name, *first),
        (other, _) => panic!("{other:?}"),
    }
}

/// The options of a call, read independently of the parser.
#[derive(Debug, Default, PartialEq, Eq)]
struct Expected<'words> {
    is_aligned: bool,
    id: Option<&'words [u8]>,
    capacity: Option<u128>,
    cost: u128,
    is_at_most: bool,
    keep: u128,
    is_forced: bool,
    max_wait: Option<u128>,
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
