//! `PREMIER.ALL key algorithm quota duration [options] [AND key algorithm quota duration
//! [options]]…`: one call of several limits, charged to all of them or to none.

use std::ffi::CStr;
use std::hash::BuildHasher;
use std::sync::LazyLock;

use arrayvec::ArrayVec;
use foldhash::fast::RandomState;
use premier_algorithms::{AT_MOST, Arguments, Decision, Demand, Grant, ID, InvalidCall, Joint, Now, Outcome};
use premier_server::{
    self as server, Call, Change, Command, Docs, Effect, Effects, Error, Expiry, Flags, Key, KeyPosition, Keys,
    Parameter,
};

use super::limiter::{reply, report_limited};
use super::parameters::parameters_by_algorithm;
use crate::limiters::{self, Limiter, by_algorithm};

/// The largest number of limits of a call.
const MAX_LIMITS: usize = Effect::MAX_TOGETHER;

/// The word between two limits.
const AND: &str = "AND";

/// Replies with the decision of the binding limit, its index, and the decision of each limit alone.
#[derive(Debug)]
pub(crate) struct All;

impl Command for All {
    const NAME: &'static CStr = c"PREMIER.ALL";
    const KEYS: Keys = Keys::Found(|call| {
        // The first word, and each one after a separator.
        let (mut separators, mut is_key) = (Separators::default(), true);
        let positions = call.words().enumerate().filter_map(|(index, word)| {
            let position = is_key.then(|| KeyPosition::behind_first(index));
            is_key = separators.is_next(word);
            position
        });
        positions.collect()
    });

    const FLAGS: Flags = Flags::Write;

    fn docs() -> Docs {
        let further = Parameter::repeated(
            AND,
            "Another limit, which the call is charged to if all admit it",
            parameters_by_algorithm(),
        );
        Docs {
            summary: "Charges a call to several limits, or to none if one of them limits it",
            complexity: "O(N) where N is the number of limits; SLIDING: plus the entries in the log of the key, 66 at most; HOLD: plus the logarithm of the number of holders of the key",
            since: "0.1.0",
            tips: None,
            parameters: parameters_by_algorithm().into_iter().chain([further]).collect(),
        }
    }

    fn run(call: &Call) -> Result<(), Error> {
        let now = server::now();
        let mut limits = Limits::new();
        decide_each(call, now, &mut limits)?;
        let alone: ArrayVec<_, MAX_LIMITS> = limits.iter().map(Limit::decision).collect();
        let joint = Joint::new(&alone).ok_or(Error::WrongArity)?;
        match joint.decision.outcome {
            Outcome::Admitted { .. } => charge(call, &mut limits, now),
            Outcome::Limited { .. } => report(call, &mut limits, now),
        }
        reply_all(call, &joint, &alone);
        Ok(())
    }
}

/// A limit of the call, and its decision alone.
struct Limit<'call> {
    key: KeyPosition,
    name: Name<'call>,
    decided: AnyDecided<'call>,
}

/// The name of a key, and its hash if it is long. To compare many long names that differ only at
/// their ends with each other would block the server.
#[derive(PartialEq)]
struct Name<'call> {
    // Compared first.
    hash: Option<u64>,
    bytes: &'call [u8],
}

impl<'call> Name<'call> {
    fn new(bytes: &'call [u8]) -> Self {
        const MAX_SHORT: usize = 1_024;
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::default);
        Self { hash: (bytes.len() > MAX_SHORT).then(|| HASHER.hash_one(bytes)), bytes }
    }
}

by_algorithm!(enum AnyDecided<'call> of Decided);

struct Decided<'call, L: Limiter> {
    key: Key<'call, L>,
    grant: Grant<Change<'call, L>>,
}

/// The limits of a call, in its order. They are large: functions borrow them, as a move would copy
/// them.
type Limits<'call> = ArrayVec<Limit<'call>, MAX_LIMITS>;

/// Reads the limits of the call, and decides the call by each of them alone.
fn decide_each<'call>(call: &'call Call<'call>, now: Now, limits: &mut Limits<'call>) -> Result<(), Error> {
    let mut words = call.words();
    let words_in_call = words.len();
    let mut has_next = true;
    while has_next {
        let key = KeyPosition::behind_first(words_in_call - words.len());
        let name = Name::new(words.next().ok_or(Error::WrongArity)?);
        if limits.iter().any(|limit| limit.name == name) {
            return Err(Error::Argument("a key may be named only once".to_owned()));
        }
        if limits.is_full() {
            return Err(Error::Argument(format!("a call may have at most {MAX_LIMITS} limits")));
        }
        has_next = false;
        let mut separators = Separators::behind_key();
        let mut words_of_limit = words.by_ref().take_while(|word| {
            has_next = separators.is_next(word);
            !has_next
        });
        let algorithm = limiters::Name::parse(words_of_limit.next())?;
        let decided = by_algorithm!(algorithm, L => AnyDecided of Decided::<L>::new(call, key, now, words_of_limit)?);
        limits.push(Limit { key, name, decided });
    }
    Ok(())
}

/// Charges the call to each limit.
fn charge(call: &Call, limits: &mut Limits, now: Now) {
    let mut effects = Effects::new(call);
    for Limit { decided, .. } in limits.drain(..) {
        by_algorithm!(decided: AnyDecided, decided => decided.charge(now, &mut effects));
    }
}

/// Reports the limits that limit the call, when all keys are closed.
fn report(call: &Call, limits: &mut Limits, now: Now) {
    let mut limiting = ArrayVec::<KeyPosition, MAX_LIMITS>::new();
    for Limit { key, decided, .. } in limits.drain(..) {
        if by_algorithm!(decided: AnyDecided, decided => decided.count_if_limited()) {
            limiting.push(key);
        }
    }
    for key in limiting {
        report_limited(call, key, now);
    }
}

fn reply_all(call: &Call, joint: &Joint, alone: &[Decision<()>]) {
    let joint_reply = reply(&joint.decision);
    call.reply_array(joint_reply.len() + 2);
    for integer in joint_reply {
        call.reply_integer(integer);
    }
    call.reply_integer(joint.binding.try_into().expect("a call has few limits"));
    call.reply_array(alone.len());
    for decision in alone {
        call.reply_integers(reply(decision));
    }
}

/// Finds the words that separate limits: each AND that is neither a key nor the id of a holder.
#[derive(Default)]
struct Separators {
    /// The number of words of the limit before the next word.
    words_before: usize,
    is_id_next: bool,
}

impl Separators {
    fn behind_key() -> Self {
        Self { words_before: 1, is_id_next: false }
    }

    /// Returns whether the next word is a separator.
    #[inline]
    fn is_next(&mut self, word: &[u8]) -> bool {
        /// A key, an algorithm, a quota and a duration come before the options.
        const BEFORE_OPTIONS: usize = 4;
        let is_separator = self.words_before > 0 && !self.is_id_next && word.eq_ignore_ascii_case(AND.as_bytes());
        self.is_id_next =
            self.words_before >= BEFORE_OPTIONS && !self.is_id_next && word.eq_ignore_ascii_case(ID.name.as_bytes());
        self.words_before = if is_separator { 0 } else { self.words_before + 1 };
        is_separator
    }
}

impl Limit<'_> {
    fn decision(&self) -> Decision<()> {
        let decided = &self.decided;
        by_algorithm!(decided: AnyDecided, decided => decided.grant.decision.answer())
    }
}

impl<'call, L: Limiter> Decided<'call, L> {
    fn new(
        call: &'call Call<'call>,
        key: KeyPosition,
        now: Now,
        words: impl Iterator<Item = &'call [u8]>,
    ) -> Result<Self, Error> {
        let arguments = Arguments::parse(words, L::OPTIONS).map_err(|invalid| match invalid {
            InvalidCall::UnknownOption { .. } => Error::Argument(format!("{invalid}, or {AND} before another limit")),
            _ => invalid.into(),
        })?;
        if let Demand::AtMost(..) = arguments.demand {
            return Err(Error::Argument(format!("{} cannot be given here: a call is charged whole", AT_MOST.name)));
        }
        let key = Key::open(call, key)?;
        let grant = L::decide(key.state(), now, &arguments)?;
        Ok(Self { key, grant })
    }

    fn charge(self, now: Now, effects: &mut Effects) {
        L::counters().count(&self.grant);
        let Decision { outcome, reset, .. } = self.grant.decision;
        if let Outcome::Admitted { change, .. } = outcome {
            self.key.change_among_others(&change, Expiry::after(now, reset), effects);
        }
    }

    /// Counts the call if this limit limits it, and returns whether it does.
    fn count_if_limited(self) -> bool {
        let is_limited = matches!(self.grant.decision.outcome, Outcome::Limited { .. });
        if is_limited {
            L::counters().count(&self.grant);
        }
        is_limited
    }
}
