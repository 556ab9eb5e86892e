//! The attributes of `premier-client`, which exports them. Its module `decorate` says how they work
//! together.

mod algorithm;
mod arguments;
mod borrows;
mod cache;
mod concurrency;
mod duration;
mod function;
mod futures;
mod key;
mod layers;
mod limit;
mod names;
#[cfg(test)]
mod refusals;
mod retry;
mod throttle;
mod timeout;
mod window;

use proc_macro::TokenStream;

macro_rules! attributes {
    ($($(#[$doc:meta])* $name:ident)+) => {
        $(
            $(#[$doc])*
            #[proc_macro_attribute]
            pub fn $name(arguments: TokenStream, function: TokenStream) -> TokenStream {
                layers::defer(stringify!($name), &arguments.into(), &function.into()).into()
            }
        )+
    };
}

/// The documentation that all attributes share that limit: the arguments, with the rows that only
/// some of them have.
macro_rules! limit_arguments {
    () => {
        limit_arguments!([] [])
    };
    ([$($before_cost:literal)?] [$($after_cost:literal)?]) => {
        concat!(
            "\n# Arguments\n\n",
            "| argument | meaning | default |\n",
            "| --- | --- | --- |\n",
            "| `quota` | units admitted per duration, 0 to 10^12 | required |\n",
            "| `duration` | the time that the quota is for, 1 ms to 3650 days | required |\n",
            $($before_cost, "\n",)?
            "| `cost` | units that a call takes, 1 to 10^12 | 1 |\n",
            "| `keep` | units that must remain after a call, 0 to 10^12 | 0 |\n",
            $($after_cost, "\n",)?
            "| `key` | a closure over the arguments: calls for which it returns the same value share the limit | all calls share it |\n",
            "| `keyspace` | a string, the first part of the key | that of the throttler |\n",
            "| `throttler` | a `Throttler`, for an async function an `AsyncThrottler` | the configured one |\n",
            "| `on_limit` | what a call that is not admitted does: `error`, `wait(\"10s\")` or any expression | `error` |\n",
            "| `decision` | a name by which the body of an admitted call sees its `Decision` | none |\n",
            "| `crate` | the path of `premier_client`, if another crate exports it | found in Cargo.toml |\n",
            "\n",
            "A duration is a string with a unit (`500ms`, `1m30s`, `2w`) or an expression of type `Duration`. Literals \
             are checked at compile time. Other expressions are evaluated at each call and may use the function's arguments; a \
             value out of bounds is an error of that call.\n",
            key_closure!(),
            "The keyspace, module, function and algorithm are part of every key, so two functions never share a limit. The \
             function includes the type of a method, with its type parameters.\n",
            "\n# What a call that is not admitted does\n\n",
            "- `error`: it returns the error, converted by `From`. The function must return a `Result`.\n",
            "- `wait(\"10s\")`: it waits until it is admitted, 10 s at most. Then it returns the error, or panics with it if the \
             function returns no `Result`.\n",
            "- Any other expression: it returns the expression's value. The expression sees `error`, of type \
             `premier_client::Error`, the function's arguments and `self`. `error.decision()` is the decision with its retry-after, \
             or `None` if the store did not answer.\n",
        )
    };
}

/// The documentation of `key`.
macro_rules! key_closure {
    () => {
        "\n# The key\n\n\
         The `key` closure has one parameter for each argument except `self`, which its body may use. Write `_` for an argument \
         that the key does not need, and nothing for one that a `#[cfg]` removes. A parameter is a reference to its argument, and may be a pattern, like `|(x, y)|`. If the \
         argument is a pattern, it must bind one name, and the parameter is a reference to what that name is bound to: for \
         `Path(user): Path<String>` the closure `|user| user` gets a `&String`. The closure must return a value that implements \
         `Display`.\n\n\
         The key of a function in a block has its line and column, so it changes when the function is moved. The same holds for \
         a private associated function whose signature has neither `self` nor `Self`, as Rust gives it the path of a function in a \
         function: write `pub(crate)`, or `where Self: Sized`.\n\n"
    };
}

attributes! {
    /// Limits a function to a quota of calls in a window, which the first call opens.
    ///
    /// ```
    /// use premier_client::{Error, fixed_window};
    ///
    /// #[fixed_window(quota = 100, duration = "1m", key = |user| user)]
    /// fn greet(user: &str) -> Result<String, Error> {
    ///     Ok(format!("hello, {user}"))
    /// }
    /// ```
    ///
    /// The 101st call of a user within a minute of the first returns an error of the kind
    /// `QuotaExceeded`.
    ///
    /// With `aligned` windows follow the calendar: a duration of `1d` begins at midnight, `1w` on
    /// Monday, and `1mo` to `120mo` are calendar months, in the `zone`.
    ///
    /// ```
    /// use premier_client::{Error, fixed_window};
    ///
    /// #[fixed_window(quota = 3, duration = "1mo", aligned, zone = "+02:00", key = |customer| customer)]
    /// fn report(customer: &str) -> Result<(), Error> {
    ///     # let _ = customer;
    ///     // …
    ///     Ok(())
    /// }
    /// ```
    ///
    /// A zone is a string with an offset from UTC, or an expression of type `Zone`.
    #[doc = limit_arguments!(
        ["| `aligned` | given without a value: windows follow the calendar | the first call opens a window |\n\
          | `zone` | the clock of the calendar | UTC |"]
        []
    )]
    fixed_window
    /// Limits a function to a quota of calls in any span of the duration.
    ///
    /// ```
    /// use premier_client::sliding_window;
    ///
    /// #[sliding_window(quota = 3, duration = "1h", key = |address, _| address, on_limit = false)]
    /// fn login(address: std::net::IpAddr, password: &str) -> bool {
    ///     password == "correct horse battery staple"
    /// }
    /// ```
    ///
    /// The fourth call from an address within an hour of the first returns `false`.
    #[doc = limit_arguments!()]
    sliding_window
    /// Limits a function by a bucket of tokens, which is full at first and refilled continuously.
    ///
    /// ```
    /// use premier_client::{Error, token_bucket};
    ///
    /// #[token_bucket(quota = 10, duration = "1s", capacity = 50, cost = rows, on_limit = wait("5s"))]
    /// async fn export(rows: u64) -> Result<(), Error> {
    ///     # let _ = rows;
    ///     // …
    ///     Ok(())
    /// }
    /// ```
    ///
    /// 50 rows can be exported at once, then ten a second. A call waits up to five seconds for its
    /// tokens.
    ///
    /// The body sees the decision that admitted the call if the attribute names it:
    ///
    /// ```
    /// use premier_client::{Error, token_bucket};
    ///
    /// #[token_bucket(quota = 100, duration = "1m", capacity = 20, decision = decision)]
    /// async fn headers() -> Result<[(&'static str, String); 2], Error> {
    ///     let (left, reset) = (decision.remaining(), decision.reset_after().as_secs());
    ///     Ok([
    ///         ("ratelimit-policy", format!("\"api\";q={};w=60", decision.limit())),
    ///         ("ratelimit", format!("\"api\";r={left};t={reset}")),
    ///     ])
    /// }
    /// ```
    #[doc = limit_arguments!(
        ["| `capacity` | tokens that the bucket holds, 1 to 10^12 | the quota |"]
        ["| `max_wait` | how long a call may wait for tokens that it borrows, up to 3650 days | it borrows none |"]
    )]
    token_bucket
    /// Limits a function by a queue, which its calls leave one at a time, at an even pace.
    ///
    /// ```
    /// use premier_client::{Error, leaky_bucket};
    ///
    /// #[leaky_bucket(quota = 2, duration = "1s", capacity = 10, max_wait = "3s")]
    /// async fn send(message: String) -> Result<(), Error> {
    ///     # let _ = message;
    ///     // …
    ///     Ok(())
    /// }
    /// ```
    ///
    /// A message is sent every half second. A call waits for its turn before the body runs. It
    /// returns an error at once if ten calls are in the queue, or if its turn is more than three
    /// seconds away.
    #[doc = limit_arguments!(
        ["| `capacity` | units that the queue holds, including the one being served, 1 to 10^12 | the quota |"]
        ["| `max_wait` | the longest wait for a turn, up to 3650 days | no bound |"]
    )]
    leaky_bucket
    /// Limits a function by the algorithm that is configured, or by one that an expression selects.
    ///
    /// ```
    /// use premier_client::{Algorithm, Error, throttle};
    ///
    /// #[throttle(quota = 100, duration = "1m")]
    /// fn by_the_configured_algorithm() -> Result<(), Error> {
    ///     Ok(())
    /// }
    ///
    /// #[throttle(algorithm = Algorithm::SlidingWindow, quota = 100, duration = "1m")]
    /// fn by_a_sliding_window() -> Result<(), Error> {
    ///     Ok(())
    /// }
    /// ```
    ///
    /// `configure().algorithm(…)` selects the algorithm when the program starts.
    ///
    /// With the feature `policies` of `premier-client`, a limit may have a name in the policies of
    /// the throttler, in place of its quota, duration and algorithm: `#[throttle(policy = "api")]`.
    #[doc = limit_arguments!(
        ["| `algorithm` | an expression of type `Algorithm` | the configured one |"]
        ["| `policy` | the name of a limit in the throttler's policies, in place of quota, duration and algorithm | none |"]
    )]
    throttle
    /// Limits how many calls of a function run at the same time, in all processes together.
    ///
    /// ```
    /// use premier_client::{Error, concurrency};
    ///
    /// #[concurrency(quota = 10, lease = "30s", key = |model, _| model, on_limit = wait("5s"))]
    /// async fn complete(model: &str, prompt: &str) -> Result<String, Error> {
    ///     # let _ = (model, prompt);
    ///     // …
    ///     Ok("Because of Rayleigh scattering.".to_owned())
    /// }
    /// ```
    ///
    /// Ten prompts of a model are at work at the same time. The eleventh waits up to five seconds
    /// for one of them to end. If a process dies, its places are free after 30 seconds.
    ///
    /// A call holds a `Permit`, for an async function an `AsyncPermit`, while its body runs, and
    /// gives it back when the body returns or panics, and when its future is dropped. The permit of
    /// an async function is renewed in the background. A sync function that may take longer than
    /// the lease renews its own:
    ///
    /// ```
    /// use premier_client::{Error, concurrency};
    ///
    /// #[concurrency(quota = 2, lease = "30s", permit = permit)]
    /// fn import(files: &[String]) -> Result<(), Error> {
    ///     for file in files {
    ///         # let _ = file;
    ///         // …
    ///         permit.renew()?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// The call goes on if its permit is lost, for example because the store was away for a whole
    /// lease. `permit.is_lost()` reports that.
    ///
    /// # Arguments
    ///
    /// | argument | meaning | default |
    /// | --- | --- | --- |
    /// | `quota` | units held at the same time, 0 to 10^12 | required |
    /// | `lease` | how long a process that has died keeps its units, 1 ms to 3650 days | required |
    /// | `cost` | units that a call holds, 1 to 10^12 | 1 |
    /// | `keep` | units that must remain for more important calls, 0 to 10^12 | 0 |
    /// | `key` | a closure over the arguments: calls for which it returns the same value share the limit | all calls share it |
    /// | `keyspace` | a string, the first part of the key | that of the throttler |
    /// | `throttler` | a `Throttler`, for an async function an `AsyncThrottler` | the configured one |
    /// | `on_limit` | what a call that finds no place does: `error`, `wait("10s")` or any expression | `error` |
    /// | `permit` | a name by which the body sees its permit | none |
    /// | `crate` | the path of `premier_client`, if another crate exports it | found in Cargo.toml |
    ///
    /// A lease is a string with a unit (`500ms`, `1m30s`, `2w`) or an expression of type
    /// `Duration`. Literals are checked at compile time, other expressions at each call.
    #[doc = key_closure!()]
    ///
    /// # What a call that finds no place does
    ///
    /// As for the other limits: `error` returns the error, converted by `From`; `wait("10s")`
    /// waits that long at most, behind the calls that came before; any other expression is what the
    /// call returns.
    concurrency
    /// Repeats calls that return an error, after a delay.
    ///
    /// ```
    /// use premier_client::{Error, fixed_window, retry};
    ///
    /// #[retry(max = 5, strategy = "expo", delay = "50ms", on = [QuotaExceeded, Timeout])]
    /// #[fixed_window(quota = 10, duration = "1s")]
    /// async fn fetch(url: &str) -> Result<String, Error> {
    ///     Ok(format!("the page at {url}"))
    /// }
    /// ```
    ///
    /// # Arguments
    ///
    /// | argument | meaning | default |
    /// | --- | --- | --- |
    /// | `max` | attempts in all, the first included, at least 1 | 3 |
    /// | `strategy` | `"expo"`: each delay is twice as long, up to `max_delay`; `"linear"`: each is longer by the first, up to `max_delay`; `"fixed"`; or any `Fn(u32) -> Duration` from the number of failed attempts to a delay | `"expo"` |
    /// | `delay` | the first delay, unless the strategy is a function | `"100ms"` |
    /// | `max_delay` | the longest delay, and the longest wait for a limit | `"1m"`, or `delay` if that is longer; no bound for the delays of a function |
    /// | `jitter` | whether a random part of the delay is added to each pause | `true` |
    /// | `on` | which errors to retry: a list of `ErrorKind`s of this crate, by name, and of predicates over the function's error | all errors |
    /// | `crate` | the path of `premier_client`, if another crate exports it | found in Cargo.toml |
    ///
    /// A predicate is a function or a closure that takes a reference to the error, like `|error|
    /// error.is_transient()`. An error is retried if one entry of the list matches.
    ///
    /// A limited call is never repeated before its retry-after, to which the jitter is added. It is
    /// not repeated at all if the limit can never admit it, or not within `max_delay`: then the
    /// call returns the error at once. This holds for each limit in an attribute below. If the body
    /// calls a limited function, the `premier_client::Error` must be the function's error or one of
    /// its sources, also within an `anyhow::Error` or a `Box<dyn Error>`.
    ///
    /// If a limit below stops the last attempt, the call returns the error of the last attempt
    /// whose body ran.
    ///
    /// The body may run several times, so it cannot move an argument out: clone it there. An
    /// argument cannot be `mut`, and the result cannot borrow from a `&mut` argument. The future of
    /// an async function is `Send` only if its arguments are `Sync`.
    retry
    /// Drops an async call that takes too long.
    ///
    /// ```
    /// use premier_client::{Error, timeout};
    ///
    /// #[timeout("60s")]
    /// async fn report(year: u16) -> Result<String, Error> {
    ///     Ok(format!("the report of {year}"))
    /// }
    /// ```
    ///
    /// # Arguments
    ///
    /// | argument | meaning | default |
    /// | --- | --- | --- |
    /// | the first, without a name | how long a call may take: a string with a unit (`500ms`, `1m30s`, `2w`) or an expression of type `Duration`, which may use the function's arguments | required |
    /// | `crate` | the path of `premier_client`, if another crate exports it | found in Cargo.toml |
    ///
    /// The call is dropped where it awaits, and returns an error of the kind `Timeout`, converted
    /// by `From`: the function must return a `Result`. A sync function cannot have this attribute,
    /// because a thread cannot be stopped from outside. Write it above `#[tokio::main]`, which
    /// makes a function sync.
    timeout
    /// Remembers the result of a call for later calls with the same key, except errors.
    ///
    /// ```
    /// use premier_client::cache;
    ///
    /// #[cache(ttl = "30s")]
    /// fn price(product: u64, currency: &str) -> String {
    ///     format!("{product} {currency}")
    /// }
    ///
    /// struct Shop {
    ///     name: String,
    /// }
    ///
    /// impl Shop {
    ///     #[cache(ttl = "1h", key = |day| format!("{}/{day}", self.name))]
    ///     async fn opening(&self, day: &str) -> Option<u8> {
    ///         (day != "sunday").then_some(9)
    ///     }
    /// }
    /// ```
    ///
    /// # Arguments
    ///
    /// | argument | meaning | default |
    /// | --- | --- | --- |
    /// | `ttl` | how long a result is remembered: a string with a unit (`500ms`, `1m30s`, `2w`) or an expression of type `Duration` | required |
    /// | `key` | a closure over the arguments: calls for which it returns the same value share a result | all arguments, by `Display` |
    /// | `keyspace` | a string, the first part of the key | that of the cache |
    /// | `cache` | a `MemoryCache` or `RedisCache`, for an async function an `AsyncMemoryCache` or `AsyncRedisCache` | 10,000 results in memory |
    /// | `crate` | the path of `premier_client`, if another crate exports it | found in Cargo.toml |
    ///
    /// Results must be `Clone` in memory, and `Serialize` and `DeserializeOwned` in Redis. Of a
    /// function that returns a `Result`, the `Ok` values are remembered.
    ///
    /// Redis gives back what serde has serialized: a field with `#[serde(skip)]` comes back as its
    /// default. A result that reads back as another one, as variants of untagged enums may, is not
    /// remembered there.
    ///
    /// A result cannot borrow, as it is remembered for longer than the call.
    ///
    /// Of several calls with the same key at the same time, one runs the body and the others wait
    /// for its result (singleflight). If it fails, the others run the body on their own.
    #[doc = key_closure!()]
    ///
    /// A method, a generic function, and a function with an `impl Trait` or `dyn Trait` argument
    /// need a `key`, because their results depend on more than what their arguments display.
    ///
    /// A call that needs its own result, as a recursive one with the same key does, panics: it
    /// would wait for itself forever. The value of an `on_limit` below is not remembered.
    cache
}

/// Takes the place of another attribute until all attributes of the function are known.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn layer(layer: TokenStream, function: TokenStream) -> TokenStream {
    layers::expand(layer.into(), &function.into()).into()
}
