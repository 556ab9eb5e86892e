//! Values as they are in a server: what is read has the form of what was written, or is not stored.
//!
//! Formats that describe themselves do not tell `Some(None)` from `None`, and those that do, do not
//! notice that fields have changed places. `serde_describe` writes what serde was told, with the
//! names of the fields. It cannot read enums with an internal tag and flattened fields, which are
//! written plainly instead if that loses nothing. An untagged enum may read one variant as another;
//! such a value is not stored at all.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_describe::SelfDescribed;

use super::form;

/// The first byte of a value, which JSON never begins with.
const DESCRIBED: u8 = 1;
const PLAIN: u8 = 2;

/// Returns `None` if the value could not be read again as it is.
pub(super) fn write<T: Serialize + DeserializeOwned>(value: &T) -> Option<Vec<u8>> {
    let form = form::of(value).ok()?;
    let is_as_before = |read: Option<T>| read.and_then(|read| form::of(&read).ok()).is_some_and(|read| read == form);
    if let Ok(described) = rmp_serde::to_vec(&SelfDescribed(value))
        && is_as_before(read_described(&described))
    {
        return Some(with_first(DESCRIBED, &described));
    }
    let plain = rmp_serde::to_vec_named(value).ok()?;
    is_as_before(read_plain(&plain)).then(|| with_first(PLAIN, &plain))
}

/// Returns `None` if the value was not written by [`write`], or not as this type.
pub(super) fn read<T: DeserializeOwned>(written: &[u8]) -> Option<T> {
    match written.split_first()? {
        (&DESCRIBED, described) => read_described(described),
        (&PLAIN, plain) => read_plain(plain),
        _ => None,
    }
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
