//! A native data type: the callbacks by which the server saves, loads, copies, moves and frees the
//! state of a key.

use std::ffi::{CStr, c_int, c_ulong, c_void};
use std::mem::{self, ManuallyDrop};
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicPtr, Ordering};

use premier_algorithms::{Relocate, State};
use redis_module::raw;

use crate::effect::{Effect, Expiry};
use crate::interface::api;
use crate::load_error::LoadError;
use crate::log::log_load_error;
use crate::{clock, panics};

/// The version of the encoding in RDB files and DUMP payloads: the bytes of [`State::encode`].
const ENCODING_VERSION: c_int = 0;

/// A native data type. The value of a key is a boxed [`State`].
pub trait DataType: 'static {
    /// The state of a key.
    type State: State;

    /// The reply of `TYPE`. RDB files contain it, so it never changes. It has nine characters.
    const NAME: &'static CStr;

    /// Identifies the data type in an effect.
    const LETTER: u8;

    /// Returns the handle that the server gave out when the data type was registered.
    fn handle() -> &'static Handle;

    /// Returns the effort of freeing a state, in allocations: servers free large values on another
    /// thread.
    fn free_effort(_state: &Self::State) -> usize {
        1
    }
}

/// The server's handle of a data type.
#[derive(Debug)]
pub struct Handle(AtomicPtr<raw::RedisModuleType>);

impl Handle {
    /// The handle of a data type that is not registered yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    pub(crate) fn get(&self) -> *mut raw::RedisModuleType {
        self.0.load(Ordering::Relaxed)
    }
}

impl Default for Handle {
    fn default() -> Self {
        Self::new()
    }
}

pub(crate) fn register<T: DataType>(context: *mut raw::RedisModuleCtx) -> Result<(), LoadError> {
    let mut methods = raw::RedisModuleTypeMethods {
        // The first version that has `defrag`, the newest of these.
        version: 3,
        rdb_load: Some(rdb_load::<T>),
        rdb_save: Some(rdb_save::<T>),
        aof_rewrite: Some(aof_rewrite::<T>),
        mem_usage: Some(mem_usage::<T>),
        digest: Some(digest::<T>),
        free: Some(free::<T>),
        free_effort: Some(free_effort::<T>),
        copy: Some(copy::<T>),
        defrag: Some(defrag::<T>),
        aux_load: None,
        aux_save: None,
        aux_save_triggers: 0,
        unlink: None,
        mem_usage2: None,
        free_effort2: None,
        unlink2: None,
        copy2: None,
        aux_save2: None,
    };
    // SAFETY: the module is being loaded; the server copies the methods.
    let handle =
        unsafe { api!(RedisModule_CreateDataType(context, T::NAME.as_ptr(), ENCODING_VERSION, &raw mut methods)) };
    if handle.is_null() {
        return Err(LoadError::DataType(T::NAME));
    }
    T::handle().0.store(handle, Ordering::Relaxed);
    let place = OWN.iter().find(|place| place.get().is_null());
    place.expect("there are few data types").0.store(handle, Ordering::Relaxed);
    Ok(())
}

/// The data types that are registered.
static OWN: [Handle; 8] = [const { Handle::new() }; 8];

/// Returns whether this module has registered the data type. Null is no data type.
pub(crate) fn is_own(data_type: *mut raw::RedisModuleType) -> bool {
    !data_type.is_null() && OWN.iter().any(|own| own.get() == data_type)
}

/// Gives a state to the server.
pub(crate) fn into_value<T: DataType>(state: T::State) -> *mut c_void {
    Box::into_raw(Box::new(state)).cast()
}

/// Returns the state in a value.
///
/// # Safety
/// `value` must come from [`into_value`] with the same type and must not have been freed. Nothing
/// else may refer to it while the returned reference is in use.
pub(crate) unsafe fn state_of<'value, T: DataType>(value: *mut c_void) -> &'value mut T::State {
    // SAFETY: as above.
    unsafe { &mut *value.cast() }
}

fn encoded(state: &impl State) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.encode(|part| bytes.extend_from_slice(part));
    bytes
}

unsafe extern "C" fn rdb_load<T: DataType>(rdb: *mut raw::RedisModuleIO, encoding_version: c_int) -> *mut c_void {
    panics::catch(|| {
        if encoding_version != ENCODING_VERSION {
            let name = T::NAME.to_string_lossy();
            log_load_error(
                rdb,
                &format!(
                    "a newer premier wrote this {name}: encoding version {encoding_version}, not {ENCODING_VERSION}"
                ),
            );
            return ptr::null_mut();
        }
        let mut len = 0;
        // SAFETY: the server passed `rdb` to this callback. The buffer is null if the data ends too
        // early.
        let buffer = unsafe { api!(RedisModule_LoadStringBuffer(rdb, &raw mut len)) };
        if buffer.is_null() {
            return ptr::null_mut();
        }
        // SAFETY: the server allocated `len` bytes for us.
        let state = T::State::decode(unsafe { slice::from_raw_parts(buffer.cast(), len) });
        // SAFETY: the buffer is ours to free, and `state` does not refer to it.
        unsafe { api!(RedisModule_Free(buffer.cast())) };
        let Some(state) = state else {
            log_load_error(rdb, &format!("this is not a valid {}", T::NAME.to_string_lossy()));
            return ptr::null_mut();
        };
        clock::see(state.latest_stamp());
        into_value::<T>(state)
    })
    .unwrap_or(ptr::null_mut())
}

unsafe extern "C" fn rdb_save<T: DataType>(rdb: *mut raw::RedisModuleIO, value: *mut c_void) {
    panics::catch(|| {
        // SAFETY: the server passes a value of this type.
        let bytes = encoded(unsafe { state_of::<T>(value) });
        // SAFETY: the server passed `rdb` to this callback; it copies the bytes.
        unsafe { api!(RedisModule_SaveStringBuffer(rdb, bytes.as_ptr().cast(), bytes.len())) };
    });
}

unsafe extern "C" fn aof_rewrite<T: DataType>(
    aof: *mut raw::RedisModuleIO,
    key: *mut raw::RedisModuleString,
    value: *mut c_void,
) {
    panics::catch(|| {
        // SAFETY: the server passes a value of this type.
        let state = unsafe { state_of::<T>(value) };
        // The server writes the expiry itself, as the next command.
        let effect = Effect::of_state::<T>(state, Expiry::NEVER);
        let bytes = effect.as_bytes();
        let command = Effect::COMMAND.as_ptr();
        // SAFETY: the server passed `aof` and `key` to this callback. The format is a string and a
        // buffer with its length; they live until the call returns.
        unsafe { api!(RedisModule_EmitAOF(aof, command, c"sb".as_ptr(), key, bytes.as_ptr(), bytes.len())) };
    });
}

unsafe extern "C" fn mem_usage<T: DataType>(value: *const c_void) -> usize {
    panics::catch(|| {
        // SAFETY: the server passes a value of this type.
        let state = unsafe { state_of::<T>(value.cast_mut()) };
        size_of::<T::State>() + state.heap_size()
    })
    .unwrap_or(0)
}

unsafe extern "C" fn digest<T: DataType>(digest: *mut raw::RedisModuleDigest, value: *mut c_void) {
    panics::catch(|| {
        // SAFETY: the server passes a value of this type.
        let bytes = encoded(unsafe { state_of::<T>(value) });
        // SAFETY: the server passed `digest` to this callback; it only reads the bytes.
        unsafe { api!(RedisModule_DigestAddStringBuffer(digest, bytes.as_ptr().cast(), bytes.len())) };
        // SAFETY: as above.
        unsafe { api!(RedisModule_DigestEndSequence(digest)) };
    });
}

unsafe extern "C" fn free<T: DataType>(value: *mut c_void) {
    panics::catch(|| {
        // SAFETY: `into_value` made the value, and the server frees it exactly once.
        drop(unsafe { Box::<T::State>::from_raw(value.cast()) });
    });
}

unsafe extern "C" fn free_effort<T: DataType>(_key: *mut raw::RedisModuleString, value: *const c_void) -> usize {
    panics::catch(|| {
        // SAFETY: the server passes a value of this type.
        T::free_effort(unsafe { state_of::<T>(value.cast_mut()) })
    })
    .unwrap_or(1)
}

unsafe extern "C" fn copy<T: DataType>(
    _from: *mut raw::RedisModuleString,
    _to: *mut raw::RedisModuleString,
    value: *const c_void,
) -> *mut c_void {
    panics::catch(|| {
        // SAFETY: the server passes a value of this type.
        let state = unsafe { state_of::<T>(value.cast_mut()) };
        into_value::<T>(state.clone())
    })
    .unwrap_or(ptr::null_mut())
}

unsafe extern "C" fn defrag<T: DataType>(
    context: *mut raw::RedisModuleDefragCtx,
    _key: *mut raw::RedisModuleString,
    value: *mut *mut c_void,
) -> c_int {
    panics::catch(|| {
        let defrag = Defrag(context);
        // SAFETY: the server passes the place where it keeps the pointer to a value of this type.
        let value = unsafe { &mut *value };
        let moved = defrag.progress();
        if moved == 0
            && let Some(new) = defrag.moved(*value)
        {
            *value = new;
        }
        // SAFETY: the value is of this type, wherever it is now.
        let state = unsafe { state_of::<T>(*value) };
        let rest = state.relocate(moved, &defrag);
        defrag.report(rest)
    })
    .unwrap_or(DEFRAG_DONE)
}

/// The value has been moved whole.
const DEFRAG_DONE: c_int = 0;

/// The value has to be moved further.
const DEFRAG_MORE: c_int = 1;

/// Lets the server move allocations, to reduce fragmentation.
#[derive(Debug)]
struct Defrag(*mut raw::RedisModuleDefragCtx);

impl Defrag {
    /// Returns the new place of an allocation if the server moved it.
    fn moved(&self, allocation: *mut c_void) -> Option<*mut c_void> {
        // SAFETY: the context is that of the running callback. The allocation is alive and ours,
        // from the server's allocator like all of this module. If another one is returned, the old
        // one is gone.
        let moved = unsafe { api!(RedisModule_DefragAlloc(self.0, allocation)) };
        (!moved.is_null()).then_some(moved)
    }

    /// Returns how many parts of a large value have been moved before. Others are moved at once.
    fn progress(&self) -> usize {
        let mut cursor = 0;
        // SAFETY: the context is that of the running callback. Without a cursor, it stays 0.
        unsafe { api!(RedisModule_DefragCursorGet(self.0, &raw mut cursor)) };
        usize::try_from(cursor).expect("it is a number that we set")
    }

    /// Tells the server how many parts have been moved, if there are more.
    fn report(&self, moved: Option<usize>) -> c_int {
        let Some(moved) = moved else { return DEFRAG_DONE };
        // SAFETY: the context is that of the running callback.
        unsafe { api!(RedisModule_DefragCursorSet(self.0, moved as c_ulong)) };
        DEFRAG_MORE
    }
}

impl Relocate for Defrag {
    fn boxed_slice<T>(&self, items: &mut Box<[T]>) {
        if size_of_val(&**items) == 0 {
            return;
        }
        let slice = Box::into_raw(mem::take(items));
        let slice = match self.moved(slice.cast()) {
            Some(moved) => ptr::slice_from_raw_parts_mut(moved.cast(), slice.len()),
            None => slice,
        };
        // SAFETY: `slice` is that allocation or its replacement by the server, of the same size and
        // content.
        *items = unsafe { Box::from_raw(slice) };
    }

    fn vec<T>(&self, items: &mut Vec<T>) {
        if size_of::<T>() == 0 || items.capacity() == 0 {
            return;
        }
        let mut vec = ManuallyDrop::new(mem::take(items));
        let place = self.moved(vec.as_mut_ptr().cast()).map_or(vec.as_mut_ptr(), <*mut c_void>::cast);
        // SAFETY: `place` is that allocation or its replacement by the server, of the same capacity
        // and content.
        *items = unsafe { Vec::from_raw_parts(place, vec.len(), vec.capacity()) };
    }

    fn is_interrupted(&self) -> bool {
        // SAFETY: the context is that of the running callback.
        unsafe { api!(RedisModule_DefragShouldStop(self.0)) != 0 }
    }
}
