//! `PREMIER.TOP [count | RESET]`: which keys were limited most of late on this node.

use std::cell::RefCell;
use std::ffi::CStr;
use std::sync::atomic::{AtomicU32, Ordering};

use premier_algorithms::sketch::{HALF_LIFE, Sketch};
use premier_algorithms::{Argument, Now, Timestamp, argument};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::arguments::parameter;
use crate::server::{self, Call, Command, Error, Flags, Info, KeyPosition, Keys, Parameter, ParameterKind, Presence};
use crate::settings::TOP_KEYS;

static COUNT: Argument = argument!("count", "How many keys to answer", units from 1 to 256);

const RESET: &str = "RESET";

/// So many limited calls of each half-life are counted one by one. Of those beyond, one in [`SAMPLE`] is, for as many.
const EXACT_CALLS: u32 = 1_000;
const SAMPLE: u32 = 8;

/// How many limited calls are left out before the next is counted. Only the main thread changes it.
static LEFT_OUT: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// Of the main thread, on which all commands run.
    static LIMITED: RefCell<Option<Limited>> = const { RefCell::new(None) };
}

/// What is known of limited calls.
#[derive(Debug)]
struct Limited {
    sketch: Sketch,
    /// When the exact calls began, and how many are to come.
    exact_since: Timestamp,
    exact_calls: u32,
    random: SmallRng,
}

impl Limited {
    #[cold]
    fn new() -> Self {
        Self {
            sketch: Sketch::default(),
            exact_since: Timestamp::default(),
            exact_calls: 0,
            random: SmallRng::seed_from_u64(0),
        }
    }

    /// Counts a call, and answers how many to leave out: at random, as calls that alternate would always be left out otherwise.
    fn count(&mut self, key: &[u8], now: Timestamp) -> u32 {
        if now.since(self.exact_since) >= HALF_LIFE {
            (self.exact_since, self.exact_calls) = (now, EXACT_CALLS);
        }
        if self.exact_calls > 0 {
            self.exact_calls -= 1;
            self.sketch.count(key, now, 1);
            return 0;
        }
        self.sketch.count(key, now, SAMPLE);
        self.random.random_range(0..=2 * (SAMPLE - 1))
    }
}

/// A call was limited by this key.
#[inline]
pub(super) fn count(call: &Call, key: KeyPosition, now: Now) {
    match LEFT_OUT.load(Ordering::Relaxed) {
        0 => count_now(call.word(key), now),
        more => LEFT_OUT.store(more - 1, Ordering::Relaxed),
    }
}

#[inline(never)]
fn count_now(key: &[u8], now: Now) {
    if TOP_KEYS.get() > 0 {
        let left_out = LIMITED.with_borrow_mut(|limited| limited.get_or_insert_with(Limited::new).count(key, now.at()));
        LEFT_OUT.store(left_out, Ordering::Relaxed);
    }
}

/// Answers pairs of a key and how often it was limited, the highest first; or forgets them.
#[derive(Debug)]
pub(crate) struct Top;

impl Command for Top {
    const NAME: &'static CStr = c"PREMIER.TOP";
    const KEYS: Keys = Keys::None;

    fn info() -> Info {
        let reset = Parameter {
            name: RESET,
            summary: "Forgets what was counted".to_owned(),
            kind: ParameterKind::Nothing,
            presence: Presence::Required,
        };
        let choice = Parameter {
            name: "what",
            summary: "How many keys to answer, or to forget them; as many as premier.top-keys by default".to_owned(),
            kind: ParameterKind::OneOf(vec![parameter(&COUNT, Presence::Required), reset]),
            presence: Presence::Optional,
        };
        Info {
            summary: "Answers the keys that were limited most of late on this node, and how often",
            complexity: "O(N*log(N)) where N is the number of keys that are counted, 1024 at most",
            since: "0.1.0",
            flags: Flags::Operator,
            parameters: vec![choice],
        }
    }

    fn run(call: &Call) -> Result<(), Error> {
        let mut words = call.words();
        let (word, None) = (words.next(), words.next()) else { return Err(Error::WrongArity) };
        if word.is_some_and(|word| word.eq_ignore_ascii_case(RESET.as_bytes())) {
            LIMITED.set(None);
            LEFT_OUT.store(0, Ordering::Relaxed);
            call.reply_ok();
            return Ok(());
        }
        let len = match word {
            Some(word) => {
                COUNT.units(word).map_err(|invalid| Error::Argument(format!("{invalid}, or {RESET} in its place")))?
            }
            None => u64::MAX,
        };
        let len = len.min(TOP_KEYS.get().into());
        LIMITED.with_borrow_mut(|limited| reply(call, limited.as_mut(), len));
        Ok(())
    }
}

fn reply(call: &Call, limited: Option<&mut Limited>, len: u64) {
    let len = usize::try_from(len).expect("premier.top-keys is small");
    let keys = limited.map_or(Vec::new(), |limited| limited.sketch.highest(server::now().at(), len));
    call.reply_array(keys.len());
    for (key, count) in keys {
        call.reply_array(2);
        call.reply_bytes(key);
        call.reply_integer(count.into());
    }
}
