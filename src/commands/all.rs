//! `PREMIER.ALL key algorithm quota duration [option value]… [AND key algorithm quota duration [option value]…]…`: one call of
//! several limits, charged to all of them or to none.

use std::ffi::CStr;

use arrayvec::ArrayVec;
use premier_algorithms::{Arguments, Decision, Fixed, Joint, Leaky, Now, Outcome, Sliding, State, Token};

use super::algorithm::{choose, parameters};
use super::throttle::{Limiter, decide, reply, tell_limited};
use crate::effect::{Effect, Expiry};
use crate::server::{self, Call, Command, Effects, Error, Flags, Info, Key, KeyPosition, Keys, Parameter, Writing};

/// How many limits a call may have.
const MAX_LIMITS: usize = Effect::MAX_TOGETHER;

/// Stands between two limits.
const AND: &str = "AND";

/// Answers what the binding limit does, which one it is, and what each limit would answer alone.
#[derive(Debug)]
pub(crate) struct All;

impl Command for All {
    const NAME: &'static CStr = c"PREMIER.ALL";
    const KEYS: Keys = Keys::Found(|call| {
        // The first word, and each behind an AND. A key may be of this name.
        let mut is_key = true;
        let positions = call.words().enumerate().filter_map(|(index, word)| {
            let position = is_key.then(|| KeyPosition::behind_first(index));
            is_key = !is_key && is_and(word);
            position
        });
        positions.collect()
    });

    fn info() -> Info {
        let further =
            Parameter::repeated(AND, "Another limit, which the call is charged to if all admit it", parameters());
        Info {
            summary: "Charges a call to several limits, or to none if one of them limits it",
            complexity: "O(N) where N is the number of limits; SLIDING: plus the entries in the log of the key, 66 at most",
            since: "0.1.0",
            flags: Flags::Write,
            parameters: parameters().into_iter().chain([further]).collect(),
        }
    }

    fn run(call: &Call) -> Result<(), Error> {
        let now = server::now();
        let mut keys = Few::<(KeyPosition, &[u8])>::new();
        let mut charges = Few::<Charge>::new();
        let mut answers = Few::<Decision<()>>::new();
        let mut words = call.words();
        let words_in_call = words.len();
        let mut goes_on = true;
        while goes_on {
            let position = KeyPosition::behind_first(words_in_call - words.len());
            let name = words.next().ok_or(Error::WrongArity)?;
            if keys.iter().any(|(_, other)| *other == name) {
                return Err(Error::Argument("a key may be named once only".to_owned()));
            }
            keys.try_push((position, name))
                .map_err(|_| Error::Argument(format!("one call may have up to {MAX_LIMITS} limits")))?;

            goes_on = false;
            let mut limit = words.by_ref().take_while(|word| {
                goes_on = is_and(word);
                !goes_on
            });
            let algorithm = choose(limit.next(), [Name::Fixed, Name::Sliding, Name::Token, Name::Leaky])?;
            let charge = match algorithm {
                Name::Fixed => Charge::Fixed(Decided::new(call, position, now, &mut limit)?),
                Name::Sliding => Charge::Sliding(Decided::new(call, position, now, &mut limit)?),
                Name::Token => Charge::Token(Decided::new(call, position, now, &mut limit)?),
                Name::Leaky => Charge::Leaky(Decided::new(call, position, now, &mut limit)?),
            };
            answers.push(charge.answer());
            charges.push(charge);
        }

        let Joint { decision, binding } = Joint::new(&answers).ok_or(Error::WrongArity)?;
        match decision.outcome {
            Outcome::Admitted { .. } => {
                let mut effects = Effects::new(call);
                charges.drain(..).for_each(|charge| charge.make(now, &mut effects));
            }
            Outcome::Limited { .. } => {
                charges.drain(..).for_each(Charge::count_if_limited);
                for ((key, _), answer) in keys.iter().zip(&answers) {
                    if let Outcome::Limited { .. } = answer.outcome {
                        tell_limited(call, *key, now);
                    }
                }
            }
        }
        let joint = reply(&decision);
        call.reply_array(joint.len() + 2);
        for integer in joint {
            call.reply_integer(integer);
        }
        call.reply_integer(binding.try_into().expect("there are few"));
        call.reply_array(answers.len());
        for answer in &answers {
            call.reply_integers(reply(answer));
        }
        Ok(())
    }
}

/// One for each limit.
type Few<T> = ArrayVec<T, MAX_LIMITS>;

#[derive(Clone, Copy)]
enum Name {
    Fixed,
    Sliding,
    Token,
    Leaky,
}

fn is_and(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(AND.as_bytes())
}

/// What the call would be charged to a limit.
enum Charge<'call> {
    Fixed(Decided<'call, Fixed>),
    Sliding(Decided<'call, Sliding>),
    Token(Decided<'call, Token>),
    Leaky(Decided<'call, Leaky>),
}

impl Charge<'_> {
    /// What the limit answers alone.
    fn answer(&self) -> Decision<()> {
        match self {
            Self::Fixed(decided) => decided.decision.answer(),
            Self::Sliding(decided) => decided.decision.answer(),
            Self::Token(decided) => decided.decision.answer(),
            Self::Leaky(decided) => decided.decision.answer(),
        }
    }

    fn make(self, now: Now, effects: &mut Effects) {
        match self {
            Self::Fixed(decided) => decided.make(now, effects),
            Self::Sliding(decided) => decided.make(now, effects),
            Self::Token(decided) => decided.make(now, effects),
            Self::Leaky(decided) => decided.make(now, effects),
        }
    }

    /// The call is not charged. INFO says which limits were to blame.
    fn count_if_limited(self) {
        match self {
            Self::Fixed(decided) => decided.count_if_limited(),
            Self::Sliding(decided) => decided.count_if_limited(),
            Self::Token(decided) => decided.count_if_limited(),
            Self::Leaky(decided) => decided.count_if_limited(),
        }
    }
}

struct Decided<'call, L: Limiter> {
    key: Key<'call, L, Writing>,
    decision: Decision<<L::State as State>::Change>,
    units: u64,
}

impl<'call, L: Limiter> Decided<'call, L> {
    fn new<'words>(
        call: &'call Call<'call>,
        key: KeyPosition,
        now: Now,
        words: &mut impl Iterator<Item = &'words [u8]>,
    ) -> Result<Self, Error> {
        let arguments = Arguments::parse(words, L::OPTIONS)?;
        let key = call.open_key::<L, Writing>(key)?;
        let decision = decide::<L>(key.state(), now, &arguments);
        Ok(Self { key, decision, units: arguments.cost.get() })
    }

    fn make(self, now: Now, effects: &mut Effects) {
        L::counters().count(&self.decision, self.units);
        if let Outcome::Admitted { change, .. } = self.decision.outcome {
            self.key.change_among_others(change, Expiry::after(now, self.decision.reset), effects);
        }
    }

    fn count_if_limited(self) {
        if let Outcome::Limited { .. } = self.decision.outcome {
            L::counters().count(&self.decision, self.units);
        }
    }
}
