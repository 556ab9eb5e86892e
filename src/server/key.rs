//! A key, opened for one call.

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::slice;

use premier_algorithms::{Now, Span, State, Units};
use redis_module::raw;

use super::call::{Call, Error, KeyPosition};
use super::clock;
use super::data_type::{DataType, into_value, state_of};
use super::effects::Effects;
use crate::effect::{Effect, Expiry};

/// For what a key is opened.
pub(crate) trait Mode {
    const FLAGS: u32;
}

/// To look at it. That does not even count as using it.
#[derive(Debug)]
pub(crate) enum Reading {}

/// To change it.
#[derive(Debug)]
pub(crate) enum Writing {}

impl Mode for Reading {
    const FLAGS: u32 = raw::REDISMODULE_READ | raw::REDISMODULE_OPEN_KEY_NOTOUCH;
}

impl Mode for Writing {
    const FLAGS: u32 = raw::REDISMODULE_READ | raw::REDISMODULE_WRITE;
}

#[expect(clippy::cast_possible_truncation, reason = "it is 0")]
const EMPTY: c_int = raw::REDISMODULE_KEYTYPE_EMPTY as c_int;

/// An open key that is empty or holds the state of the algorithm `T`. Closed when it is dropped.
#[derive(Debug)]
pub(crate) struct Key<'call, T: DataType, M: Mode = Writing> {
    open: OpenKey<'call>,
    /// Null when the key is empty.
    value: *mut c_void,
    fresh: T::State,
    mode: PhantomData<M>,
}

impl<'call, T: DataType, M: Mode> Key<'call, T, M> {
    /// Opens the key that is named there.
    ///
    /// # Errors
    /// When it is of another type.
    pub(super) fn open(call: &'call Call<'call>, position: KeyPosition) -> Result<Self, Error> {
        let open = OpenKey::new::<M>(call, position);
        Ok(Self { value: open.value_of::<T>()?, open, fresh: T::State::default(), mode: PhantomData })
    }

    /// The state that is kept there, or that of a fresh key.
    pub(crate) fn state(&self) -> &T::State {
        if self.value.is_null() {
            &self.fresh
        } else {
            // SAFETY: `value_of` answered it for this type, the key is open, and nothing else runs meanwhile.
            unsafe { state_of::<T>(self.value) }
        }
    }
}

impl<'call, T: DataType> Key<'call, T> {
    /// As [`open`](Self::open); but a string of which `state` makes one counts as that, and gives way to it at the first change.
    pub(super) fn open_taking_over(
        call: &'call Call<'call>,
        position: KeyPosition,
        state: impl FnOnce(&[u8]) -> Option<T::State>,
    ) -> Result<Self, Error> {
        let open = OpenKey::new::<Writing>(call, position);
        let (value, fresh) = match open.value_of::<T>() {
            Err(Error::WrongType) => (ptr::null_mut(), open.string().and_then(state).ok_or(Error::WrongType)?),
            value => (value?, T::State::default()),
        };
        Ok(Self { value, open, fresh, mode: PhantomData })
    }

    /// Changes the state, lets the key expire then, and tells replicas and the AOF what has come of it.
    pub(crate) fn change(mut self, change: <T::State as State>::Change, expiry: Expiry) {
        self.apply(change);
        self.update(expiry);
    }

    /// Changes the state and lets the key expire then, which replicas and the AOF are told with the other effects of the call.
    pub(crate) fn change_among_others(
        mut self,
        change: <T::State as State>::Change,
        expiry: Expiry,
        effects: &mut Effects,
    ) {
        self.apply(change);
        self.open.expire(expiry);
        effects.add(self.open.position, || Effect::new::<T>(self.state(), expiry));
    }

    fn apply(&mut self, change: <T::State as State>::Change) {
        if self.value.is_null() {
            self.fresh.apply(change);
            self.value = self.open.put::<T>(std::mem::take(&mut self.fresh));
        } else {
            // SAFETY: as in `state`.
            unsafe { state_of::<T>(self.value) }.apply(change);
        }
    }

    /// Gives back units, tells replicas and the AOF what has come of it, and answers how many there were. The key is deleted
    /// when nothing is used any more.
    pub(crate) fn refund(self, now: Now, units: Units) -> u64 {
        if self.value.is_null() {
            return 0;
        }
        let expiry = self.open.expiry();
        // SAFETY: as in `state`.
        let refund = unsafe { state_of::<T>(self.value) }.refund(now, expiry.rest(now), units);
        if refund.reset == Span::ZERO {
            self.open.delete();
        } else {
            self.update(if expiry == Expiry::NEVER { expiry } else { Expiry::after(now, refund.reset) });
        }
        refund.units
    }

    fn update(&self, expiry: Expiry) {
        self.open.expire(expiry);
        self.open.call.replicate(self.open.position, || Effect::new::<T>(self.state(), expiry));
    }
}

/// Puts an effect that another server decided in the place of whatever the key holds.
pub(super) fn overwrite<T: DataType>(call: &Call, position: KeyPosition, state: T::State, expiry: Expiry) {
    clock::see(state.latest_stamp());
    let open = OpenKey::new::<Writing>(call, position);
    open.put::<T>(state);
    open.expire(expiry);
    call.signal_modified(position);
}

#[derive(Debug)]
struct OpenKey<'call> {
    call: &'call Call<'call>,
    position: KeyPosition,
    /// Null when it is empty and was opened for reading.
    key: *mut raw::RedisModuleKey,
}

impl<'call> OpenKey<'call> {
    fn new<M: Mode>(call: &'call Call<'call>, position: KeyPosition) -> Self {
        // SAFETY: the context and the name are those of the running command.
        let key = unsafe { api!(RedisModule_OpenKey(call.context(), call.key_name(position), M::FLAGS.cast_signed())) };
        Self { call, position, key }
    }

    /// The value of this type that the key holds; null when it is empty.
    fn value_of<T: DataType>(&self) -> Result<*mut c_void, Error> {
        // SAFETY: the key is open, or null. The answer is null when it is empty or of one of the server's own types.
        let data_type = unsafe { api!(RedisModule_ModuleTypeGetType(self.key)) };
        if data_type == T::handle().get() {
            // SAFETY: the key is open, and holds a module's value.
            return Ok(unsafe { api!(RedisModule_ModuleTypeGetValue(self.key)) });
        }
        // SAFETY: the key is open, or null.
        let key_type = unsafe { api!(RedisModule_KeyType(self.key)) };
        if key_type == EMPTY { Ok(ptr::null_mut()) } else { Err(Error::WrongType) }
    }

    /// What the key holds, which is something, if it is a string.
    fn string(&self) -> Option<&[u8]> {
        let (mut len, mode) = (0, raw::REDISMODULE_READ.cast_signed());
        // SAFETY: the key is open, and not empty. The answer is null when it holds something else.
        let bytes = unsafe { api!(RedisModule_StringDMA(self.key, &raw mut len, mode)) };
        // SAFETY: it has that many bytes, and stays as it is until the key is written to, which takes this whole.
        (!bytes.is_null()).then(|| unsafe { slice::from_raw_parts(bytes.cast_const().cast(), len) })
    }

    /// Puts a new value in the place of what the key holds.
    fn put<T: DataType>(&self, state: T::State) -> *mut c_void {
        let value = into_value::<T>(state);
        // SAFETY: the key is open for writing; the value is of that type, and the server's from now on.
        unsafe { api!(RedisModule_ModuleTypeSetValue(self.key, T::handle().get(), value)) };
        value
    }

    fn expire(&self, expiry: Expiry) {
        // Asking first whether it is so already would cost as much.
        // SAFETY: the key is open for writing, and not empty.
        unsafe { api!(RedisModule_SetAbsExpire(self.key, expiry.to_wire())) };
    }

    fn expiry(&self) -> Expiry {
        // SAFETY: the key is open, and not empty.
        let millis = unsafe { api!(RedisModule_GetAbsExpire(self.key)) };
        Expiry::from_wire(millis).unwrap_or(Expiry::NEVER)
    }

    /// Deletes the key, here and on replicas.
    fn delete(&self) {
        // SAFETY: the key is open for writing.
        unsafe { api!(RedisModule_UnlinkKey(self.key)) };
        self.call.replicate_deletion(self.position);
    }
}

impl Drop for OpenKey<'_> {
    fn drop(&mut self) {
        // SAFETY: the key was opened in `new`, if it is not null, and is closed here, once.
        unsafe { api!(RedisModule_CloseKey(self.key)) };
    }
}
