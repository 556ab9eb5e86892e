//! `PREMIER.TOP [count | RESET]`: which keys were limited most of late on this node.

use std::cell::RefCell;
use std::ffi::CStr;

use premier_algorithms::{Now, TOP_COUNT};

use super::arguments::parameter;
use crate::server::{self, Call, Command, Error, Flags, Info, Keys, Parameter, ParameterKind, Presence};
use crate::settings::TOP_KEYS;
use crate::sketch::Sketch;

const RESET: &str = "RESET";

thread_local! {
    /// Of the main thread, on which all commands run.
    static LIMITED: RefCell<Option<Sketch>> = const { RefCell::new(None) };
}

/// A call was limited by this key.
pub(super) fn count(key: &[u8], now: Now) {
    if TOP_KEYS.get() > 0 {
        LIMITED.with_borrow_mut(|sketch| sketch.get_or_insert_with(Sketch::new).count(key, now.at()));
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
            kind: ParameterKind::OneOf(vec![parameter(&TOP_COUNT, Presence::Required), reset]),
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
            call.reply_ok();
            return Ok(());
        }
        let len = match word {
            Some(word) => TOP_COUNT
                .units(word)
                .map_err(|invalid| Error::Argument(format!("{invalid}, or {RESET} in its place")))?,
            None => u64::MAX,
        };
        let len = len.min(TOP_KEYS.get().into());
        LIMITED.with_borrow_mut(|sketch| reply(call, sketch.as_mut(), len));
        Ok(())
    }
}

fn reply(call: &Call, sketch: Option<&mut Sketch>, len: u64) {
    let len = usize::try_from(len).expect("premier.top-keys is small");
    let keys = sketch.map_or(Vec::new(), |sketch| sketch.highest(server::now().at(), len));
    call.reply_array(keys.len());
    for (key, count) in keys {
        call.reply_array(2);
        call.reply_bytes(key);
        call.reply_integer(count.into());
    }
}
