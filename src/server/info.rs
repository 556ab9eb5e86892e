//! The module's section of INFO.

use std::ffi::{CStr, c_int};

use redis_module::raw;

use crate::interface::{OK, api};
use crate::load_error::LoadError;
use crate::panics;

/// The content of the module's section of INFO.
pub trait InfoSection {
    /// Writes the fields.
    fn write(section: &SectionWriter);
}

/// Writes fields of the module's section of INFO.
#[derive(Debug)]
pub struct SectionWriter(*mut raw::RedisModuleInfoCtx);

impl SectionWriter {
    /// Writes `premier_name:text`.
    pub fn text(&self, name: &CStr, text: &CStr) {
        // SAFETY: the context is that of the running callback; the server copies the strings.
        unsafe { api!(RedisModule_InfoAddFieldCString(self.0, name.as_ptr(), text.as_ptr())) };
    }

    /// Writes `premier_name:field=number,field=number`.
    pub fn numbers(&self, name: &CStr, fields: impl IntoIterator<Item = (&'static CStr, u64)>) {
        // SAFETY: as above.
        unsafe { api!(RedisModule_InfoBeginDictField(self.0, name.as_ptr())) };
        for (field, number) in fields {
            // SAFETY: as above.
            unsafe { api!(RedisModule_InfoAddFieldULongLong(self.0, field.as_ptr(), number)) };
        }
        // SAFETY: as above; the field has begun.
        unsafe { api!(RedisModule_InfoEndDictField(self.0)) };
    }
}

unsafe extern "C" fn write<S: InfoSection>(context: *mut raw::RedisModuleInfoCtx, _is_for_crash: c_int) {
    panics::catch(|| {
        // SAFETY: the server passes the context. The status is an error if the client did not ask
        // for this section.
        let is_wanted = unsafe { api!(RedisModule_InfoAddSection(context, c"calls".as_ptr())) } == OK;
        if is_wanted {
            S::write(&SectionWriter(context));
        }
    });
}

pub(crate) fn register<S: InfoSection>(context: *mut raw::RedisModuleCtx) -> Result<(), LoadError> {
    // SAFETY: the module is being loaded.
    let status = unsafe { api!(RedisModule_RegisterInfoFunc(context, Some(write::<S>))) };
    if status == OK { Ok(()) } else { Err(LoadError::Report) }
}
