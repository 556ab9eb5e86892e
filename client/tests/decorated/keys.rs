//! Functions share a limit or a cached result only if they are meant to.

use std::fmt::Display;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use premier_client::{Algorithm, Backend, Error, Key, Keyspace, Limit, Throttler, cache, decorate, fixed_window, key};

use crate::server;

/// A function whose first call is admitted and whose second one is limited, by this key.
fn assert_limited_alone(call: impl Fn() -> Result<(), Error>) -> String {
    call().expect("another function has used up its limit");
    let error = call().expect_err("the second call is limited");
    error.key().expect("an error of a limit has its key").to_owned()
}

/// Functions in blocks: those of one block, and those that have the same name in another block.
macro_rules! in_blocks {
    () => {{
        #[cache(ttl = "1h")]
        fn area(w: u32, h: u32) -> u32 {
            w * h
        }
        #[cache(ttl = "1h")]
        fn perimeter(w: u32, h: u32) -> u32 {
            2 * (w + h)
        }
        assert_eq!((area(3, 4), perimeter(3, 4)), (12, 14));
        {
            #[cache(ttl = "1h")]
            fn area(w: u32, h: u32) -> u32 {
                w * h / 2
            }
            assert_eq!(area(3, 4), 6);
        }
        {
            struct Square;
            impl Square {
                #[cache(ttl = "1h")]
                fn area(side: u32) -> u32 {
                    side * side
                }
            }
            assert_eq!(Square::area(3), 9);
        }
        {
            struct Square;
            impl Square {
                #[cache(ttl = "1h")]
                fn area(side: u32) -> u32 {
                    side
                }
            }
            assert_eq!(Square::area(3), 3);
        }
        {
            #[fixed_window(quota = 1, duration = "1h")]
            fn send() -> Result<(), Error> {
                Ok(())
            }
            assert_limited_alone(send);
        }
        {
            #[fixed_window(quota = 1, duration = "1h")]
            fn send() -> Result<(), Error> {
                Ok(())
            }
            let key = assert_limited_alone(send);
            assert!(!key.contains(['{', '}']), "{key} would choose a node of a cluster by a brace");
        }
    }};
}

#[test]
fn functions_in_blocks_share_no_key() {
    in_blocks!();
    {
        in_blocks!();
    }
    let in_closure = || in_blocks!();
    in_closure();
}

#[tokio::test]
async fn functions_in_async_blocks_share_no_key() {
    in_blocks!();
    async { in_blocks!() }.await;
    async { in_blocks!() }.await;
    let in_closure = async || in_blocks!();
    in_closure().await;
}

trait Shape {
    fn area(&self) -> u32;
}

#[test]
fn trait_methods_in_blocks_share_no_key() {
    {
        struct Square(u32);
        impl Shape for Square {
            #[cache(ttl = "1h", key = || self.0)]
            fn area(&self) -> u32 {
                self.0 * self.0
            }
        }
        assert_eq!(Square(3).area(), 9);
    }
    {
        struct Square(u32);
        impl Shape for Square {
            #[cache(ttl = "1h", key = || self.0)]
            fn area(&self) -> u32 {
                self.0
            }
        }
        assert_eq!(Square(3).area(), 3);
    }
}

#[test]
fn a_key_of_a_function_in_a_block_has_its_place() {
    let line = line!() + 2;
    #[fixed_window(quota = 1, duration = "1h")]
    fn inner() -> Result<(), Error> {
        Ok(())
    }
    let stored = "premier:decorated::keys:a_key_of_a_function_in_a_block_has_its_place::inner";
    assert_eq!(assert_limited_alone(inner), format!("{stored}@{line}:8:fixed"));
}

impl Plain {
    #[fixed_window(quota = 1, duration = "1h")]
    fn without_self() -> Result<(), Error> {
        Ok(())
    }

    #[fixed_window(quota = 1, duration = "1h")]
    pub(crate) fn public_without_self() -> Result<(), Error> {
        Ok(())
    }
}

/// Rust gives it the path of a function in a function `Plain`.
#[test]
fn an_associated_function_without_self_has_its_place() {
    let line = line!() - 13;
    let stored = "premier:decorated::keys:Plain::without_self";
    assert_eq!(assert_limited_alone(Plain::without_self), format!("{stored}@{line}:8:fixed"));
    let stored = "premier:decorated::keys:Plain::public_without_self:fixed";
    assert_eq!(assert_limited_alone(Plain::public_without_self), stored);
}

#[fixed_window(quota = 1, duration = "1h")]
fn free() -> Result<(), Error> {
    Ok(())
}

struct Shop<T>(T);

impl Shop<u8> {
    #[fixed_window(quota = 1, duration = "1h")]
    fn open() -> Result<(), Error> {
        Ok(())
    }
}

mod elsewhere {
    use premier_client::{Error, fixed_window};

    pub(super) struct Hidden;

    pub(super) trait Service {
        #[fixed_window(quota = 1, duration = "1h")]
        fn serve(&self) -> Result<(), Error> {
            Ok(())
        }
    }
}

use elsewhere::Service;

impl elsewhere::Hidden {
    #[fixed_window(quota = 1, duration = "1h")]
    fn show() -> Result<(), Error> {
        Ok(())
    }
}

struct Plain;

impl Service for Plain {
    #[fixed_window(quota = 1, duration = "1h")]
    fn serve(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn functions_outside_blocks_have_keys_without_a_place() {
    assert_eq!(assert_limited_alone(free), "premier:decorated::keys:free:fixed");
    assert_eq!(assert_limited_alone(Shop::open), "premier:decorated::keys:Shop<u8>::open:fixed");
    let of_trait =
        "premier:decorated::keys:<decorated::keys::Plain as decorated::keys::elsewhere::Service>::serve:fixed";
    assert_eq!(assert_limited_alone(|| Plain.serve()), of_trait);
    let of_elsewhere = "premier:decorated::keys:<impl decorated::keys::elsewhere::Hidden>::show:fixed";
    assert_eq!(assert_limited_alone(elsewhere::Hidden::show), of_elsewhere);
}

trait Rates {
    /// Returns a rate, which is another one after each call.
    #[cache(ttl = "1h", key = |currency| currency)]
    fn by_default(&self, currency: &str) -> u32 {
        next(currency)
    }

    fn rate(&self, currency: &str) -> u32;
}

struct Bank;

impl Bank {
    #[cache(ttl = "1h")]
    fn fee(currency: &str) -> u32
    where
        Self: Sized,
    {
        next(currency)
    }

    #[cache(ttl = "1h", key = |currency| currency)]
    fn charge(&self, currency: &str) -> u32 {
        next(currency)
    }
}

mod third {
    use premier_client::cache;

    impl super::Rates for super::banks::Other {
        #[cache(ttl = "1h", key = |currency| currency)]
        fn rate(&self, currency: &str) -> u32 {
            super::next(currency)
        }
    }

    impl super::banks::Other {
        #[cache(ttl = "1h", key = |currency| currency)]
        pub(super) fn charge(&self, currency: &str) -> u32 {
            super::next(currency)
        }
    }
}

mod banks {
    use premier_client::cache;

    pub(super) struct Other;
    pub(super) struct Near;

    impl super::Rates for Near {
        #[cache(ttl = "1h", key = |currency| currency)]
        fn rate(&self, currency: &str) -> u32 {
            super::next(currency)
        }
    }
}

mod r#type {
    use premier_client::cache;

    #[cache(ttl = "1h")]
    pub(super) fn r#match(currency: &str) -> u32 {
        super::next(currency)
    }

    #[expect(non_camel_case_types, reason = "a type may be called like a keyword")]
    pub(super) struct r#enum;

    impl r#enum {
        #[cache(ttl = "1h", key = |currency| currency)]
        pub(super) fn rate(&self, currency: &str) -> u32 {
            super::next(currency)
        }
    }
}

impl Rates for Bank {
    #[cache(ttl = "1h", key = |currency| currency)]
    fn rate(&self, currency: &str) -> u32 {
        next(currency)
    }
}

fn next(_currency: &str) -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cache(ttl = "1h")]
fn remembered(currency: &str) -> u32 {
    next(currency)
}

/// By the names that the module `decorate` shows.
#[test]
fn results_are_invalidated_by_the_documented_keys() {
    type Case = (&'static str, &'static str, fn() -> u32);
    let cases: [Case; 10] = [
        ("", "remembered", || remembered("EUR")),
        ("", "Bank::fee", || Bank::fee("EUR")),
        ("", "Bank::charge", || Bank.charge("EUR")),
        ("", "<decorated::keys::Bank as decorated::keys::Rates>::rate", || Bank.rate("EUR")),
        ("", "<decorated::keys::Bank as decorated::keys::Rates>::by_default", || Bank.by_default("EUR")),
        ("::banks", "<decorated::keys::banks::Near as decorated::keys::Rates>::rate", || banks::Near.rate("EUR")),
        ("::third", "<decorated::keys::banks::Other as decorated::keys::Rates>::rate", || banks::Other.rate("EUR")),
        ("::third", "<impl decorated::keys::banks::Other>::charge", || banks::Other.charge("EUR")),
        ("::r#type", "match", || r#type::r#match("EUR")),
        ("::type", "enum::rate", || r#type::r#enum.rate("EUR")),
    ];
    for (module, function, call) in cases {
        let first = call();
        assert_eq!(call(), first, "{function} is remembered");
        let module = format!("{}{module}", module_path!());
        decorate::cache().invalidate(&Key::new(&module, function).custom("EUR"));
        assert_ne!(call(), first, "{function} is forgotten");
    }
}

impl Service for u8 {}
impl Service for u16 {}
impl<T> Service for Vec<T> {}

#[test]
fn default_methods_of_each_type_have_a_limit() {
    for call in [|| 1_u8.serve(), || 1_u16.serve(), || Vec::<u8>::new().serve(), || Vec::<fn(u8) -> u16>::new().serve()]
    {
        assert_limited_alone(call);
    }
}

impl<T> Shop<T> {
    #[fixed_window(quota = 1, duration = "1h")]
    async fn sell(&self) -> Result<(), Error> {
        Ok(())
    }

    #[cache(ttl = "1h")]
    fn size() -> usize {
        size_of::<T>()
    }

    #[fixed_window(quota = 1, duration = "1h")]
    fn pay<C>(currency: C, _: impl Display) -> Result<C, Error> {
        Ok(currency)
    }
}

#[tokio::test]
async fn methods_of_each_generic_type_have_a_limit() {
    Shop(1_u8).sell().await.expect("the first of this type");
    Shop("a").sell().await.expect("the first of this type");
    Shop(1_u8).sell().await.expect_err("the second of this type");
    assert_eq!((Shop::<u8>::size(), Shop::<u64>::size(), Shop::<[fn(u8) -> u8; 2]>::size()), (1, 8, 16));
}

#[test]
fn type_parameters_of_a_function_share_its_limit() {
    Shop::<u8>::pay("EUR", 1).expect("the first call");
    let error = Shop::<u8>::pay(|_: Vec<fn(u8) -> u8>| 1, "one").err().expect("the second call");
    assert_eq!(error.key(), Some("premier:decorated::keys:Shop<u8>::pay:fixed"));
    assert!(Shop::<u16>::pay("EUR", 1).is_ok());
}

#[fixed_window(quota = 1, duration = "1h", key = |to, from| format!("{from}>{to}"))]
fn moved(from: &str, to: &str) -> Result<(), Error> {
    let _ = (from, to);
    Ok(())
}

#[cache(ttl = "1h", key = |b: &str, (c, a), _| -> String {
    if a.is_empty() {
        return "empty".to_owned();
    }
    format!("{a}{b}{c}")
})]
fn joined(a: &str, b: (String, String), c: &str) -> String {
    format!("{a}/{}/{}/{c}", b.0, b.1)
}

#[test]
fn a_key_closure_may_name_its_parameters_as_it_likes() {
    let moved_by = |from, to| moved(from, to).err().and_then(|error| error.key().map(str::to_owned));
    assert_eq!((moved_by("a", "b"), moved_by("b", "a")), (None, None));
    assert_eq!(moved_by("a", "b").as_deref(), Some("premier:decorated::keys:moved:fixed:b>a"));
}

#[test]
fn a_return_in_a_key_closure_ends_the_closure_only() {
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(joined("1", pair("2", "3"), "4"), "1/2/3/4");
    assert_eq!(joined("1", pair("2", ""), "4"), "1/2//4");
    assert_eq!(joined("5", pair("6", ""), "7"), "1/2//4", "the closure returns the same");
}

fn stored(key: &Key<'_>) -> String {
    Keyspace::default().key(key, Algorithm::FixedWindow)
}

#[test]
fn a_key_is_its_name_wherever_it_is_written() {
    let user = "ada".to_owned();
    let name = String::from("mail");
    assert_eq!(stored(&key!("mail")), "premier:mail:fixed");
    assert_eq!(stored(&key!(&name, user,)), "premier:mail:fixed:ada");
    assert_eq!(stored(&key!("mail", user, 1)), "premier:mail:fixed:ada:1");
    assert_eq!(user, "ada", "parts are borrowed");
    let shop = Keyspace::from_static("shop");
    assert_eq!(stored(&key!("mail", user).keyspace(&shop)), "shop:mail:fixed:ada");
}

#[test]
fn no_two_lists_of_parts_make_the_same_key() {
    let keys = [
        key!("a"),
        key!("a", ""),
        key!("a", "", ""),
        key!("a", "b:c"),
        key!("a", "b", "c"),
        key!("a", r"b\", "c"),
        key!("a", r"b\:c"),
        key!("a:fixed", "b"),
        key!("a", "fixed:b"),
        key!("a:b"),
        key!(r"a\:b"),
        Key::new("a", "b"),
        Key::new("a", "b").custom("c"),
    ];
    let mut stored = keys.map(|key| self::stored(&key));
    stored.sort();
    assert!(stored.is_sorted_by(|one, next| one < next), "{stored:#?}");
}

#[test]
fn an_exact_key_is_that_very_key() {
    assert_eq!(stored(&Key::exact("user:42")), "user:42");
    assert_eq!(stored(&Key::exact(format!("user:{}", 42)).custom("mail")), "user:42:mail");

    let mut connection = redis::Client::open(("127.0.0.1", server::port()))
        .and_then(|client| client.get_connection())
        .expect("the server answers");
    let backend = Backend::redis(("127.0.0.1", server::port())).expect("a valid address");
    let throttlers = [backend, Backend::memory()].map(|backend| Throttler::builder(backend).build());
    let limit = Limit::fixed_window(1, Duration::from_secs(60 * 60));
    for throttler in throttlers {
        assert!(throttler.check(&Key::exact("user:42"), limit).expect("the store answers").is_admitted());
        assert!(!throttler.check(&Key::exact("user:42"), limit).expect("the store answers").is_admitted());
        assert!(throttler.check(&key!("user", 42), limit).expect("the store answers").is_admitted());
    }
    let type_of = |key| redis::cmd("TYPE").arg(key).query::<String>(&mut connection).expect("the server answers");
    assert_eq!(["user:42", "premier:user:fixed:42"].map(type_of), ["premfixed", "premfixed"]);
}

macro_rules! repeated {
    ($($factor:literal),*) => {
        [$({
            #[fixed_window(quota = 1, duration = "1h")]
            fn limited() -> Result<u32, Error> {
                Ok($factor)
            }
            limited().ok()
        }),*]
    };
}

/// Each repetition of a macro is made of the same words.
#[test]
fn functions_that_a_macro_repeats_share_no_key() {
    assert_eq!(repeated!(1, 2, 3), [Some(1), Some(2), Some(3)]);
}

/// A function, and what else has its path: functions in blocks, and in a function of the same name.
#[expect(non_snake_case, reason = "as in the frameworks whose components are functions")]
fn Page() -> [u32; 3] {
    #[cache(ttl = "1h")]
    fn size(x: u32) -> u32 {
        x * 10
    }
    struct Inner;
    impl Inner {
        #[cache(ttl = "1h", key = || 5)]
        fn size(&self) -> u32 {
            7
        }
    }
    let in_block = {
        #[cache(ttl = "1h")]
        fn size(x: u32) -> u32 {
            x * 20
        }
        size(5)
    };
    [size(5), in_block, Inner.size()]
}

struct Page {}

impl Page {
    #[cache(ttl = "1h")]
    fn size(x: u32) -> u32 {
        x
    }

    #[fixed_window(quota = 1, duration = "1h")]
    fn sized(_: &str) -> Result<(), Error>
    where
        Self: Sized,
    {
        Ok(())
    }
}

fn 主() -> [u32; 2] {
    #[cache(ttl = "1h")]
    fn size(x: u32) -> u32 {
        x + 1
    }
    let in_block = {
        #[cache(ttl = "1h")]
        fn size(x: u32) -> u32 {
            x + 2
        }
        size(5)
    };
    [size(5), in_block]
}

static TABLE: [fn(u32) -> u32; 2] = [
    {
        #[cache(ttl = "1h")]
        fn size(x: u32) -> u32 {
            x
        }
        size
    },
    {
        #[cache(ttl = "1h")]
        fn size(x: u32) -> u32 {
            x * 100
        }
        size
    },
];

/// Whatever the names of the functions and statics that have the blocks.
#[test]
fn no_name_makes_a_function_a_type() {
    assert_eq!((Page::size(5), Page()), (5, [50, 100, 7]));
    assert_eq!(主(), [6, 7]);
    assert_eq!(TABLE.map(|size| size(5)), [5, 500]);
    let stored = "premier:decorated::keys:Page::sized:fixed";
    assert_eq!(assert_limited_alone(|| Page::sized("")), stored);
}

#[test]
fn traits_of_blocks_share_no_key() {
    {
        trait Kind {
            fn kind(&self) -> u32;
        }
        impl Kind for u64 {
            #[cache(ttl = "1h", key = || self)]
            fn kind(&self) -> u32 {
                1
            }
        }
        assert_eq!(1_u64.kind(), 1);
    }
    {
        trait Kind {
            fn kind(&self) -> u32;
        }
        impl Kind for u64 {
            #[cache(ttl = "1h", key = || self)]
            fn kind(&self) -> u32 {
                2
            }
        }
        assert_eq!(1_u64.kind(), 2);
    }
}

struct Quoted<const C: char>;

impl<const C: char> Quoted<C> {
    #[cache(ttl = "1h")]
    fn open() -> (u32, char) {
        (1, C)
    }

    #[cache(ttl = "1h")]
    fn close() -> (u32, char) {
        (2, C)
    }

    #[fixed_window(quota = 1, duration = "1h")]
    fn limited() -> Result<(), Error> {
        Ok(())
    }
}

impl<const C: char> Shape for Quoted<C> {
    #[cache(ttl = "1h", key = || "")]
    fn area(&self) -> u32 {
        u32::from(C)
    }
}

macro_rules! assert_quoted {
    ($($c:literal),+) => {$(
        assert_eq!((Quoted::<$c>::open(), Quoted::<$c>::close()), ((1, $c), (2, $c)));
        assert_eq!(Quoted::<$c>.area(), u32::from($c));
        let key = assert_limited_alone(Quoted::<$c>::limited);
        assert!(key.ends_with(">::limited:fixed") && !key.contains(['{', '}']), "{key}");
    )+};
}

#[test]
fn methods_of_each_char_have_a_key() {
    assert_quoted!(
        '<', '>', '(', ')', '[', ']', '{', '}', ':', '\'', '"', '\\', '-', '\n', '\u{7f}', '\u{200b}', '_', 'é'
    );
}

#[fixed_window(quota = 2, duration = "1h", key = |user| user)]
#[fixed_window(quota = 3, duration = "1h")]
fn limited_twice(user: &str) -> Result<(), Error> {
    let _ = user;
    Ok(())
}

/// One limit for each user, one for all.
#[test]
fn a_limit_without_a_key_stacks_with_one_that_has() {
    let admitted = ["ada", "ada", "ada", "bob", "eve"].map(|user| limited_twice(user).is_ok());
    assert_eq!(admitted, [true, true, false, true, false]);
}
