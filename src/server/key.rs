//! A key, opened for one call.

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::mem;
use std::ptr;
use std::slice;

use premier_algorithms::{Detail, Now, Refundable, Span, State, Units};
use redis_module::raw;

use crate::call::{Call, Error, KeyPosition};
use crate::clock;
use crate::data_type::{DataType, into_value, is_own, state_of};
use crate::effect::{Effect, Expiry};
use crate::interface::api;
use crate::replication::{Effects, replicate, replicate_deletion};

/// The purpose for which a key is opened.
pub trait Mode {
    /// The flags of the interface.
    const FLAGS: u32;
}

/// Opens a key to read it, which does not count as a use of the key.
#[derive(Debug)]
pub enum Reading {}

/// Opens a key to change it.
#[derive(Debug)]
pub enum Writing {}

impl Mode for Reading {
    const FLAGS: u32 = raw::REDISMODULE_READ | raw::REDISMODULE_OPEN_KEY_NOTOUCH;
}

impl Mode for Writing {
    const FLAGS: u32 = raw::REDISMODULE_READ | raw::REDISMODULE_WRITE;
}

#[expect(clippy::cast_possible_truncation, reason = "it is 0")]
const EMPTY: c_int = raw::REDISMODULE_KEYTYPE_EMPTY as c_int;

/// An open key that is empty or holds a `T`. Dropping it closes the key.
#[derive(Debug)]
pub struct Key<'call, T: DataType, M: Mode = Writing> {
    open: OpenKey<'call>,
    /// Null when the key is empty.
    value: *mut c_void,
    fresh: T::State,
    mode: PhantomData<M>,
}

impl<'call, T: DataType, M: Mode> Key<'call, T, M> {
    /// Opens a key.
    ///
    /// # Errors
    /// If it holds a value of another type.
    pub fn open(call: &'call Call<'call>, position: KeyPosition) -> Result<Self, Error> {
        Self::of(OpenKey::new::<M>(call, position))
    }

    fn of(open: OpenKey<'call>) -> Result<Self, Error> {
        Ok(Self { value: open.value_of::<T>()?, open, fresh: T::State::default(), mode: PhantomData })
    }

    /// Returns the state in the key, or that of a fresh key.
    pub fn state(&self) -> &T::State {
        if self.value.is_null() {
            &self.fresh
        } else {
            // SAFETY: `value_of` returned the value for this type, the key is open, and nothing
            // else runs meanwhile.
            unsafe { state_of::<T>(self.value) }
        }
    }
}

impl<'call, T: DataType> Key<'call, T> {
    /// Opens a key that may hold a string that expires. If `state` returns a state for that string,
    /// the key counts as holding that state, and the first change replaces the string.
    ///
    /// # Errors
    /// If the key holds a value of another type, a string that never expires, or one for which
    /// `state` returns `None`.
    pub fn open_or_convert(
        call: &'call Call<'call>,
        position: KeyPosition,
        state: impl FnOnce(&[u8]) -> Option<T::State>,
    ) -> Result<Self, Error> {
        let open = OpenKey::new::<Writing>(call, position);
        let (value, fresh) = match open.value_of::<T>() {
            Err(Error::WrongType) => {
                let string = open.string().filter(|_| open.expiry() != Expiry::NEVER);
                (ptr::null_mut(), string.and_then(state).ok_or(Error::WrongType)?)
            }
            value => (value?, T::State::default()),
        };
        Ok(Self { value, open, fresh, mode: PhantomData })
    }

    /// Changes the state, sets the expiry, and replicates the effect.
    pub fn change(mut self, change: &Change<'_, T>, expiry: Expiry) {
        self.apply(change);
        self.open.expire(expiry);
        replicate(self.open.call, self.open.position, || Effect::of_change::<T>(self.state(), change, expiry));
    }

    /// Changes the state, sets the expiry, and adds the effect to those of the call.
    pub fn change_among_others(mut self, change: &Change<'_, T>, expiry: Expiry, effects: &mut Effects) {
        self.apply(change);
        self.open.expire(expiry);
        effects.add(self.open.position, || Effect::of_change::<T>(self.state(), change, expiry));
    }

    fn apply(&mut self, change: &Change<'_, T>) {
        if self.value.is_null() {
            self.fresh.apply(change);
            self.value = self.open.put::<T>(mem::take(&mut self.fresh));
        } else {
            // SAFETY: as in `state`.
            unsafe { state_of::<T>(self.value) }.apply(change);
        }
    }

    /// Returns units to the key, replicates the effect, and returns their number. Deletes the key
    /// when nothing of it is used any more.
    #[must_use]
    pub fn refund(self, now: Now, units: Units) -> u64
    where
        T::State: Refundable,
    {
        if self.value.is_null() {
            return 0;
        }
        let expiry = self.open.expiry();
        let reset = expiry.reset(now);
        if reset == Span::ZERO {
            return 0;
        }
        // SAFETY: as in `state`.
        let state = unsafe { state_of::<T>(self.value) };
        let set_back = clock::set_back_since(state.latest_stamp());
        let refund = state.refund_if_longer(now, reset, set_back, units);
        if refund.reset == Span::ZERO {
            self.delete();
        } else {
            let expiry = if expiry == Expiry::NEVER { expiry } else { Expiry::after(now, refund.reset) };
            self.open.expire(expiry);
            replicate(self.open.call, self.open.position, || Effect::of_state::<T>(self.state(), expiry));
        }
        refund.units
    }

    /// Deletes the key, replicates that, and publishes it when the key is closed, as a subscriber
    /// may do anything with it.
    pub fn delete(self) {
        let OpenKey { call, position, .. } = self.open;
        self.open.delete();
        drop(self);
        call.notify_deleted(position);
    }
}

impl<T: DataType> Key<'_, T, Reading> {
    /// Returns what is known of the key without a limit; `None` if it is empty or fully reset.
    #[must_use]
    pub fn inspect(&self, now: Now) -> Option<Inspected> {
        if self.value.is_null() {
            return None;
        }
        let reset = self.open.expiry().reset(now);
        if reset == Span::ZERO {
            return None;
        }
        let state = self.state();
        let reset = reset.saturating_sub(clock::set_back_since(state.latest_stamp()));
        Some(Inspected { used: state.used(now, reset), reset, detail: state.detail(now, reset) })
    }
}

/// What is known of a key without a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inspected {
    /// The units that are used now, rounded up.
    pub used: u64,
    /// The time until the key is fully reset.
    pub reset: Span,
    /// What the algorithm knows besides.
    pub detail: Option<Detail>,
}

/// The change that an admitted call makes to a `T`.
pub type Change<'call, T> = <<T as DataType>::State as State>::Change<'call>;

/// Applies an effect and an expiry that another server decided, whatever the key holds.
pub fn apply<T: DataType>(call: &Call, position: KeyPosition, effect: <T::State as State>::Effect<'_>, expiry: Expiry) {
    let open = OpenKey::new::<Writing>(call, position);
    let value = match open.value_of::<T>() {
        Ok(value) if !value.is_null() => value,
        _ => open.put::<T>(T::State::default()),
    };
    // SAFETY: the value is of this type, the key is open, and nothing else runs meanwhile.
    let state = unsafe { state_of::<T>(value) };
    state.apply_effect(effect);
    clock::see(state.latest_stamp());
    if state.is_fresh() {
        open.unlink();
    } else {
        open.expire(expiry);
    }
    call.signal_modified(position);
}

/// An open key that may hold a value of any type. Dropping it closes the key.
#[derive(Debug)]
pub struct AnyKey<'call, M: Mode = Writing> {
    open: OpenKey<'call>,
    data_type: *mut raw::RedisModuleType,
    mode: PhantomData<M>,
}

impl<'call, M: Mode> AnyKey<'call, M> {
    /// Opens a key.
    #[must_use]
    pub fn open(call: &'call Call<'call>, position: KeyPosition) -> Self {
        let open = OpenKey::new::<M>(call, position);
        Self { data_type: open.data_type(), open, mode: PhantomData }
    }

    /// Returns whether the key holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Returns whether the key holds a `T`.
    #[must_use]
    pub fn holds<T: DataType>(&self) -> bool {
        self.data_type == T::handle().get()
    }

    /// Returns the key as one that holds a `T`.
    ///
    /// # Errors
    /// If it holds a value of another type.
    pub fn typed<T: DataType>(self) -> Result<Key<'call, T, M>, Error> {
        Key::of(self.open)
    }
}

#[derive(Debug)]
struct OpenKey<'call> {
    call: &'call Call<'call>,
    position: KeyPosition,
    /// Null if the key is empty and was opened to read it.
    key: *mut raw::RedisModuleKey,
}

impl<'call> OpenKey<'call> {
    fn new<M: Mode>(call: &'call Call<'call>, position: KeyPosition) -> Self {
        // SAFETY: the context and the name are those of the running command.
        let key = unsafe { api!(RedisModule_OpenKey(call.context(), call.key_name(position), M::FLAGS.cast_signed())) };
        Self { call, position, key }
    }

    /// Returns the data type of the value. Null if the key is empty, or if the type is one of the
    /// server's own.
    fn data_type(&self) -> *mut raw::RedisModuleType {
        // SAFETY: the key is open, or null.
        unsafe { api!(RedisModule_ModuleTypeGetType(self.key)) }
    }

    fn is_empty(&self) -> bool {
        // SAFETY: the key is open, or null.
        unsafe { api!(RedisModule_KeyType(self.key)) == EMPTY }
    }

    /// Returns the value of type `T` in the key; null if the key is empty.
    fn value_of<T: DataType>(&self) -> Result<*mut c_void, Error> {
        if self.data_type() == T::handle().get() {
            // SAFETY: the key is open, and holds a value of a module.
            return Ok(unsafe { api!(RedisModule_ModuleTypeGetValue(self.key)) });
        }
        if self.is_empty() || self.lingers() { Ok(ptr::null_mut()) } else { Err(Error::WrongType) }
    }

    /// Returns whether the key is that of another algorithm and fully reset. Such a key counts as
    /// empty.
    #[cold]
    fn lingers(&self) -> bool {
        is_own(self.data_type()) && self.expiry().reset(clock::now()) == Span::ZERO
    }

    /// Returns the content of a key that is not empty, if it is a string.
    fn string(&self) -> Option<&[u8]> {
        let (mut len, mode) = (0, raw::REDISMODULE_READ.cast_signed());
        // SAFETY: the key is open, and not empty. The pointer is null if the key holds something
        // else.
        let bytes = unsafe { api!(RedisModule_StringDMA(self.key, &raw mut len, mode)) };
        // SAFETY: the string has that many bytes, and does not change before the key is written to,
        // which consumes `self`.
        (!bytes.is_null()).then(|| unsafe { slice::from_raw_parts(bytes.cast_const().cast(), len) })
    }

    /// Replaces what the key holds by a new value.
    fn put<T: DataType>(&self, state: T::State) -> *mut c_void {
        let value = into_value::<T>(state);
        // SAFETY: the key is open for writing. The value is of that type, and belongs to the server
        // from now on.
        unsafe { api!(RedisModule_ModuleTypeSetValue(self.key, T::handle().get(), value)) };
        value
    }

    fn expire(&self, expiry: Expiry) {
        // Reading the expiry first, to skip equal ones, would cost as much.
        // SAFETY: the key is open for writing, and not empty.
        unsafe { api!(RedisModule_SetAbsExpire(self.key, expiry.to_wire())) };
    }

    fn expiry(&self) -> Expiry {
        // SAFETY: the key is open, and not empty.
        let millis = unsafe { api!(RedisModule_GetAbsExpire(self.key)) };
        Expiry::from_wire(millis).unwrap_or(Expiry::NEVER)
    }

    /// Deletes the key, and replicates that.
    fn delete(&self) {
        self.unlink();
        replicate_deletion(self.call, self.position);
    }

    fn unlink(&self) {
        // SAFETY: the key is open for writing.
        unsafe { api!(RedisModule_UnlinkKey(self.key)) };
    }
}

impl Drop for OpenKey<'_> {
    fn drop(&mut self) {
        // SAFETY: `new` opened the key, if it is not null, and it is closed here, exactly once.
        unsafe { api!(RedisModule_CloseKey(self.key)) };
    }
}
