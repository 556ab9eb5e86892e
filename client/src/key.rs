use std::borrow::Cow;
use std::fmt;

use crate::{Algorithm, Error};

/// Whose calls are counted together: those of a function, or, with a custom part, those of it that have this part in common.
///
/// [`key!`](crate::key) makes one in the module where it is written.
///
/// ```
/// use premier_client::{Key, key};
///
/// let user = 42;
/// let login = key!("login", user);
/// assert_eq!(login, Key::new(module_path!(), "login").custom(user));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key<'a> {
    keyspace: Option<&'a Keyspace>,
    module: &'a str,
    function: &'a str,
    custom: Option<String>,
}

/// A [`Key`] of the module where this is written: `key!("login")`, or `key!("login", user.id)` to count each user's calls. Several
/// things may tell calls apart: `key!("price", product, currency)`.
#[macro_export]
macro_rules! key {
    ($function:expr) => {
        $crate::Key::new(::core::module_path!(), $function)
    };
    ($function:expr, $custom:expr) => {
        $crate::Key::new(::core::module_path!(), $function).custom($custom)
    };
    ($function:expr, $($part:expr),+) => {{
        // A statement, so that no reference lives on: futures that hold one would not be `Send`.
        let key = $crate::Key::new(::core::module_path!(), $function).custom_parts(&[$(&$part),+]);
        key
    }};
}

impl<'a> Key<'a> {
    /// All calls of a function.
    #[must_use]
    pub const fn new(module: &'a str, function: &'a str) -> Self {
        Self { keyspace: None, module, function, custom: None }
    }

    /// In another keyspace than that of the throttler.
    #[must_use]
    pub fn keyspace(self, keyspace: &'a Keyspace) -> Self {
        Self { keyspace: Some(keyspace), ..self }
    }

    /// Only those calls that have this in common: the id of a user, an address.
    #[must_use]
    pub fn custom(self, custom: impl fmt::Display) -> Self {
        Self { custom: Some(custom.to_string()), ..self }
    }

    /// Only those calls that have all of these in common. A single one is as [`custom`](Self::custom); several are joined by a
    /// colon, with a backslash before each colon and backslash that is in one, so that no two lists are the same key.
    ///
    /// ```
    /// use premier_client::key;
    ///
    /// assert_eq!(key!("price", "a:b", "c"), key!("price").custom(r"a\:b:c"));
    /// assert_ne!(key!("price", "a:b", "c"), key!("price", "a", "b:c"));
    /// ```
    #[must_use]
    pub fn custom_parts(self, parts: &[&dyn fmt::Display]) -> Self {
        if let [one] = parts {
            return self.custom(one);
        }
        let mut custom = String::new();
        for part in parts {
            for character in part.to_string().chars() {
                if matches!(character, ':' | '\\') {
                    custom.push('\\');
                }
                custom.push(character);
            }
            custom.push(':');
        }
        custom.pop();
        self.custom(custom)
    }
}

/// The first part of every key: what is in one keyspace is cleared together.
///
/// The keys in the store are `{keyspace}:{module}:{function}:{algorithm}`, with `:{custom}` behind where there is a custom part.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Keyspace(Cow<'static, str>);

impl Keyspace {
    /// What a name may be.
    pub(crate) const RULE: &str = "a keyspace must not be empty, and have no colon in it";

    /// A keyspace of this name.
    ///
    /// # Errors
    /// When the name is empty or has a colon in it, which would make it a part of another keyspace.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        if is_valid(&name) { Ok(Self(name.into())) } else { Err(Error::invalid_keyspace(name)) }
    }

    /// A keyspace of this name, for constants.
    ///
    /// # Panics
    /// When [`Keyspace::new`] returns an error.
    #[must_use]
    pub const fn from_static(name: &'static str) -> Self {
        assert!(is_valid(name), "{}", Self::RULE);
        Self(Cow::Borrowed(name))
    }

    /// The key as it is in the store.
    ///
    /// ```
    /// use premier_client::{Algorithm, Key, Keyspace};
    ///
    /// let key = Keyspace::default().key(&Key::new("shop::cart", "pay").custom(42), Algorithm::TokenBucket);
    /// assert_eq!(key, "premier:shop::cart:pay:token:42");
    /// ```
    #[must_use]
    pub fn key(&self, key: &Key<'_>, algorithm: Algorithm) -> String {
        self.name(key, algorithm.name())
    }

    /// A key of this kind, as it is in the store.
    pub(crate) fn name(&self, key: &Key<'_>, kind: &str) -> String {
        let Key { keyspace, module, function, custom } = key;
        let parts = [&*keyspace.unwrap_or(self).0, *module, *function, kind];
        let custom_len = custom.as_ref().map_or(0, String::len);
        let mut name = String::with_capacity(parts.iter().map(|part| part.len() + 1).sum::<usize>() + custom_len);
        for part in parts {
            name.push_str(part);
            name.push(':');
        }
        match custom {
            Some(custom) => name.push_str(custom),
            None => _ = name.pop(),
        }
        name
    }

    /// What all its keys begin with.
    pub(crate) fn prefix(&self) -> String {
        format!("{}:", self.0)
    }

    /// A glob that matches its keys and no others.
    pub(crate) fn glob(&self) -> String {
        let mut glob = String::new();
        for character in self.prefix().chars() {
            if matches!(character, '*' | '?' | '[' | ']' | '\\') {
                glob.push('\\');
            }
            glob.push(character);
        }
        glob.push('*');
        glob
    }
}

const fn is_valid(name: &str) -> bool {
    let name = name.as_bytes();
    let mut index = 0;
    while index < name.len() {
        if name[index] == b':' {
            return false;
        }
        index += 1;
    }
    index > 0
}

/// `premier`.
impl Default for Keyspace {
    fn default() -> Self {
        Self::from_static("premier")
    }
}

impl fmt::Display for Keyspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
