//! What does not compile is reported at the user's own words.

use std::collections::BTreeSet;

use crate::compiler;

/// What the attributes refuse. The words that are underlined are in «».
const BY_THE_ATTRIBUTES: &str = include_str!("../../macros/src/refusals.txt");

/// What the compiler refuses in the code that the attributes write.
const BY_THE_COMPILER: &str = r#"
#[fixed_window(quota = 3, duration = "5s")]
fn f() -> «u8» { 1 }
error: `u8` can't be made of the error of a call that is not admitted

#[retry]
fn f() -> «u8» { 1 }
error: a call that returns `u8` can't fail, and be tried again

#[timeout("60s")]
async fn f() -> «u8» { 1 }
error: `u8` can't be made of the error of a call that takes too long

#[fixed_window(quota = 3, duration = "5s", throttler = «throttler»)]
async fn f(throttler: &Throttler) -> Result<(), Error> { Ok(()) }
error: an async function needs an `AsyncThrottler`, this is a `Throttler`

#[fixed_window(quota = 3, duration = "5s", throttler = «throttler»)]
fn f(throttler: &AsyncThrottler) -> Result<(), Error> { Ok(()) }
error: a sync function needs a `Throttler`, this is an `AsyncThrottler`

#[fixed_window(quota = 3, duration = "5s", throttler = «throttler»)]
fn f(throttler: &AsyncThrottler) -> Result<u8, Error> { let body = async { Ok(()) }; { return R.block_on(body); } } struct R; impl R { fn block_on(self, _: impl Future) -> Result<u8, Error> { todo!() } }
error: an attribute above, like `#[tokio::main]`, has made this function sync: move it below this one

#[cache(ttl = "5s", key = |_| 1, cache = «store»)]
fn f(store: &AsyncMemoryCache) -> Result<u8, Error> { let body = async { Ok(()) }; { return R.block_on(body); } } struct R; impl R { fn block_on(self, _: impl Future) -> Result<u8, Error> { todo!() } }
error: an attribute above, like `#[tokio::main]`, has made this function sync: move it below this one

fn f(limit: Limit<Fixed>) -> Limit<Fixed> { limit.«capacity»(3) }
error: only token and leaky buckets have a capacity and a maximum wait

#[cache(ttl = "1s", key = |_| 1, cache = «store»)]
async fn f(store: &MemoryCache) -> u8 { 1 }
error: an async function needs an `AsyncMemoryCache` or an `AsyncRedisCache`

#[cache(ttl = "1s", key = |_| 1, cache = «store»)]
fn f(store: &AsyncRedisCache) -> u8 { 1 }
error: a sync function needs a `MemoryCache` or a `RedisCache`

const NAME: &str = "fixed";
#[throttle(quota = 3, duration = "5s", algorithm = «NAME»)]
fn f() -> Result<(), Error> { Ok(()) }
error: no method named `limit` found for reference `&'static str` in the current scope

#[fixed_window(quota = 3, duration = "5s", on_limit = wait("1s"))]
fn f() -> «Result»<u8, String> { Ok(1) }
error: the trait bound `std::string::String: From<premier_client::Error>` is not satisfied

#[fixed_window(quota = 3, duration = "5s", key = |user, «user»| user)]
fn f(user: u64, cents: u64) -> Result<(), Error> { Ok(()) }
error: identifier `user` is bound more than once in the same pattern

#[retry]
fn f(«text»: String) -> Result<String, ()> { Ok(text) }
error: borrow of moved value: `text`

#[retry]
async fn f(number: u8, (_, «text»): (u8, String)) -> Result<String, ()> { g(&number).await; Ok(text) } async fn g(_: &u8) {}
error: borrow of moved value: `text`

#[retry]
fn f(_: u8, «text»: String) -> Pin<Box<dyn Future<Output = Result<String, ()>>>> { Box::pin(async { Ok(text) }) } use std::pin::Pin;
error: borrow of moved value

struct S(String); impl S { #[retry]
fn f(«self», _: u8) -> Result<Self, ()> { Ok(self) } }
error: borrow of moved value: `self`

#[retry]
fn «f»(user: (u8, String)) -> Result<String, ()> { Ok(user.1) }
error: use of moved value: `user.1`

#[retry]
async fn «f»(user: (u8, String)) -> Result<String, ()> { Ok(user.1) }
error: use of moved value: `user.1`

#[cache(ttl = "1s")]
fn f() -> «std»::sync::mpsc::Receiver<u8> { std::sync::mpsc::channel().1 }
error: the trait bound `std::sync::mpsc::Receiver<u8>: Clone` is not satisfied

#[cache(ttl = "1s")]
fn f() -> «Option»<std::rc::Rc<u8>> { None }
error: `Rc<u8>` cannot be sent between threads safely

#[cache(ttl = "1s", cache = store, key = |_| 1)]
fn f(store: &RedisCache) -> «std»::time::Instant { std::time::Instant::now() }
error: the trait bound `Instant: serde::Serialize` is not satisfied

#[cache(ttl = "1s")]
fn f(number: u8, «user»: Vec<u8>) -> u8 { number }
error: `Vec<u8>` doesn't implement `std::fmt::Display`

#[fixed_window(quota = 3, duration = "5s", key = |_, user| «user»)]
fn f(number: u8, user: Vec<u8>) -> Result<(), Error> { Ok(()) }
error: `Vec<u8>` doesn't implement `std::fmt::Display`

#[cache(ttl = "1s", key = |_, user| «{ user }»)]
async fn f(number: u8, user: Vec<u8>) -> u8 { number }
error: `Vec<u8>` doesn't implement `std::fmt::Display`

#[concurrency(quota = 1, lease = "30s", on_limit = wait("5s"))]
fn f() -> «Work» { work() } type Work = std::future::Ready<Result<u8, Error>>; fn work() -> Work { todo!() }
error: attributes cannot see what this future returns: write the type as Pin<Box<dyn Future<Output = …>>>

macro_rules! error { ($value:expr) => { return «Box::pin(async move { Ok($value) })» }; } use std::pin::Pin;
#[fixed_window(quota = 1, duration = "5s")]
fn f(early: bool) -> Pin<Box<dyn Future<Output = Result<u8, Error>>>> { if early { error!(1); } Box::pin(async { Ok(2) }) }
error: mismatched types

#[concurrency(quota = 1, lease = "30s")]
fn f() -> «Returned» { Ok(std::future::ready(1)) } type Returned = Result<std::future::Ready<u8>, Error>;
error: the permit would be given back before this future runs: make the function async, and await the future in it

struct Outer<S>(S); trait Call { type Future; fn call(&mut self) -> Self::Future; } impl<S: Call<Future: Future>> Call for Outer<S> { type Future = S::Future; #[fixed_window(quota = 1, duration = "5s", on_limit = panic!())]
fn call(&mut self) -> «Self»::Future { self.0.call() } }
error: attributes cannot see what this future returns: write the type as Pin<Box<dyn Future<Output = …>>>
"#;

#[test]
fn errors_are_reported_at_the_users_words() {
    for refusals in [BY_THE_ATTRIBUTES, BY_THE_COMPILER] {
        let mut cases = Vec::new();
        let mut expected = BTreeSet::new();
        for (number, refusal) in refusals.trim().split("\n\n").enumerate() {
            let (item, text) = refusal.split_once("\nerror: ").expect("an error follows the item");
            let line = item.lines().find(|line| line.contains('«')).expect("words are underlined");
            expected.insert((text, line.to_owned()));
            let item = item.replace(['«', '»'], "");
            let function = if item.ends_with(']') { "async fn f() -> Result<(), Error> { Ok(()) }" } else { "" };
            cases.push(format!("mod case_{number} {{ use premier_client::*;\n{item}\n{function}\n}}\n"));
        }
        let errors = compiler::errors(&cases.concat());
        // The compiler has more to say of an item that is left as it was, such as of a `self`
        // outside a type.
        let found: BTreeSet<_> = errors
            .iter()
            .map(|(text, line)| (text.as_str(), line.clone()))
            .filter(|(text, _)| expected.iter().any(|(expected, _)| text == expected))
            .collect();
        let missing: Vec<_> = expected.difference(&found).collect();
        let misplaced: Vec<_> = found.difference(&expected).collect();
        assert!(missing.is_empty() && misplaced.is_empty(), "missing: {missing:#?}\nmisplaced: {misplaced:#?}");
    }
}
