use std::borrow::Cow;
use std::fmt;

use crate::{Algorithm, Error};

/// Which calls are counted together: all calls of a function, or those that have a custom part in
/// common.
///
/// [`key!`](crate::key) makes a key in the module where it is written.
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

/// Makes a [`Key`] in this module: `key!("login")`, or `key!("login", user.id)` to count the calls
/// of each user apart. There may be several custom parts: `key!("price", product, currency)`.
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
    /// Makes the key of all calls of a function.
    #[must_use]
    pub const fn new(module: &'a str, function: &'a str) -> Self {
        Self { keyspace: None, module, function, custom: None }
    }

    /// Moves the key to another keyspace than that of the throttler.
    #[must_use]
    pub fn keyspace(self, keyspace: &'a Keyspace) -> Self {
        Self { keyspace: Some(keyspace), ..self }
    }

    /// Counts apart the calls with this custom part: the id of a user, an address.
    #[must_use]
    pub fn custom(self, custom: impl fmt::Display) -> Self {
        Self { custom: Some(custom.to_string()), ..self }
    }

    /// Counts apart the calls with all of these custom parts.
    ///
    /// A single part is the same as [`custom`](Self::custom). Several are joined by colons. Colons
    /// and backslashes in a part are escaped by a backslash, so that no two lists make the same
    /// key.
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

/// The first part of every key. The keys of a keyspace are [cleared](crate::Throttler::clear)
/// together.
///
/// The keys in the store are `{keyspace}:{module}:{function}:{algorithm}`, followed by `:{custom}`
/// if there is a custom part.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Keyspace(Cow<'static, str>);

impl Keyspace {
    /// What a name may be.
    pub(crate) const RULE: &str = "a keyspace must be non-empty and contain no ':'";

    /// Makes a keyspace of this name.
    ///
    /// # Errors
    /// If the name is empty or contains a colon, which would make it a part of another keyspace.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        if is_valid(&name) { Ok(Self(name.into())) } else { Err(Error::invalid_keyspace(name)) }
    }

    /// Makes a keyspace of this name, for constants.
    ///
    /// # Panics
    /// If [`Keyspace::new`] would return an error.
    #[must_use]
    pub const fn from_static(name: &'static str) -> Self {
        assert!(is_valid(name), "{}", Self::RULE);
        Self(Cow::Borrowed(name))
    }

    /// Returns a key as it is in the store.
    ///
    /// ```
    /// use premier_client::{Algorithm, Key, Keyspace};
    ///
    /// let key = Key::new("shop::cart", "pay").custom(42);
    /// let key = Keyspace::default().key(&key, Algorithm::TokenBucket);
    /// assert_eq!(key, "premier:shop::cart:pay:token:42");
    /// ```
    #[must_use]
    pub fn key(&self, key: &Key<'_>, algorithm: Algorithm) -> String {
        self.name(key, algorithm.name())
    }

    /// Returns a key as it is in the store, with this kind in place of the algorithm.
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

    /// Returns what all its keys begin with.
    pub(crate) fn prefix(&self) -> String {
        format!("{}:", self.0)
    }

    /// Returns a glob that matches its keys and no others.
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

/// The keyspace `premier`.
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
