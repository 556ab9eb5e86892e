//! One call of a command: its arguments, its key, its reply and what it replicates.

use std::ffi::{CStr, CString, c_int, c_longlong};
use std::slice;

use premier_algorithms::{InvalidArgument, InvalidCall};
use redis_module::raw;

use super::audience::may_listen;
use super::data_type::DataType;
use super::key::{self, Key, Mode};
use super::log;
use crate::effect::{Effect, Expiry};

/// A running command.
#[derive(Debug)]
pub(crate) struct Call<'call> {
    context: *mut raw::RedisModuleCtx,
    /// The command's name, then its arguments.
    words: &'call [*mut raw::RedisModuleString],
}

/// Where among the words of a call a key is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyPosition(usize);

impl KeyPosition {
    /// Behind the command's name.
    pub(crate) const FIRST: Self = Self(1);

    /// So many words behind the first key.
    pub(crate) const fn behind_first(words: usize) -> Self {
        Self(Self::FIRST.0 + words)
    }

    pub(super) fn get(self) -> c_int {
        c_int::try_from(self.0).expect("a command has no more words than that")
    }
}

/// Why a call is refused.
#[derive(Debug)]
pub(crate) enum Error {
    /// There are too few or too many arguments.
    WrongArity,
    /// The key holds something else.
    WrongType,
    /// The server is a replica, and the call did not come from its primary.
    ReadOnly,
    /// There is a bug. The server's log has what is known of it.
    Internal,
    /// An argument is wrong. The sentence says which, and what it may be.
    Argument(String),
}

impl From<InvalidArgument> for Error {
    fn from(invalid: InvalidArgument) -> Self {
        Self::Argument(invalid.to_string())
    }
}

impl From<InvalidCall<'_>> for Error {
    fn from(invalid: InvalidCall<'_>) -> Self {
        match invalid {
            InvalidCall::TooFewArguments => Self::WrongArity,
            _ => Self::Argument(invalid.to_string()),
        }
    }
}

impl<'call> Call<'call> {
    /// # Safety
    /// The arguments are those with which the server calls the function of a command, which has not returned yet.
    pub(super) unsafe fn new(
        context: *mut raw::RedisModuleCtx,
        words: *mut *mut raw::RedisModuleString,
        len: c_int,
    ) -> Self {
        // SAFETY: the server hands over that many strings.
        let words = unsafe { strings(words, len) };
        Self { context, words }
    }

    pub(super) fn context(&self) -> *mut raw::RedisModuleCtx {
        self.context
    }

    pub(super) fn has_key(&self) -> bool {
        self.words.len() > 1
    }

    /// Whether the server only asks which of the words are keys.
    pub(super) fn is_for_key_positions(&self) -> bool {
        // SAFETY: the context is that of the running command.
        unsafe { api!(RedisModule_IsKeysPositionRequest(self.context)) != 0 }
    }

    pub(super) fn tell_key_positions(&self, positions: &[KeyPosition]) {
        for position in positions.iter().filter(|position| position.0 < self.words.len()) {
            // SAFETY: as above; the server is asking for positions.
            unsafe { api!(RedisModule_KeyAtPos(self.context, position.get())) };
        }
    }

    pub(super) fn key_name(&self, position: KeyPosition) -> *mut raw::RedisModuleString {
        self.words[position.0]
    }

    /// What stands there.
    pub(crate) fn word(&self, position: KeyPosition) -> &'call [u8] {
        texts(slice::from_ref(&self.words[position.0])).next().unwrap_or_default()
    }

    /// The arguments behind the first, which is a key.
    pub(crate) fn arguments(&self) -> impl ExactSizeIterator<Item = &'call [u8]> {
        self.words_from(2)
    }

    /// All arguments.
    pub(crate) fn words(&self) -> impl ExactSizeIterator<Item = &'call [u8]> {
        self.words_from(KeyPosition::FIRST.0)
    }

    fn words_from(&self, first: usize) -> impl ExactSizeIterator<Item = &'call [u8]> {
        texts(self.words.get(first..).unwrap_or_default())
    }

    /// Opens a key for the algorithm `T`.
    ///
    /// # Errors
    /// When it is of another type.
    pub(crate) fn open_key<T: DataType, M: Mode>(
        &'call self,
        position: KeyPosition,
    ) -> Result<Key<'call, T, M>, Error> {
        Key::open(self, position)
    }

    /// Opens a key for the algorithm `T`, to change it. A string of which `state` makes one counts as that, and gives way to it at the first
    /// change.
    ///
    /// # Errors
    /// When it is of another type.
    pub(crate) fn open_key_taking_over<T: DataType>(
        &'call self,
        position: KeyPosition,
        state: impl FnOnce(&[u8]) -> Option<T::State>,
    ) -> Result<Key<'call, T>, Error> {
        Key::open_taking_over(self, position, state)
    }

    /// Puts what another server decided in the place of whatever the key holds.
    pub(crate) fn overwrite_key<T: DataType>(&self, position: KeyPosition, state: T::State, expiry: Expiry) {
        key::overwrite::<T>(self, position, state, expiry);
    }

    /// Whether this server only takes writes from its primary, and this call is not from there.
    pub(crate) fn is_refused_by_replica(&self) -> bool {
        // SAFETY: the context is that of the running command.
        let flags = unsafe { api!(RedisModule_GetContextFlags(self.context)) };
        let has = |flag: u32| flags & flag.cast_signed() != 0;
        has(raw::REDISMODULE_CTX_FLAGS_READONLY)
            && !has(raw::REDISMODULE_CTX_FLAGS_REPLICATED)
            && !has(raw::REDISMODULE_CTX_FLAGS_LOADING)
    }

    /// Begins to reply an array, whose elements are replied next.
    #[inline]
    pub(crate) fn reply_array(&self, len: usize) {
        let len = len.try_into().expect("replies are short");
        // SAFETY: the context is that of the running command, whose reply is not complete.
        unsafe { api!(RedisModule_ReplyWithArray(self.context, len)) };
    }

    #[inline]
    pub(crate) fn reply_integer(&self, integer: i64) {
        // SAFETY: as above.
        unsafe { api!(RedisModule_ReplyWithLongLong(self.context, c_longlong::from(integer))) };
    }

    /// Replies an array of integers.
    pub(crate) fn reply_integers<const N: usize>(&self, integers: [i64; N]) {
        self.reply_array(N);
        for integer in integers {
            self.reply_integer(integer);
        }
    }

    pub(crate) fn reply_bytes(&self, bytes: &[u8]) {
        // SAFETY: as above; the server copies the bytes.
        unsafe { api!(RedisModule_ReplyWithStringBuffer(self.context, bytes.as_ptr().cast(), bytes.len())) };
    }

    pub(crate) fn reply_ok(&self) {
        // SAFETY: the context is that of the running command, which has not replied yet.
        unsafe { api!(RedisModule_ReplyWithSimpleString(self.context, c"OK".as_ptr())) };
    }

    pub(super) fn reply_error(&self, error: &Error) {
        let line: CString = match error {
            Error::WrongArity => {
                // SAFETY: the context is that of the running command, which has not replied yet.
                unsafe { api!(RedisModule_WrongArity(self.context)) };
                return;
            }
            Error::WrongType => c"WRONGTYPE Operation against a key holding the wrong kind of value".into(),
            Error::ReadOnly => c"READONLY You can't write against a read only replica.".into(),
            Error::Internal => c"ERR premier has an internal error; the server's log says more".into(),
            Error::Argument(sentence) => log::printable(&format!("ERR {sentence}")),
        };
        // SAFETY: as above; the line is copied.
        unsafe { api!(RedisModule_ReplyWithError(self.context, line.as_ptr())) };
    }

    /// Sends an effect to replicas and the AOF in the place of this call, and tells whoever watches the key.
    pub(super) fn replicate(&self, key: KeyPosition, effect: impl FnOnce() -> Effect) {
        if may_listen() {
            self.replicate_effect(key, &effect());
        } else {
            self.count_change();
        }
        self.signal_modified(key);
    }

    fn replicate_effect(&self, key: KeyPosition, effect: &Effect) {
        let bytes = effect.as_bytes();
        let (context, command, name) = (self.context, Effect::COMMAND.as_ptr(), self.key_name(key));
        // SAFETY: the context and the key are those of the running command. The format is a string and a buffer with its
        // length, which the server copies.
        unsafe { api!(RedisModule_Replicate(context, command, c"sb".as_ptr(), name, bytes.as_ptr(), bytes.len())) };
    }

    /// Tells replicas, the AOF and whoever watches the key that it is gone.
    pub(super) fn replicate_deletion(&self, key: KeyPosition) {
        let (context, command, name) = (self.context, c"UNLINK".as_ptr(), self.key_name(key));
        // SAFETY: the context and the key are those of the running command. The format is a string.
        unsafe { api!(RedisModule_Replicate(context, command, c"s".as_ptr(), name)) };
        self.signal_modified(key);
    }

    /// Sends this call as it is to replicas and the AOF.
    pub(crate) fn replicate_verbatim(&self) {
        // SAFETY: the context is that of the running command.
        unsafe { api!(RedisModule_ReplicateVerbatim(self.context)) };
    }

    /// Has a change counted, as save points go by that, of which nobody is to be told. The cheapest way to do so would tell the
    /// call itself, if anybody listened.
    pub(super) fn count_change(&self) {
        self.replicate_verbatim();
    }

    /// Tells of an event of a key whoever listens to those of modules.
    pub(crate) fn notify(&self, key: KeyPosition, event: &CStr) {
        let kind = raw::REDISMODULE_NOTIFY_MODULE;
        // SAFETY: it only reads a setting. Telling nobody would cost ten times as much.
        if unsafe { api!(RedisModule_GetNotifyKeyspaceEvents()) } & kind == 0 {
            return;
        }
        // SAFETY: the context and the key are those of the running command; the server copies the event.
        unsafe { api!(RedisModule_NotifyKeyspaceEvent(self.context, kind, event.as_ptr(), self.key_name(key))) };
    }

    /// Tells whoever watches the key.
    pub(super) fn signal_modified(&self, key: KeyPosition) {
        // SAFETY: the context and the key are those of the running command.
        unsafe { api!(RedisModule_SignalModifiedKey(self.context, self.key_name(key))) };
    }
}

/// Strings that the server hands over.
///
/// # Safety
/// There are so many, and they live as long as the answer does.
pub(super) unsafe fn strings<'strings>(
    first: *mut *mut raw::RedisModuleString,
    len: c_int,
) -> &'strings [*mut raw::RedisModuleString] {
    match usize::try_from(len) {
        // SAFETY: as above.
        Ok(len @ 1..) => unsafe { slice::from_raw_parts(first, len) },
        // There may be no pointer to none.
        _ => &[],
    }
}

/// What is in strings that the server handed over.
pub(super) fn texts(strings: &[*mut raw::RedisModuleString]) -> impl ExactSizeIterator<Item = &[u8]> {
    strings.iter().map(|string| {
        let mut len = 0;
        // SAFETY: the string lives as long as the slice does: see `strings`.
        let bytes = unsafe { api!(RedisModule_StringPtrLen(*string, &raw mut len)) };
        // SAFETY: it has that many bytes, and nobody changes them meanwhile.
        unsafe { slice::from_raw_parts(bytes.cast(), len) }
    })
}
