//! Commands that are told by which algorithm to go.

use std::iter;

use premier_algorithms::{ALGORITHM, CallOption};

use super::arguments::{self, parameter};
use crate::server::{Error, Parameter, Presence};

/// Of what there is for each algorithm, in the order of [`ALGORITHM`], that for the one which the word names.
pub(super) fn choose<T>(word: Option<&[u8]>, of: [T; 4]) -> Result<T, Error> {
    let index = ALGORITHM.index_of(word.ok_or(Error::WrongArity)?)?;
    of.into_iter().nth(index).ok_or(Error::Internal)
}

/// The arguments behind a key, as COMMAND DOCS tells them: with the options of all algorithms.
pub(super) fn parameters() -> Vec<Parameter> {
    let algorithm = parameter(&ALGORITHM, Presence::Required);
    iter::once(algorithm).chain(arguments::parameters(CallOption::ALL)).collect()
}
