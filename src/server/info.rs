//! The section of the module in INFO.

use std::ffi::{CStr, c_int};

use redis_module::raw;

use super::entry::{LoadError, OK};
use super::panics;

/// Writes the section of the module in INFO.
#[derive(Debug)]
pub(crate) struct Report(*mut raw::RedisModuleInfoCtx);

impl Report {
    /// `premier_name:text`
    pub(crate) fn text(&self, name: &CStr, text: &CStr) {
        // SAFETY: the context is that of the report that is being written; the server copies the strings.
        unsafe { api!(RedisModule_InfoAddFieldCString(self.0, name.as_ptr(), text.as_ptr())) };
    }

    /// `premier_name:field=number,field=number`
    pub(crate) fn numbers(&self, name: &CStr, fields: impl IntoIterator<Item = (&'static CStr, u64)>) {
        // SAFETY: as above.
        unsafe { api!(RedisModule_InfoBeginDictField(self.0, name.as_ptr())) };
        for (field, number) in fields {
            // SAFETY: as above.
            unsafe { api!(RedisModule_InfoAddFieldULongLong(self.0, field.as_ptr(), number)) };
        }
        // SAFETY: as above; the field was begun.
        unsafe { api!(RedisModule_InfoEndDictField(self.0)) };
    }
}

/// What INFO says of the module.
pub(crate) trait Reporter {
    fn write(report: &Report);
}

unsafe extern "C" fn report<R: Reporter>(context: *mut raw::RedisModuleInfoCtx, _is_for_crash: c_int) {
    panics::catch(|| {
        // SAFETY: the context is what the server hands over. It answers otherwise when nobody asked for this section.
        let is_asked_for = unsafe { api!(RedisModule_InfoAddSection(context, c"calls".as_ptr())) } == OK;
        if is_asked_for {
            R::write(&Report(context));
        }
    });
}

pub(super) fn register<R: Reporter>(context: *mut raw::RedisModuleCtx) -> Result<(), LoadError> {
    // SAFETY: the module is being loaded.
    let status = unsafe { api!(RedisModule_RegisterInfoFunc(context, Some(report::<R>))) };
    if status == OK { Ok(()) } else { Err(LoadError::Report) }
}
