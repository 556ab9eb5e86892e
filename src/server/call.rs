//! One call of a command: its arguments and its reply.

use std::ffi::{CStr, CString, c_int, c_long, c_longlong};
use std::slice;

use premier_algorithms::{InvalidArgument, InvalidCall};
use redis_module::raw;

use crate::interface::api;
use crate::log::printable;
use crate::rights::has_full_rights;
use crate::strings::{from_server, texts};

/// A running command.
#[derive(Debug)]
pub struct Call<'call> {
    context: *mut raw::RedisModuleCtx,
    /// The name of the command, then its arguments.
    words: &'call [*mut raw::RedisModuleString],
}

/// The position of a key among the words of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPosition(usize);

impl KeyPosition {
    /// The first argument.
    pub const FIRST: Self = Self(1);

    /// The position this many words behind [`FIRST`](Self::FIRST).
    #[must_use]
    pub const fn behind_first(words: usize) -> Self {
        Self(Self::FIRST.0 + words)
    }

    pub(crate) fn get(self) -> c_int {
        c_int::try_from(self.0).expect("the number of words is a c_int")
    }
}

/// Why a call is refused.
#[derive(Debug)]
pub enum Error {
    /// There are too few or too many arguments.
    WrongArity,
    /// The key holds a value of another type.
    WrongType,
    /// The server is a replica, and the call does not come from its primary.
    ReadOnly,
    /// The command is internal, and the user lacks full rights.
    NoPermission,
    /// premier has a bug. The server's log says more.
    Internal,
    /// An argument is invalid. The sentence says which, and what is allowed.
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
    /// The server must have called the function of a command with these arguments, and that
    /// function must not have returned yet.
    pub(crate) unsafe fn new(
        context: *mut raw::RedisModuleCtx,
        words: *mut *mut raw::RedisModuleString,
        len: c_int,
    ) -> Self {
        // SAFETY: the server passes that many strings, which live until the command returns.
        let words = unsafe { from_server(words, len) };
        Self { context, words }
    }

    pub(crate) fn context(&self) -> *mut raw::RedisModuleCtx {
        self.context
    }

    pub(crate) fn has_key(&self) -> bool {
        self.words.len() > 1
    }

    /// Returns whether the server only asks for the positions of keys.
    pub(crate) fn is_for_key_positions(&self) -> bool {
        // SAFETY: the context is that of the running command.
        unsafe { api!(RedisModule_IsKeysPositionRequest(self.context)) != 0 }
    }

    pub(crate) fn report_key_positions(&self, positions: &[KeyPosition]) {
        for position in positions.iter().filter(|position| position.0 < self.words.len()) {
            // SAFETY: as above; the server is asking for positions.
            unsafe { api!(RedisModule_KeyAtPos(self.context, position.get())) };
        }
    }

    pub(crate) fn key_name(&self, position: KeyPosition) -> *mut raw::RedisModuleString {
        self.words[position.0]
    }

    /// Returns the word at a position.
    #[must_use]
    pub fn word(&self, position: KeyPosition) -> &'call [u8] {
        texts(slice::from_ref(&self.words[position.0])).next().unwrap_or_default()
    }

    /// Returns the arguments behind the first, which is a key.
    #[must_use]
    pub fn arguments(&self) -> impl ExactSizeIterator<Item = &'call [u8]> {
        self.words_from(2)
    }

    /// Returns all arguments.
    #[must_use]
    pub fn words(&self) -> impl ExactSizeIterator<Item = &'call [u8]> {
        self.words_from(KeyPosition::FIRST.0)
    }

    fn words_from(&self, first: usize) -> impl ExactSizeIterator<Item = &'call [u8]> {
        texts(self.words.get(first..).unwrap_or_default())
    }

    /// Checks that the call comes from the primary, from an AOF, or from a user with full rights.
    ///
    /// # Errors
    /// If it comes from somebody else, or if this server takes writes only from its primary.
    pub fn check_is_replicated(&self) -> Result<(), Error> {
        // SAFETY: the context is that of the running command.
        let flags = unsafe { api!(RedisModule_GetContextFlags(self.context)) };
        let has = |flag: u32| flags & flag.cast_signed() != 0;
        if has(raw::REDISMODULE_CTX_FLAGS_REPLICATED) || has(raw::REDISMODULE_CTX_FLAGS_LOADING) {
            return Ok(());
        }
        if has(raw::REDISMODULE_CTX_FLAGS_READONLY) {
            return Err(Error::ReadOnly);
        }
        if has_full_rights(self.context) { Ok(()) } else { Err(Error::NoPermission) }
    }

    /// Begins an array in the reply. Its elements follow.
    #[inline]
    pub fn reply_array(&self, len: usize) {
        let len = c_long::try_from(len).unwrap_or(c_long::MAX);
        // SAFETY: the context is that of the running command, whose reply is not complete.
        unsafe { api!(RedisModule_ReplyWithArray(self.context, len)) };
    }

    /// Begins a map in the reply: in turn a key and its value follow. With RESP2 it is an array.
    pub fn reply_map(&self, len: usize) {
        let len = c_long::try_from(len).unwrap_or(c_long::MAX);
        // SAFETY: as above.
        unsafe { api!(RedisModule_ReplyWithMap(self.context, len)) };
    }

    /// Replies that there is nothing.
    pub fn reply_null(&self) {
        // SAFETY: as above.
        unsafe { api!(RedisModule_ReplyWithNull(self.context)) };
    }

    /// Replies with an integer.
    #[inline]
    pub fn reply_integer(&self, integer: i64) {
        // SAFETY: as above.
        unsafe { api!(RedisModule_ReplyWithLongLong(self.context, c_longlong::from(integer))) };
    }

    /// Replies with an array of integers.
    pub fn reply_integers<const N: usize>(&self, integers: [i64; N]) {
        self.reply_array(N);
        for integer in integers {
            self.reply_integer(integer);
        }
    }

    /// Replies with a bulk string.
    pub fn reply_bytes(&self, bytes: &[u8]) {
        // SAFETY: as above; the server copies the bytes.
        unsafe { api!(RedisModule_ReplyWithStringBuffer(self.context, bytes.as_ptr().cast(), bytes.len())) };
    }

    /// Replies `OK`.
    pub fn reply_ok(&self) {
        // SAFETY: the context is that of the running command, which has not replied yet.
        unsafe { api!(RedisModule_ReplyWithSimpleString(self.context, c"OK".as_ptr())) };
    }

    pub(crate) fn reply_error(&self, error: &Error) {
        let line: CString = match error {
            Error::WrongArity => {
                // SAFETY: the context is that of the running command, which has not replied yet.
                unsafe { api!(RedisModule_WrongArity(self.context)) };
                return;
            }
            Error::WrongType => c"WRONGTYPE Operation against a key holding the wrong kind of value".into(),
            Error::ReadOnly => c"READONLY You can't write against a read only replica.".into(),
            Error::NoPermission => c"NOPERM this command is internal: it may be run by the primary, from the AOF, \
                 or, outside of scripts, by a user who may also run ACL SETUSER, CONFIG SET and REPLICAOF"
                .into(),
            Error::Internal => c"ERR premier has an internal error; the server's log says more".into(),
            Error::Argument(sentence) => printable(&format!("ERR {sentence}")),
        };
        // SAFETY: as above; the line is copied.
        unsafe { api!(RedisModule_ReplyWithError(self.context, line.as_ptr())) };
    }

    /// Propagates this call as it is to replicas and the AOF.
    pub fn replicate_verbatim(&self) {
        // SAFETY: the context is that of the running command.
        unsafe { api!(RedisModule_ReplicateVerbatim(self.context)) };
    }

    /// Publishes a keyspace notification of a module, if the server is configured to.
    pub fn notify(&self, key: KeyPosition, event: &CStr) {
        self.publish(raw::REDISMODULE_NOTIFY_MODULE, key, event);
    }

    /// Publishes the keyspace notification `del`, as the server does when a command of its own
    /// deletes a key.
    pub(crate) fn notify_deleted(&self, key: KeyPosition) {
        self.publish(raw::REDISMODULE_NOTIFY_GENERIC, key, c"del");
    }

    fn publish(&self, kind: c_int, key: KeyPosition, event: &CStr) {
        // SAFETY: it only reads a setting. Without this check a call would cost ten times as much
        // where nothing is published.
        if unsafe { api!(RedisModule_GetNotifyKeyspaceEvents()) } & kind == 0 {
            return;
        }
        // SAFETY: the context and the key are those of the running command; the server copies the
        // event.
        unsafe { api!(RedisModule_NotifyKeyspaceEvent(self.context, kind, event.as_ptr(), self.key_name(key))) };
    }

    /// Signals a change of the key to clients that watch or track it.
    pub(crate) fn signal_modified(&self, key: KeyPosition) {
        // SAFETY: the context and the key are those of the running command.
        unsafe { api!(RedisModule_SignalModifiedKey(self.context, self.key_name(key))) };
    }
}
