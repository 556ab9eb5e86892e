//! Limits by name, from a file.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;
use std::{fmt, fs, mem};

use toml::{Table, Value};

use crate::{Error, Key, PolicyLimit};

/// After how many milliseconds the file is read again, while policies are in use.
const INTERVAL: u64 = 1_000;

/// Limits by name, from a file in TOML that is read again when it changes. Cheap to clone.
///
/// A policy is a limit as [text](PolicyLimit#impl-FromStr-for-PolicyLimit), or a table of its
/// `limit` and of `overrides` for single keys, which limit rates if the limit does:
///
/// ```toml
/// login = "sliding 5/1m"
/// downloads = "hold 4/30s"
///
/// [api]
/// limit = "token 100/1m capacity 20"
/// overrides = { "ada" = "token 1000/1m", "partner-*" = "token 500/1m" }
/// ```
///
/// An override is for keys with this custom part, or with `*` at its end for all whose custom part
/// begins with the text before; an exact one takes precedence, then the longest. Several custom
/// parts are written as they are in the [store](Key): `acme:ada` is `key!("api", "acme", "ada")`,
/// and `'a\:b'` is `key!("api", "a:b")`. For a [`Key::exact`], an override names the whole key.
///
/// ```
/// use premier_client::{Backend, Policies, Throttler, key};
///
/// # let file = std::env::temp_dir().join(format!("premier-policies-{}.toml", std::process::id()));
/// # std::fs::write(&file, "[api]\nlimit = \"100/1m\"\noverrides = { ada = \"1000/1m\" }\n")?;
/// let policies = Policies::from_file(&file)?.on_invalid(|error| eprintln!("{error}"));
/// let throttler = Throttler::builder(Backend::memory()).policies(policies).build();
/// assert_eq!(throttler.check_policy("api", &key!("api", "bob"))?.limit(), 100);
/// assert_eq!(throttler.check_policy("api", &key!("api", "ada"))?.limit(), 1000);
/// # std::fs::remove_file(&file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A decorated function names its policy by `#[throttle(policy = "api")]`, and rules of the HTTP
/// layer find its limit by [`limit`](Self::limit).
///
/// The file is read again, at most every second, by a call that uses a policy. A change counts from
/// then on: the store keeps what was used, not the limit. With another algorithm a limit begins
/// anew, because the algorithm is a part of the key. If the file cannot be read, or is invalid, the
/// last valid one stays in use: [`last_error`](Self::last_error) returns the reason. Replace a file
/// by renaming another one, as half a file may be valid.
#[derive(Clone)]
pub struct Policies(Arc<Inner>);

struct Inner {
    path: PathBuf,
    policies: RwLock<BTreeMap<String, Policy>>,
    start: Instant,
    /// In milliseconds after the start, when to read the file again.
    read_at: AtomicU64,
    /// What was read last: the text, or why there is none.
    read: Mutex<Result<String, String>>,
    last_error: Mutex<Option<Error>>,
    listener: Mutex<Option<Listener>>,
}

type Listener = Arc<dyn Fn(&Error) + Send + Sync>;

/// The limits of a policy.
struct Policy {
    limit: PolicyLimit,
    overrides: HashMap<String, PolicyLimit>,
    /// Overrides by the beginning of a key, the longest first.
    prefixes: Vec<(String, PolicyLimit)>,
}

impl Policies {
    /// Reads policies from a file.
    ///
    /// # Errors
    /// If the file cannot be read, or is invalid: see [`Policies`]. A file without a policy is
    /// invalid, too.
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let read = read(&path);
        let policies = parse(&read).map_err(|reason| Error::invalid_policies(&path, reason))?;
        Ok(Self(Arc::new(Inner {
            path,
            policies: RwLock::new(policies),
            start: Instant::now(),
            read_at: AtomicU64::new(0),
            read: Mutex::new(read),
            last_error: Mutex::default(),
            listener: Mutex::default(),
        })))
    }

    /// Calls this listener with the reason when the file has become invalid or cannot be read. It
    /// runs in the call that noticed it, so it should return soon. All clones share it.
    #[must_use]
    pub fn on_invalid(self, listener: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        *self.0.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(listener));
        self
    }

    /// Returns the limit that a policy has for a key, for calls that a throttler decides by other
    /// methods than `check_policy`.
    ///
    /// # Errors
    /// If there is no policy of this name ([`Configuration`](crate::ErrorKind::Configuration)).
    pub fn limit(&self, policy: &str, key: &Key<'_>) -> Result<PolicyLimit, Error> {
        self.0.read_again();
        let policies = self.0.policies.read().unwrap_or_else(PoisonError::into_inner);
        match policies.get(policy) {
            Some(policy) => Ok(policy.limit_of(key)),
            None => Err(Error::unknown_policy(policy, policies.keys())),
        }
    }

    /// Returns why the file, as it was when it was read last, is not in use; `None` if it is.
    #[must_use]
    pub fn last_error(&self) -> Option<Error> {
        self.0.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Inner {
    /// Reads the file again if it is time, and no other call is at it.
    fn read_again(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        if now < self.read_at.load(Ordering::Relaxed) {
            return;
        }
        let Ok(mut last) = self.read.try_lock() else { return };
        self.read_at.store(now.saturating_add(INTERVAL), Ordering::Relaxed);
        let read = read(&self.path);
        // Not by its time, which may be the same after two changes.
        if read == *last {
            return;
        }
        let parsed = parse(&read);
        *last = read;
        let error = match parsed {
            Ok(policies) => {
                *self.policies.write().unwrap_or_else(PoisonError::into_inner) = policies;
                None
            }
            Err(reason) => Some(Error::invalid_policies(&self.path, reason)),
        };
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&error);
        drop(last);
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let (Some(listener), Some(error)) = (listener, error) {
            listener(&error);
        }
    }
}

impl Policy {
    fn limit_of(&self, key: &Key<'_>) -> PolicyLimit {
        if self.overrides.is_empty() && self.prefixes.is_empty() {
            return self.limit;
        }
        let caller = key.caller();
        let by_prefix = || self.prefixes.iter().find(|(prefix, _)| caller.starts_with(prefix)).map(|(_, limit)| limit);
        *self.overrides.get(&*caller).or_else(by_prefix).unwrap_or(&self.limit)
    }
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| error.to_string())
}

/// Reads policies from what was read, or returns what is wrong with it.
fn parse(read: &Result<String, String>) -> Result<BTreeMap<String, Policy>, String> {
    let text = read.as_ref().map_err(Clone::clone)?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let line =
            error.span().map_or(1, |span| 1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count());
        format!("line {line}: {}", error.message())
    })?;
    if table.is_empty() {
        return Err("it has no policy, expected name = \"quota/duration\"".to_owned());
    }
    let mut policies = BTreeMap::new();
    for (name, value) in table {
        let policy = policy(&value).map_err(|wrong| format!("policy {name:?}: {wrong}"))?;
        policies.insert(name, policy);
    }
    Ok(policies)
}

fn policy(value: &Value) -> Result<Policy, String> {
    let Value::Table(fields) = value else {
        return Ok(Policy { limit: limit(value)?, overrides: HashMap::new(), prefixes: Vec::new() });
    };
    if let Some(unknown) = fields.keys().find(|field| !matches!(field.as_str(), "limit" | "overrides")) {
        return Err(format!("unknown field {unknown:?}: expected limit or overrides"));
    }
    let of_all = limit(fields.get("limit").ok_or("the field limit is missing")?)?;
    let (mut overrides, mut prefixes) = (HashMap::new(), Vec::new());
    match fields.get("overrides") {
        None => {}
        Some(Value::Table(limits)) => {
            for (caller, value) in limits {
                let limit = limit(value).map_err(|wrong| format!("override {caller:?}: {wrong}"))?;
                if mem::discriminant(&limit) != mem::discriminant(&of_all) {
                    return Err(format!("override {caller:?}: {limit} cannot replace {of_all}"));
                }
                match caller.strip_suffix('*') {
                    Some(prefix) => prefixes.push((prefix.to_owned(), limit)),
                    None => drop(overrides.insert(caller.clone(), limit)),
                }
            }
        }
        Some(_) => return Err("overrides must be a table of limits".to_owned()),
    }
    prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    Ok(Policy { limit: of_all, overrides, prefixes })
}

fn limit(value: &Value) -> Result<PolicyLimit, String> {
    let text = value.as_str().ok_or("a limit must be a string, as in \"token 100/1m capacity 20\"")?;
    text.parse().map_err(|wrong: crate::InvalidLimit| wrong.to_string())
}

/// Prints the path of the file.
impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Policies").field(&self.0.path).finish()
    }
}
