//! `PREMIER.TOP [count | RESET]`: the keys that were limited most in the last minutes, on this
//! node.

use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::ffi::CStr;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, Ordering};

use premier_algorithms::sketch::{HALF_LIFE, Sketch};
use premier_algorithms::{Argument, Now, Timestamp, argument};
use premier_server::{
    self as server, Call, Command, Docs, Error, Flags, KeyPosition, Keys, Parameter, ParameterKind, Presence,
};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::parameters::parameter;
use crate::settings::TOP_KEYS;

static COUNT: Argument = argument!("count", "How many keys to list", units from 1 to 256);

const RESET: &str = "RESET";

/// In each half-life, the first limited calls are counted one by one. Of those after them, one in
/// [`SAMPLE`] counts for [`SAMPLE`].
const EXACT_CALLS: u32 = 1_000;
const SAMPLE: u32 = 8;

/// The number of limited calls to skip before the next one is counted. Only the main thread changes
/// it.
static TO_SKIP: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// The counts of the main thread, which runs all commands.
    static LIMITED: RefCell<Option<Limited>> = const { RefCell::new(None) };
}

/// The counts of limited calls.
#[derive(Debug)]
struct Limited {
    sketch: Sketch,
    /// When counting one by one began, and for how many more calls it goes on.
    exact_since: Timestamp,
    exact_calls: u32,
    /// Seeded at random, so that no caller can foresee which calls are skipped.
    random: SmallRng,
}

impl Limited {
    #[cold]
    fn new() -> Self {
        Self {
            sketch: Sketch::default(),
            exact_since: Timestamp::default(),
            exact_calls: 0,
            random: SmallRng::seed_from_u64(RandomState::new().hash_one(SAMPLE)),
        }
    }

    /// Counts a call, and returns the number of calls to skip. It is random, as a fixed number
    /// would always skip the same one of two keys that alternate.
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

/// Counts a call that this key has limited.
#[inline]
pub(super) fn count(call: &Call, key: KeyPosition, now: Now) {
    match TO_SKIP.load(Ordering::Relaxed) {
        0 => count_now(call.word(key), now),
        more => TO_SKIP.store(more - 1, Ordering::Relaxed),
    }
}

#[inline(never)]
fn count_now(key: &[u8], now: Now) {
    if TOP_KEYS.get() > 0 {
        let to_skip = LIMITED.with_borrow_mut(|limited| limited.get_or_insert_with(Limited::new).count(key, now.at()));
        TO_SKIP.store(to_skip, Ordering::Relaxed);
    }
}

/// Replies with pairs of a key and its count of limited calls, the highest first; or resets the
/// counts.
#[derive(Debug)]
pub(crate) struct Top;

impl Command for Top {
    const NAME: &'static CStr = c"PREMIER.TOP";
    const KEYS: Keys = Keys::None;
    const FLAGS: Flags = Flags::Operator;

    fn docs() -> Docs {
        let reset = Parameter {
            name: RESET,
            summary: "Clears the counts".to_owned(),
            kind: ParameterKind::Nothing,
            presence: Presence::Required,
        };
        let choice = Parameter {
            name: "what",
            summary: "How many keys to list, premier.top-keys by default, or RESET to clear the counts".to_owned(),
            kind: ParameterKind::OneOf(vec![parameter(&COUNT, Presence::Required), reset]),
            presence: Presence::Optional,
        };
        Docs {
            summary: "Lists the keys that were limited most in recent minutes on this node, with their counts",
            complexity: "O(N*log(N)) where N is the number of keys that are counted, 1024 at most",
            since: "0.1.0",
            tips: Some("request_policy:all_shards response_policy:special nondeterministic_output"),
            parameters: vec![choice],
        }
    }

    fn run(call: &Call) -> Result<(), Error> {
        let mut words = call.words();
        let (word, None) = (words.next(), words.next()) else { return Err(Error::WrongArity) };
        if word.is_some_and(|word| word.eq_ignore_ascii_case(RESET.as_bytes())) {
            LIMITED.set(None);
            TO_SKIP.store(0, Ordering::Relaxed);
            call.reply_ok();
            return Ok(());
        }
        let len = match word {
            Some(word) => COUNT.units(word).map_err(|invalid| Error::Argument(format!("{invalid}, or {RESET}")))?,
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
