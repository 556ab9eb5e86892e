use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use arrayvec::ArrayString;

use crate::{AnyAlgorithm, Error};

/// Which calls are counted together.
///
/// | made by | in the store |
/// | --- | --- |
/// | [`key!("mail", user)`](crate::key), [`Key::named`] | `{keyspace}:mail:{algorithm}:{user}` |
/// | an attribute, [`Key::new`] | `{keyspace}:{module}:{function}:{algorithm}`, and `:{custom}` if there is a custom part |
/// | [`Key::exact("user:42")`](Key::exact) | `user:42` |
///
/// For a cache, `cache` replaces the algorithm. Do not give a key the name of a crate: in the root
/// of the crate `shop`, a function with the name of an algorithm, such as `token`, has the same
/// keys as `key!("shop", "token")`.
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
    custom: Option<Custom<'a>>,
}

/// The custom part of a key: borrowed, or made for it.
#[derive(Clone)]
enum Custom<'a> {
    Borrowed(&'a str),
    Made(KeyText),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Name<'a> {
    /// Colons in it are escaped, so it is no module within a crate. It may be a crate, with a
    /// function that is called like the algorithm: [`Key`] warns of that.
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
        use $crate::__part::{Number as _, Other as _};
        let mut key = $crate::Key::named($name);
        // Statements, so that no reference lives on: futures that hold one would not be `Send`.
        $((&$crate::__part::Part(&$part)).add_to(&mut key);)+
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

    /// Makes the key of a function, as the attributes do: of [`module_path!`] and its name, without
    /// `r#`. The name of a method includes its type, like `Shop::open`.
    #[must_use]
    pub const fn new(module: &'a str, function: &'a str) -> Self {
        Self::of(Name::Function { module, function, place: None })
    }

    /// Makes a key that is exactly this text in the store, without the keyspace of the throttler
    /// and without the algorithm: to share it with programs in other languages, for example.
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

    /// Counts apart the calls with this custom part, such as the id of a user or an address. The
    /// part ends the key, unescaped.
    #[must_use]
    #[inline]
    pub fn custom(self, custom: impl fmt::Display) -> Self {
        self.custom_written(|text| {
            let _infallible = write!(text, "{custom}");
        })
    }

    /// [`custom`](Self::custom) for a text, which is borrowed or moved instead of copied.
    #[must_use]
    pub fn custom_text(self, custom: impl Into<Cow<'a, str>>) -> Self {
        let custom = match custom.into() {
            Cow::Borrowed(custom) => Custom::Borrowed(custom),
            Cow::Owned(custom) => Custom::Made(KeyText::Long(custom)),
        };
        Self { custom: Some(custom), ..self }
    }

    /// Begins another custom part of [`key!`](crate::key), behind a colon if it is not the first.
    #[inline]
    fn next_part(&mut self) -> &mut KeyText {
        if let Some(Custom::Made(text)) = &mut self.custom {
            text.push_str(":");
        } else {
            self.custom = Some(Custom::Made(KeyText::default()));
        }
        match &mut self.custom {
            Some(Custom::Made(text)) => text,
            _ => unreachable!("it is made"),
        }
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
    #[inline]
    pub fn custom_parts(self, parts: &[&dyn fmt::Display]) -> Self {
        self.custom_written(|text| text.push_parts(parts))
    }

    /// Writes the custom part where it stays: a copy made at once would wait for the writes.
    #[inline]
    fn custom_written(self, write: impl FnOnce(&mut KeyText)) -> Self {
        let mut key = Self { custom: Some(Custom::Made(KeyText::default())), ..self };
        if let Some(Custom::Made(text)) = &mut key.custom {
            write(text);
        }
        key
    }
}

impl Deref for Custom<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(custom) => custom,
            Self::Made(custom) => custom,
        }
    }
}

impl fmt::Debug for Custom<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl PartialEq for Custom<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Custom<'_> {}

impl Hash for Custom<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

/// How [`key!`](crate::key) adds its parts. The compiler finds `add_to` of a `Number` before that
/// of any `Other` part, for which it has to take another reference.
#[doc(hidden)]
pub mod __part {
    use std::fmt::{Display, Write as _};

    use super::{Escaped, Key};

    /// A part of a key.
    #[derive(Debug)]
    pub struct Part<'a, T: ?Sized>(pub &'a T);

    /// A whole number, written by itoa, as `fmt` would take most of the time of a key.
    pub trait Number {
        fn add_to(&self, key: &mut Key<'_>);
    }

    macro_rules! numbers {
        ($($number:ty)+) => {
            $(impl Number for Part<'_, $number> {
                #[inline]
                fn add_to(&self, key: &mut Key<'_>) {
                    key.next_part().push_str(itoa::Buffer::new().format(*self.0));
                }
            })+
        };
    }

    numbers! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize }

    /// Whatever can be displayed.
    pub trait Other {
        fn add_to(&self, key: &mut Key<'_>);
    }

    impl<T: Display + ?Sized> Other for &Part<'_, T> {
        fn add_to(&self, key: &mut Key<'_>) {
            let _infallible = write!(Escaped(key.next_part()), "{}", self.0);
        }
    }
}

/// Escapes colons and backslashes of what is written to it, by a backslash.
struct Escaped<'a>(&'a mut KeyText);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.0.push_escaped(part);
        Ok(())
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
        self.stored(key, algorithm).into()
    }

    /// Returns a key as it is in the store, without an allocation if it is short.
    #[inline]
    pub(crate) fn stored(&self, key: &Key<'_>, algorithm: impl Into<AnyAlgorithm>) -> KeyText {
        self.name(key, algorithm.into().name())
    }

    /// Returns a key as it is in the store, with this kind in place of the algorithm.
    #[inline]
    pub(crate) fn name(&self, key: &Key<'_>, kind: &str) -> KeyText {
        let mut stored = KeyText::default();
        self.write_name(key, kind, &mut stored);
        stored
    }

    /// Writes a [`name`](Self::name) where it stays.
    pub(crate) fn write_name(&self, key: &Key<'_>, kind: &str, stored: &mut KeyText) {
        let Key { keyspace, name, custom } = key;
        let custom = custom.as_deref();
        let keyspace = if let Name::Exact(_) = name { *keyspace } else { Some(keyspace.unwrap_or(self)) };
        if let Some(Self(keyspace)) = keyspace {
            stored.push_str(keyspace);
            stored.push_str(":");
        }
        match name {
            Name::Exact(key) => stored.push_str(key),
            Name::Given(name) => stored.push_escaped(name),
            Name::Function { module, function, place } => {
                without_raw(module).for_each(|part| stored.push_str(part));
                stored.push_str(":");
                stored.push_function(function);
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
            stored.push_str(":");
            stored.push_str(kind);
        }
        if let Some(custom) = custom {
            stored.push_str(":");
            stored.push_str(custom);
        }
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

/// The text of a key as it is in the store, or of its custom part. A short one needs no allocation.
#[derive(Clone)]
pub(crate) enum KeyText {
    Short(ArrayString<SHORT>),
    Long(String),
}

/// The length in bytes of the longest short key. With its length, such a key takes 64 bytes.
const SHORT: usize = 60;

impl KeyText {
    #[inline]
    fn push_str(&mut self, part: &str) {
        let is_pushed = match self {
            Self::Short(key) => key.try_push_str(part).is_ok(),
            Self::Long(_) => false,
        };
        if !is_pushed {
            self.push_beyond(part);
        }
    }

    #[cold]
    fn push_beyond(&mut self, part: &str) {
        match self {
            Self::Short(key) => {
                let mut long = String::with_capacity(2 * SHORT + part.len());
                long.push_str(key);
                long.push_str(part);
                *self = Self::Long(long);
            }
            Self::Long(key) => key.push_str(part),
        }
    }

    /// Adds parts joined by colons, each of them escaped.
    fn push_parts(&mut self, parts: &[&dyn fmt::Display]) {
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                self.push_str(":");
            }
            let _infallible = write!(Escaped(self), "{part}");
        }
    }

    /// Adds the name of a function. Rust writes `<impl Rates for Bank>::rate` if the impl is in a
    /// third module, and `<Bank as Rates>::rate` otherwise, for which there is no other impl.
    fn push_function(&mut self, function: &str) {
        if let Some((rates, bank, rate)) = of_trait_impl(function) {
            for part in ["<", bank, " as ", rates, ">::", rate] {
                self.push_without_braces(part);
            }
        } else {
            self.push_without_braces(function);
        }
    }

    /// Adds a part with its braces replaced, as one would begin the part of the key that selects
    /// its node in a cluster.
    fn push_without_braces(&mut self, part: &str) {
        let mut rest = part;
        while let Some(at) = rest.find(['{', '}']) {
            self.push_str(&rest[..at]);
            let replaced = [("{{closure}}", "closure"), ("{", "%7B"), ("}", "%7D")];
            for (braced, replacement) in replaced {
                if let Some(behind) = rest[at..].strip_prefix(braced) {
                    self.push_str(replacement);
                    rest = behind;
                    break;
                }
            }
        }
        self.push_str(rest);
    }

    /// Adds a part with a backslash before each colon and backslash.
    #[inline]
    fn push_escaped(&mut self, part: &str) {
        // Both are single bytes, which are found faster than characters.
        if part.bytes().any(|byte| matches!(byte, b':' | b'\\')) {
            self.push_escaping(part);
        } else {
            self.push_str(part);
        }
    }

    #[cold]
    fn push_escaping(&mut self, part: &str) {
        for character in part.chars() {
            if matches!(character, ':' | '\\') {
                self.push_str("\\");
            }
            self.push_str(character.encode_utf8(&mut [0; 4]));
        }
    }
}

/// Returns the parts of a module's path, which is without `r#` if they are joined.
pub(crate) fn without_raw(module: &str) -> impl Iterator<Item = &str> {
    module.split_inclusive('#').map(|part| part.strip_suffix("r#").unwrap_or(part))
}

/// Takes `<impl Rates for Bank>::rate` apart.
fn of_trait_impl(function: &str) -> Option<(&str, &str, &str)> {
    let (rates, bank) = function.strip_prefix("<impl ")?.split_once(" for ")?;
    let (bank, rate) = bank.rsplit_once(">::")?;
    Some((rates, bank, rate))
}

impl fmt::Write for KeyText {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.push_str(part);
        Ok(())
    }
}

impl Deref for KeyText {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Short(key) => key,
            Self::Long(key) => key,
        }
    }
}

impl AsRef<str> for KeyText {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Default for KeyText {
    #[inline]
    fn default() -> Self {
        Self::Short(ArrayString::new())
    }
}

impl From<KeyText> for String {
    fn from(key: KeyText) -> Self {
        match key {
            KeyText::Short(key) => key.as_str().to_owned(),
            KeyText::Long(key) => key,
        }
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
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
