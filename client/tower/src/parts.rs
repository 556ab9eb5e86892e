use std::fmt;
use std::ops::Deref;

use arrayvec::ArrayString;

/// What a request is counted by: the parts of a key, as [`Key::custom_parts`] joins them. The
/// usual address needs no allocation.
///
/// [`Key::custom_parts`]: premier_client::Key::custom_parts
#[derive(Debug, Clone)]
pub(crate) enum Parts {
    Short(ArrayString<SHORT>),
    Long(String),
}

/// The escaped text of an IPv6 network fits.
const SHORT: usize = r"ffff\:ffff\:ffff\:ffff\:\:/64".len();

impl Parts {
    #[inline]
    pub(crate) fn push_str(&mut self, text: &str) {
        match self {
            Self::Short(short) => {
                if short.try_push_str(text).is_err() {
                    *self = Self::Long([short, text].concat());
                }
            }
            Self::Long(long) => long.push_str(text),
        }
    }

    /// Adds a text, or a piece of one, with what separates parts escaped.
    pub(crate) fn push_escaped(&mut self, text: &str) {
        if !text.bytes().any(|byte| matches!(byte, b':' | b'\\')) {
            return self.push_str(text);
        }
        for piece in text.split_inclusive([':', '\\']) {
            match piece.strip_suffix([':', '\\']) {
                Some(before) => {
                    self.push_str(before);
                    self.push_str("\\");
                    self.push_str(&piece[before.len()..]);
                }
                None => self.push_str(piece),
            }
        }
    }

    /// Escapes what is written.
    pub(crate) fn escaped(&mut self) -> Escaped<'_> {
        Escaped(self)
    }
}

impl Default for Parts {
    fn default() -> Self {
        Self::Short(ArrayString::new())
    }
}

impl Deref for Parts {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Short(short) => short,
            Self::Long(long) => long,
        }
    }
}

/// Parts to which texts are added by [`Parts::push_escaped`].
pub(crate) struct Escaped<'a>(&'a mut Parts);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.push_escaped(text);
        Ok(())
    }
}
