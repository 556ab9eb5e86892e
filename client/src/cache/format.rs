//! Values as they are in a server: what is read is what was written, or nothing.
//!
//! Formats that describe themselves do not tell `Some(None)` from `None`, and those that do, do not
//! notice that fields have changed places. `serde_describe` writes what serde was told, with the
//! names of the fields. It cannot read enums with an internal tag and flattened fields, which are
//! written plainly instead if that loses nothing.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_describe::SelfDescribed;

/// The first byte of a value, which JSON never begins with.
const DESCRIBED: u8 = 1;
const PLAIN: u8 = 2;

/// Returns `None` if the value could not be read again as it is.
pub(super) fn write<T: Serialize + DeserializeOwned>(value: &T) -> Option<Vec<u8>> {
    let described = describe(value)?;
    if read_described::<T>(&described).is_some() {
        return Some(with_first(DESCRIBED, &described));
    }
    let plain = rmp_serde::to_vec_named(value).ok()?;
    let same = describe(&read_plain::<T>(&plain)?)?;
    (sorted(same) == sorted(described)).then(|| with_first(PLAIN, &plain))
}

/// Returns `None` if the value was not written by [`write`], or not as this type.
pub(super) fn read<T: DeserializeOwned>(written: &[u8]) -> Option<T> {
    match written.split_first()? {
        (&DESCRIBED, described) => read_described(described),
        (&PLAIN, plain) => read_plain(plain),
        _ => None,
    }
}

fn describe(value: &impl Serialize) -> Option<Vec<u8>> {
    rmp_serde::to_vec(&SelfDescribed(value)).ok()
}

fn read_described<T: DeserializeOwned>(described: &[u8]) -> Option<T> {
    rmp_serde::from_slice(described).ok().map(|SelfDescribed(value)| value)
}

fn read_plain<T: DeserializeOwned>(plain: &[u8]) -> Option<T> {
    rmp_serde::from_slice(plain).ok()
}

fn with_first(first: u8, rest: &[u8]) -> Vec<u8> {
    [&[first], rest].concat()
}

/// Makes descriptions comparable, as the order of a hash map differs each time.
fn sorted(mut description: Vec<u8>) -> Vec<u8> {
    description.sort_unstable();
    description
}
