//! What a call sends to replicas and the AOF: effects in its place, never the call itself.

use std::ptr;

use arrayvec::ArrayVec;
use redis_module::raw;

use crate::call::{Call, KeyPosition};
use crate::effect::Effect;
use crate::interface::api;
use crate::propagation;

/// Replicates the effect of a call on one key.
pub(crate) fn replicate(call: &Call, key: KeyPosition, effect: impl FnOnce() -> Effect) {
    if propagation::is_needed() {
        replicate_effect(call, key, &effect());
    } else {
        count_change(call);
    }
    call.signal_modified(key);
}

fn replicate_effect(call: &Call, key: KeyPosition, effect: &Effect) {
    let bytes = effect.as_bytes();
    let (context, command, name) = (call.context(), Effect::COMMAND.as_ptr(), call.key_name(key));
    // SAFETY: the context and the key are those of the running command. The format is a string and
    // a buffer with its length, which the server copies.
    unsafe { api!(RedisModule_Replicate(context, command, c"sb".as_ptr(), name, bytes.as_ptr(), bytes.len())) };
}

/// Replicates the deletion of a key.
pub(crate) fn replicate_deletion(call: &Call, key: KeyPosition) {
    let (context, command, name) = (call.context(), c"UNLINK".as_ptr(), call.key_name(key));
    // SAFETY: the context and the key are those of the running command. The format is a string.
    unsafe { api!(RedisModule_Replicate(context, command, c"s".as_ptr(), name)) };
    call.signal_modified(key);
}

/// Counts a change towards save points where nothing receives effects. The cheapest way to do so
/// replicates the call, which reaches nothing.
fn count_change(call: &Call) {
    call.replicate_verbatim();
}

/// The effects of one call on several keys. Dropping it replicates all of them in one command, even
/// during a panic, as each change made here has to be made there.
#[derive(Debug)]
pub struct Effects<'call> {
    call: &'call Call<'call>,
    /// In turn a key, which is a word of the call, and the effect on it, which is ours to free.
    words: ArrayVec<*mut raw::RedisModuleString, { 2 * Effect::MAX_TOGETHER }>,
}

impl<'call> Effects<'call> {
    /// A call that has had no effect so far.
    #[must_use]
    pub fn new(call: &'call Call<'call>) -> Self {
        Self { call, words: ArrayVec::new() }
    }

    pub(crate) fn add(&mut self, key: KeyPosition, effect: impl FnOnce() -> Effect) {
        if propagation::is_needed() {
            let effect = effect();
            let bytes = effect.as_bytes();
            // SAFETY: a null context is allowed; the server copies the bytes.
            let effect = unsafe { api!(RedisModule_CreateString(ptr::null_mut(), bytes.as_ptr().cast(), bytes.len())) };
            self.words.extend([self.call.key_name(key), effect]);
        } else {
            count_change(self.call);
        }
        self.call.signal_modified(key);
    }
}

impl Drop for Effects<'_> {
    fn drop(&mut self) {
        if self.words.is_empty() {
            return;
        }
        let (words, len) = (self.words.as_ptr(), self.words.len());
        let (context, command) = (self.call.context(), Effect::COMMAND.as_ptr());
        // SAFETY: the context and the keys are those of the running command, and the effects are
        // alive. The format is an array of strings with its length; the server keeps what it needs.
        unsafe { api!(RedisModule_Replicate(context, command, c"v".as_ptr(), words, len)) };
        for effect in self.words.iter().skip(1).step_by(2) {
            // SAFETY: `add` made it, and it is freed here, exactly once.
            unsafe { api!(RedisModule_FreeString(ptr::null_mut(), *effect)) };
        }
    }
}
