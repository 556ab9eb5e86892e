//! One call of a command: its arguments, its key, its reply and what it replicates.

use std::ffi::{CString, c_int, c_longlong};
use std::slice;

use premier_algorithms::InvalidArgument;
use redis_module::raw;

use super::data_type::DataType;
use super::key::{self, Key};
use super::log;
use crate::effect::{Effect, Expiry};

/// A running command.
#[derive(Debug)]
pub(crate) struct Call<'call> {
    context: *mut raw::RedisModuleCtx,
    /// The command's name, then its arguments.
    words: &'call [*mut raw::RedisModuleString],
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

impl<'call> Call<'call> {
    /// # Safety
    /// The arguments are those with which the server calls the function of a command, which has not returned yet.
    pub(super) unsafe fn new(
        context: *mut raw::RedisModuleCtx,
        words: *mut *mut raw::RedisModuleString,
        len: c_int,
    ) -> Self {
        let len = usize::try_from(len).expect("a command has at least its name");
        // SAFETY: the server hands over that many strings.
        let words = unsafe { slice::from_raw_parts(words, len) };
        Self { context, words }
    }

    pub(super) fn context(&self) -> *mut raw::RedisModuleCtx {
        self.context
    }

    pub(super) fn has_key(&self) -> bool {
        self.words.len() > 1
    }

    /// The first argument, which is the key of every command.
    pub(super) fn key_name(&self) -> *mut raw::RedisModuleString {
        self.words[1]
    }

    /// The arguments behind the key.
    pub(crate) fn arguments(&self) -> impl ExactSizeIterator<Item = &'call [u8]> {
        self.words.get(2..).unwrap_or_default().iter().map(|word| {
            let mut len = 0;
            // SAFETY: the string is one that the server handed over, and lives as long as the command runs.
            let bytes = unsafe { api!(RedisModule_StringPtrLen(*word, &raw mut len)) };
            // SAFETY: it has that many bytes, and nobody changes them meanwhile.
            unsafe { slice::from_raw_parts(bytes.cast(), len) }
        })
    }

    /// Opens the key for the algorithm `T`.
    ///
    /// # Errors
    /// When it is of another type.
    pub(crate) fn open_key<T: DataType>(&'call self) -> Result<Key<'call, T>, Error> {
        Key::open(self)
    }

    /// Puts what another server decided in the place of whatever the key holds, and passes it on.
    pub(crate) fn overwrite_key<T: DataType>(&self, state: T::State, expiry: Expiry) {
        key::overwrite::<T>(self, state, expiry);
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

    /// Replies an array of integers.
    pub(crate) fn reply_integers<const N: usize>(&self, integers: [i64; N]) {
        let len = N.try_into().expect("replies are short");
        // SAFETY: the context is that of the running command, which has not replied yet.
        unsafe { api!(RedisModule_ReplyWithArray(self.context, len)) };
        for integer in integers {
            // SAFETY: as above; these are the array's elements.
            unsafe { api!(RedisModule_ReplyWithLongLong(self.context, c_longlong::from(integer))) };
        }
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
    pub(super) fn replicate(&self, effect: &Effect) {
        let bytes = effect.as_bytes();
        let (context, command, key) = (self.context, Effect::COMMAND.as_ptr(), self.key_name());
        // SAFETY: the context and the key are those of the running command. The format is a string and a buffer with its
        // length, which the server copies.
        unsafe { api!(RedisModule_Replicate(context, command, c"sb".as_ptr(), key, bytes.as_ptr(), bytes.len())) };
        self.signal_modified();
    }

    /// Sends this call as it is to replicas and the AOF, and tells whoever watches the key.
    pub(super) fn replicate_verbatim(&self) {
        // SAFETY: the context is that of the running command.
        unsafe { api!(RedisModule_ReplicateVerbatim(self.context)) };
        self.signal_modified();
    }

    fn signal_modified(&self) {
        // SAFETY: the context and the key are those of the running command.
        unsafe { api!(RedisModule_SignalModifiedKey(self.context, self.key_name())) };
    }
}
