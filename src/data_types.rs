//! The native data types: what `TYPE key` answers, and the letter that stands for each in an effect.

use std::ffi::CStr;

use premier_algorithms::{Fixed, Leaky, Log, Sliding, Token};

use crate::server::{DataType, Defrag, Handle};

impl DataType for Fixed {
    const NAME: &CStr = c"premfixed";
    const LETTER: u8 = b'F';

    fn handle() -> &'static Handle {
        static HANDLE: Handle = Handle::new();
        &HANDLE
    }
}

impl DataType for Sliding {
    const NAME: &CStr = c"premslide";
    const LETTER: u8 = b'S';

    fn handle() -> &'static Handle {
        static HANDLE: Handle = Handle::new();
        &HANDLE
    }

    fn defrag_parts(log: &mut Log, defrag: &Defrag) {
        defrag.boxed_slice(log.entries_mut());
    }
}

impl DataType for Token {
    const NAME: &CStr = c"premtoken";
    const LETTER: u8 = b'T';

    fn handle() -> &'static Handle {
        static HANDLE: Handle = Handle::new();
        &HANDLE
    }
}

impl DataType for Leaky {
    const NAME: &CStr = c"premleaky";
    const LETTER: u8 = b'L';

    fn handle() -> &'static Handle {
        static HANDLE: Handle = Handle::new();
        &HANDLE
    }
}
