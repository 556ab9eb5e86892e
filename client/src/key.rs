use std::borrow::Cow;
use std::fmt::{self, Write as _};

use crate::{AnyAlgorithm, Error};

/// Which calls are counted together.
///
/// | made by | in the store |
/// | --- | --- |
/// | [`key!("mail", user)`](crate::key), [`Key::named`] | `{keyspace}:mail:{algorithm}:{user}` |
/// | an attribute, [`Key::new`] | `{keyspace}:{module}:{function}:{algorithm}`, and `:{custom}` if there is a custom part |
/// | [`Key::exact("user:42")`](Key::exact) | `user:42` |
///
/// For a cache, `cache` replaces the algorithm.
///
/// ```
/// use premier_client::{Algorithm, Key, Keyspace, key};
///
/// let user = 42;
/// let stored = |key| Keyspace::default().key(&key, Algorithm::TokenBucket);
/// assert_eq!(stored(key!("mail", user)), "premier:mail:token:42");
/// assert_eq!(stored(Key::new("shop::cart", "pay").custom(user)), "premier:shop::cart:pay:token:42");
/// assert_eq!(stored(Key::exact("user:42")), "user:42");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key<'a> {
    keyspace: Option<&'a Keyspace>,
    name: Name<'a>,
    custom: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Name<'a> {
    /// Colons in it are escaped, so it is never a module and its function.
    Given(&'a str),
    Function {
        module: &'a str,
        function: &'a str,
        /// Where a function in a block is, as other blocks may have functions of the same name.
        place: Option<Place>,
    },
    Exact(Cow<'a, str>),
}

/// Where a function in a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// The line and column where it is written.
    pub(crate) written: (u32, u32),
    /// Those where the macro is used that it is written in; the same if it is in no macro.
    pub(crate) expanded: (u32, u32),
    /// How many functions were made of the same words before, as a macro may repeat them.
    pub(crate) repetition: u32,
}

/// Makes a [`Key`] of this name: `key!("login")`, or `key!("login", user.id)` to count the calls of
/// each user apart. There may be several custom parts: `key!("price", product, currency)`.
///
/// The parts are borrowed. The same name is the same key in all programs that use the store and the
/// keyspace.
///
/// ```
/// use premier_client::{Key, key};
///
/// let (product, currency) = ("tea".to_owned(), "EUR".to_owned());
/// assert_eq!(key!("price"), Key::named("price"));
/// assert_eq!(key!("price", product), Key::named("price").custom(&product));
/// assert_eq!(key!("price", product, currency), Key::named("price").custom_parts(&[&product, &currency]));
/// ```
#[macro_export]
macro_rules! key {
    ($name:expr $(,)?) => {
        $crate::Key::named($name)
    };
    ($name:expr, $($part:expr),+ $(,)?) => {{
        // A statement, so that no reference lives on: futures that hold one would not be `Send`.
        let key = $crate::Key::named($name).custom_parts(&[$(&$part),+]);
        key
    }};
}

impl<'a> Key<'a> {
    /// Makes a key of this name, as [`key!`](crate::key) does. Colons and backslashes in the name
    /// are escaped by a backslash.
    #[must_use]
    pub const fn named(name: &'a str) -> Self {
        Self::of(Name::Given(name))
    }

    /// Makes the key of a function, as the attributes do: of [`module_path!`] and its name. The
    /// name of a method includes its type, like `Shop::open`.
    #[must_use]
    pub const fn new(module: &'a str, function: &'a str) -> Self {
        Self::of(Name::Function { module, function, place: None })
    }

    /// Makes a key that is exactly this in the store, without the keyspace of the throttler and
    /// without the algorithm, to share it with programs in other languages for example.
    ///
    /// Limits of different algorithms cannot share an exact key: while one uses it, the others are
    /// [`Refused`](crate::ErrorKind::Refused). The key is [cleared](crate::Throttler::clear) with a
    /// keyspace only if it begins with its name and a colon.
    ///
    /// A [keyspace](Self::keyspace) and [custom](Self::custom) parts that are added later become
    /// its beginning and its end: `Key::exact("user").custom(42)` is `user:42`.
    #[must_use]
    pub fn exact(key: impl Into<Cow<'a, str>>) -> Self {
        Self::of(Name::Exact(key.into()))
    }

    const fn of(name: Name<'a>) -> Self {
        Self { keyspace: None, name, custom: None }
    }

    /// Moves the key to another keyspace than that of the throttler.
    #[must_use]
    pub fn keyspace(self, keyspace: &'a Keyspace) -> Self {
        Self { keyspace: Some(keyspace), ..self }
    }

    /// Makes the key of a function in a block.
    #[cfg(feature = "macros")]
    pub(crate) const fn in_block(module: &'a str, function: &'a str, place: Place) -> Self {
        Self::of(Name::Function { module, function, place: Some(place) })
    }

    /// Returns the name of its limit: the name of the key, or the module and the function. It does
    /// not have what tells callers apart, so that there are few names.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(crate) fn limit_name(&self) -> Cow<'_, str> {
        match &self.name {
            Name::Given(name) => Cow::Borrowed(name),
            Name::Function { module, function, .. } => Cow::Owned(format!("{module}::{function}")),
            Name::Exact(_) => Cow::Borrowed("exact"),
        }
    }

    /// Returns what tells it apart from the other keys of its name: the custom part, or the whole
    /// exact key.
    #[cfg(feature = "policies")]
    pub(crate) fn caller(&self) -> Cow<'_, str> {
        match (&self.name, self.custom.as_deref()) {
            (Name::Exact(key), None) => Cow::Borrowed(key),
            (Name::Exact(key), Some(custom)) => Cow::Owned(format!("{key}:{custom}")),
            (_, custom) => Cow::Borrowed(custom.unwrap_or_default()),
        }
    }

    /// Counts apart the calls with this custom part: the id of a user, an address. It is the end of
    /// the key, as it is.
    #[must_use]
    pub fn custom(self, custom: impl fmt::Display) -> Self {
        Self { custom: Some(custom.to_string()), ..self }
    }

    /// Counts apart the calls with all of these custom parts.
    ///
    /// They are joined by colons. Colons and backslashes in a part are escaped by a backslash, so
    /// that no two lists make the same key.
    ///
    /// ```
    /// use premier_client::key;
    ///
    /// assert_eq!(key!("price", "a:b", "c"), key!("price").custom(r"a\:b:c"));
    /// assert_ne!(key!("price", "a:b", "c"), key!("price", "a", "b:c"));
    /// assert_ne!(key!("price", "a:b"), key!("price", "a", "b"));
    /// ```
    #[must_use]
    pub fn custom_parts(self, parts: &[&dyn fmt::Display]) -> Self {
        let mut custom = String::new();
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                custom.push(':');
            }
            push_escaped(&mut custom, &part.to_string());
        }
        self.custom(custom)
    }
}

fn push_escaped(key: &mut String, part: &str) {
    for character in part.chars() {
        if matches!(character, ':' | '\\') {
            key.push('\\');
        }
        key.push(character);
    }
}

/// The first part of every key that is not [exact](Key::exact). The keys of a keyspace are
/// [cleared](crate::Throttler::clear) together. [`Key`] shows the other parts.
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
    #[track_caller]
    pub const fn from_static(name: &'static str) -> Self {
        assert!(is_valid(name), "{}", Self::RULE);
        Self(Cow::Borrowed(name))
    }

    /// Returns a key as it is in the store.
    ///
    /// ```
    /// use premier_client::{Algorithm, Keyspace, key};
    ///
    /// let key = Keyspace::from_static("shop").key(&key!("pay", 42), Algorithm::TokenBucket);
    /// assert_eq!(key, "shop:pay:token:42");
    /// ```
    #[must_use]
    pub fn key(&self, key: &Key<'_>, algorithm: impl Into<AnyAlgorithm>) -> String {
        self.name(key, algorithm.into().name())
    }

    /// Returns a key as it is in the store, with this kind in place of the algorithm.
    pub(crate) fn name(&self, key: &Key<'_>, kind: &str) -> String {
        let Key { keyspace, name, custom } = key;
        let custom = custom.as_deref();
        let keyspace = if let Name::Exact(_) = name { *keyspace } else { Some(keyspace.unwrap_or(self)) };
        let mut stored = String::with_capacity(USUAL_LEN + custom.map_or(0, str::len));
        if let Some(Self(keyspace)) = keyspace {
            stored.push_str(keyspace);
            stored.push(':');
        }
        match name {
            Name::Exact(key) => stored.push_str(key),
            Name::Given(name) => push_escaped(&mut stored, name),
            Name::Function { module, function, place } => {
                stored.push_str(module);
                stored.push(':');
                // A brace would begin the part of the key that selects its node in a cluster.
                stored.extend(function.split(['{', '}']));
                if let Some(Place { written, expanded, repetition }) = place {
                    let _infallible = write!(stored, "@{}:{}", written.0, written.1);
                    if expanded != written {
                        let _infallible = write!(stored, "@{}:{}", expanded.0, expanded.1);
                    }
                    if *repetition > 0 {
                        let _infallible = write!(stored, "@{repetition}");
                    }
                }
            }
        }
        if !matches!(name, Name::Exact(_)) {
            stored.push(':');
            stored.push_str(kind);
        }
        if let Some(custom) = custom {
            stored.push(':');
            stored.push_str(custom);
        }
        stored
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

/// The space for a key of ordinary length, without its custom part.
const USUAL_LEN: usize = 64;

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
