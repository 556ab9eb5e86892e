//! `PREMIER.ALL key algorithm quota duration [option value]… [AND key algorithm quota duration [option value]…]…`: one call of
//! several limits, charged to all of them or to none.

use std::ffi::CStr;

use premier_algorithms::{Decision, Fixed, Joint, Leaky, Now, Outcome, Sliding, State, Token};

use super::algorithm::{choose, parameters};
use super::arguments::Arguments;
use super::throttle::{Limiter, decide, reply, tell_limited};
use crate::effect::Expiry;
use crate::server::{self, Call, Command, Error, Flags, Info, Key, KeyPosition, Keys, Parameter, Writing};

/// How many limits a call may have.
const MAX_LIMITS: usize = 16;

/// Stands between two limits.
const AND: &str = "AND";

/// Answers what the binding limit does, which one it is, and what each limit would answer alone.
#[derive(Debug)]
pub(crate) struct All;

impl Command for All {
    const NAME: &'static CStr = c"PREMIER.ALL";
    const KEYS: Keys = Keys::Found(|call| {
        let words: Vec<_> = call.words().collect();
        limits(&words).map(|(key, _)| key).collect()
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
        let words: Vec<_> = call.words().collect();
        let limits: Vec<_> = limits(&words).collect();
        if limits.len() > MAX_LIMITS {
            return Err(Error::Argument(format!("one call may have up to {MAX_LIMITS} limits")));
        }
        for (index, (_, limit)) in limits.iter().enumerate() {
            if limits[..index].iter().any(|(_, other)| other.first() == limit.first()) {
                return Err(Error::Argument("a key may be named once only".to_owned()));
            }
        }
        let now = server::now();
        let charges = limits.into_iter().map(|(key, limit)| {
            let mut words = limit.iter().skip(1).copied();
            let charges = [charge::<Fixed>, charge::<Sliding>, charge::<Token>, charge::<Leaky>];
            let charge = choose(words.next(), charges)?;
            charge(call, key, now, &mut words)
        });
        let charges: Vec<Box<dyn Charge>> = charges.collect::<Result<_, _>>()?;

        let answers: Vec<_> = charges.iter().map(|charge| charge.answer()).collect();
        let Joint { decision, binding } = Joint::new(&answers).ok_or(Error::WrongArity)?;
        match decision.outcome {
            Outcome::Admitted { .. } => charges.into_iter().for_each(Charge::make),
            Outcome::Limited { .. } => charges.iter().for_each(|charge| charge.count_if_limited()),
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

/// The words of each limit, the key first, and where that stands.
fn limits<'words, 'text>(words: &'words [&'text [u8]]) -> impl Iterator<Item = (KeyPosition, &'words [&'text [u8]])> {
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let first = next?;
        let rest = &words[first..];
        // A key may be of this name.
        let and = rest.iter().skip(1).position(|word| word.eq_ignore_ascii_case(AND.as_bytes())).map(|and| and + 1);
        next = and.map(|and| first + and + 1);
        Some((KeyPosition::behind_first(first), &rest[..and.unwrap_or(rest.len())]))
    })
}

/// What the call would be charged to a limit.
trait Charge {
    /// What the limit answers alone.
    fn answer(&self) -> Decision<()>;

    fn make(self: Box<Self>);

    /// The call is not charged. INFO says which limits were to blame.
    fn count_if_limited(&self);
}

struct Decided<'call, L: Limiter> {
    key: Key<'call, L, Writing>,
    now: Now,
    decision: Decision<<L::State as State>::Change>,
    units: u64,
}

fn charge<'call, L: Limiter>(
    call: &'call Call<'call>,
    key: KeyPosition,
    now: Now,
    words: &mut dyn Iterator<Item = &[u8]>,
) -> Result<Box<dyn Charge + 'call>, Error> {
    let arguments = Arguments::parse(words, L::OPTIONS)?;
    let key = call.open_key::<L, Writing>(key)?;
    let decision = decide::<L>(key.state(), now, &arguments);
    Ok(Box::new(Decided { key, now, decision, units: arguments.cost.get() }))
}

impl<L: Limiter> Charge for Decided<'_, L> {
    fn answer(&self) -> Decision<()> {
        self.decision.answer()
    }

    fn make(self: Box<Self>) {
        let Self { key, now, decision, units } = *self;
        L::counters().count(&decision, units);
        if let Outcome::Admitted { change, .. } = decision.outcome {
            key.change(change, Expiry::after(now, decision.reset));
        }
    }

    fn count_if_limited(&self) {
        if let Outcome::Limited { .. } = self.decision.outcome {
            L::counters().count(&self.decision, self.units);
            tell_limited(&self.key, self.now);
        }
    }
}
