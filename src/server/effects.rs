//! The effects of one call on several keys.

use std::ptr;

use arrayvec::ArrayVec;
use redis_module::raw;

use super::audience::may_listen;
use super::call::{Call, KeyPosition};
use crate::effect::Effect;

/// What a call has changed so far. Replicas and the AOF get all of it in one command when this is dropped: also by a panic, as
/// what is changed here has to be changed there.
#[derive(Debug)]
pub(crate) struct Effects<'call> {
    call: &'call Call<'call>,
    /// By turns a key, which is a word of the call, and the effect on it, which is ours to free.
    words: ArrayVec<*mut raw::RedisModuleString, { 2 * Effect::MAX_TOGETHER }>,
}

impl<'call> Effects<'call> {
    pub(crate) fn new(call: &'call Call<'call>) -> Self {
        Self { call, words: ArrayVec::new() }
    }

    pub(super) fn add(&mut self, key: KeyPosition, effect: impl FnOnce() -> Effect) {
        if may_listen() {
            let effect = effect();
            let bytes = effect.as_bytes();
            // SAFETY: a null context is allowed; the server copies the bytes.
            let effect = unsafe { api!(RedisModule_CreateString(ptr::null_mut(), bytes.as_ptr().cast(), bytes.len())) };
            self.words.extend([self.call.key_name(key), effect]);
        } else {
            self.call.count_change();
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
        // SAFETY: the context and the keys are those of the running command, and the effects are alive. The format is an array
        // of strings with its length, of which the server keeps what it needs.
        unsafe { api!(RedisModule_Replicate(context, command, c"v".as_ptr(), words, len)) };
        for effect in self.words.iter().skip(1).step_by(2) {
            // SAFETY: it was made in `add`, and is freed here, once.
            unsafe { api!(RedisModule_FreeString(ptr::null_mut(), *effect)) };
        }
    }
}
