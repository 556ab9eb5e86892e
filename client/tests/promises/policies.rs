//! Limits by name, from a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use premier_client::{
    AsyncBackend, AsyncThrottler, Backend, Error, ErrorKind, Key, Policies, Receipt, Throttler, key, throttle,
};
use premier_test_server::patience;

/// A file that is deleted with this.
struct File(PathBuf);

impl File {
    fn new(text: &str) -> Self {
        static FILES: AtomicU32 = AtomicU32::new(0);
        let name = format!("premier-policies-{}-{}.toml", std::process::id(), FILES.fetch_add(1, Ordering::Relaxed));
        let file = Self(std::env::temp_dir().join(name));
        file.write(text);
        file
    }

    /// Replaces the file by another one.
    fn write(&self, text: &str) {
        let new = self.0.with_extension("new");
        fs::write(&new, text).expect("it can be written");
        fs::rename(&new, &self.0).expect("it can be renamed");
    }

    fn policies(&self) -> Policies {
        Policies::from_file(&self.0).expect("valid policies")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn throttler(policies: &Policies) -> Throttler {
    Throttler::builder(Backend::memory()).policies(policies.clone()).build()
}

fn text(policies: &Policies, policy: &str, key: &Key<'_>) -> String {
    policies.limit(policy, key).expect("there is such a policy").to_string()
}

fn wait_until(is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < patience(), "it does not happen");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_policy_is_a_limit_by_name() {
    let file = File::new("login = 'fixed 2/1h'\n[api]\nlimit = 'token 100/1m capacity 20'\n");
    let policies = file.policies();
    let check = |call: &dyn Fn(&Key<'_>) -> Result<Receipt, Error>| {
        for is_admitted in [true, true, false] {
            let decision = call(&key!("login", "ada")).expect("it is decided");
            assert_eq!((decision.is_admitted(), decision.limit()), (is_admitted, 2));
        }
    };
    let sync = throttler(&policies);
    check(&|key| sync.check_policy("login", key));
    assert_eq!(sync.check_policy("api", &key!("api")).expect("it is decided").limit(), 20);
    assert_eq!(sync.policy("login", &key!("login")).expect("a policy").to_string(), "fixed 2/1h");

    let asynchronous = AsyncThrottler::builder(AsyncBackend::memory()).policies(policies).build();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
    check(&|key| runtime.block_on(asynchronous.check_policy("login", key)));
}

#[test]
fn a_policy_may_limit_concurrency() {
    let file = File::new("api = '1/1h'\n[downloads]\nlimit = 'hold 1/30s'\noverrides = { ada = 'HOLD 2/30s cost 2' }");
    let sync = throttler(&file.policies());
    let key = key!("downloads", "bob");
    let permit = sync.hold_policy("downloads", &key).expect("there is a place");
    assert_eq!(sync.hold_policy("downloads", &key).expect_err("it is taken").kind(), ErrorKind::QuotaExceeded);
    drop(permit);
    let permit = sync.hold_policy("downloads", &key!("downloads", "ada")).expect("there are places");
    assert_eq!((permit.decision().limit(), permit.decision().remaining()), (2, 0));

    let asynchronous = AsyncThrottler::builder(AsyncBackend::memory()).policies(file.policies()).build();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime can be made");
    assert!(runtime.block_on(async { asynchronous.hold_policy("downloads", &key).await.is_ok() }));

    let wrong = sync.check_policy("downloads", &key).expect_err("it limits no rate");
    assert_eq!(wrong.kind(), ErrorKind::Configuration);
    assert_eq!(wrong.to_string(), "policy \"downloads\" is hold 1/30s: expected a rate");
    let wrong = sync.hold_policy("api", &key).expect_err("it limits a rate");
    assert_eq!(wrong.to_string(), "policy \"api\" is token 1/1h: expected a concurrency limit, as in hold 10/30s");
}

/// An exact one first, then that of the longest beginning.
#[test]
fn an_override_is_for_a_key_or_for_a_prefix() {
    let file = File::new(
        r"
        [api]
        limit = '1/1s'
        [api.overrides]
        'ada' = '2/1s'
        'partner-*' = '3/1s'
        'partner-x-*' = '4/1s'
        'partner-x-1' = '5/1s'
        'acme:*' = '6/1s'
        '2001\:db8\:*' = '7/1s'
        'user:42' = '8/1s'
        ",
    );
    let policies = file.policies();
    for (key, quota) in [
        (key!("api"), 1),
        (key!("api", "bob"), 1),
        (key!("api", "ada2"), 1),
        (key!("ada"), 1),
        (key!("api", "ada"), 2),
        (key!("other", "ada"), 2),
        (Key::new("shop", "pay").custom("ada"), 2),
        (key!("api", "partner-"), 3),
        (key!("api", "partner-x"), 3),
        (key!("api", "partner-x-2"), 4),
        (key!("api", "partner-x-1"), 5),
        (key!("api", "acme", "ada"), 6),
        (key!("api", "acme:ada"), 1),
        (key!("api", "2001:db8::1"), 7),
        (Key::exact("user:42"), 8),
        (Key::exact("user").custom(42), 8),
        (Key::exact("user:43"), 1),
    ] {
        assert_eq!(text(&policies, "api", &key), format!("token {quota}/1s"), "{key:?}");
    }
}

#[test]
fn a_change_of_the_file_counts_and_usage_stays() {
    let file = File::new("api = 'fixed 3/1h'");
    let throttler = throttler(&file.policies());
    let key = key!("api", "ada");
    for left in [2, 1] {
        assert_eq!(throttler.check_policy("api", &key).expect("it is decided").remaining(), left);
    }
    file.write("api = 'fixed 10/1h'\nnew = '1/1s'");
    wait_until(|| throttler.policy("new", &key).is_ok());
    let decision = throttler.check_policy("api", &key).expect("it is decided");
    assert_eq!((decision.limit(), decision.remaining()), (10, 7));
    file.write("new = '1/1s'");
    wait_until(|| throttler.policy("api", &key).is_err());
}

/// A change is seen within about a second.
#[test]
fn a_file_is_read_at_most_every_second() {
    let file = File::new("api = '1/1s'");
    let policies = file.policies();
    let start = Instant::now();
    assert_eq!(text(&policies, "api", &key!("api")), "token 1/1s");
    file.write("api = '2/1s'");
    if text(&policies, "api", &key!("api")) != "token 1/1s" {
        assert!(start.elapsed() >= Duration::from_secs(1), "it was read again at once");
    }
    thread::sleep(Duration::from_millis(1_050).saturating_sub(start.elapsed()));
    assert_eq!(text(&policies, "api", &key!("api")), "token 2/1s");
}

/// It is reported once, and its reason kept until the file is valid again.
#[test]
fn a_broken_file_keeps_the_last_good_one() {
    type Break = fn(&Path);
    let breaks: [(Break, &str); 4] = [
        (
            |path| fs::write(path, "api = '9/1s'\nb = 'often'").expect("written"),
            "policy \"b\": invalid limit \"often\"",
        ),
        (|path| fs::write(path, "api = '9/1s").expect("written"), "line 1"),
        (|path| fs::write(path, "").expect("written"), "it has no policy"),
        (|path| fs::remove_file(path).expect("removed"), "No such file"),
    ];
    for (break_, reason) in breaks {
        let file = File::new("api = '1/1s'");
        let reported = Arc::new(Mutex::new(Vec::new()));
        let reports = Arc::clone(&reported);
        let policies = file.policies().on_invalid(move |error| reports.lock().expect("no panic").push(error.clone()));
        let limit = || text(&policies, "api", &key!("api"));
        assert_eq!(limit(), "token 1/1s");
        break_(&file.0);
        let until = Instant::now() + Duration::from_millis(2_300);
        while Instant::now() < until {
            assert_eq!(limit(), "token 1/1s", "{reason}");
            thread::sleep(Duration::from_millis(50));
        }
        let error = policies.last_error().expect("there is a reason");
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(
            error.to_string().starts_with(&format!("invalid policies in {}: {reason}", file.0.display())),
            "{error}"
        );
        let reported: Vec<_> = reported.lock().expect("no panic").iter().map(ToString::to_string).collect();
        assert_eq!(reported, [error.to_string()]);

        file.write("api = '2/1s'");
        wait_until(|| limit() == "token 2/1s");
        assert!(policies.last_error().is_none());
    }
}

#[test]
fn an_invalid_file_says_what_is_wrong() {
    for (text, wrong) in [
        ("", "it has no policy, expected name = \"quota/duration\""),
        ("a = '1/1s'\nb = '1/1s'\na = '2/1s'", "line 3: duplicate key"),
        ("a = 5", "policy \"a\": a limit must be a string, as in \"token 100/1m capacity 20\""),
        ("a = '1/0s'", "policy \"a\": invalid limit \"1/0s\": "),
        ("[a]\nquota = 5", "policy \"a\": unknown field \"quota\": expected limit or overrides"),
        ("[a]\noverrides = {}", "policy \"a\": the field limit is missing"),
        ("[a]\nlimit = '1/1s'\noverrides = 5", "policy \"a\": overrides must be a table of limits"),
        (
            "[a]\nlimit = '1/1s'\n[a.overrides]\nx = 'hold 1/1s'",
            "policy \"a\": override \"x\": hold 1/1s cannot replace token 1/1s",
        ),
        ("a = 'hold 1/1s capacity 2'", "policy \"a\": invalid limit \"hold 1/1s capacity 2\": "),
        ("[a]\nlimit = '1/1s'\n[a.overrides]\nx = 'y'", "policy \"a\": override \"x\": invalid limit \"y\": "),
    ] {
        let file = File::new(text);
        let error = Policies::from_file(&file.0).expect_err("it is invalid");
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let expected = format!("invalid policies in {}: {wrong}", file.0.display());
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
    let missing = Policies::from_file("/nowhere/policies.toml").expect_err("there is none");
    assert!(missing.to_string().starts_with("invalid policies in /nowhere/policies.toml: "), "{missing}");
}

/// Also with a cost, and in async functions.
#[test]
fn a_decorated_function_may_name_a_policy() {
    #[throttle(policy = "api", key = |user, _| user, throttler = throttler)]
    fn greet(user: &str, throttler: &Throttler) -> Result<usize, Error> {
        Ok(user.len())
    }

    #[throttle(policy = name, cost = 2, key = |_, _| "all", throttler = throttler)]
    async fn export(name: &str, throttler: &AsyncThrottler) -> Result<(), Error> {
        Ok(())
    }

    let file = File::new("[api]\nlimit = 'fixed 1/1h'\noverrides = { ada = 'fixed 2/1h', all = 'fixed 3/1h' }");
    let sync = throttler(&file.policies());
    for (user, admitted) in [("ada", 2), ("bob", 1)] {
        for call in 0..3 {
            assert_eq!(greet(user, &sync).is_ok(), call < admitted, "{user}, call {call}");
        }
    }
    let asynchronous = AsyncThrottler::builder(AsyncBackend::memory()).policies(file.policies()).build();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
    let kinds = ["api", "api", "other"].map(|name| runtime.block_on(export(name, &asynchronous)).map_err(|e| e.kind()));
    assert_eq!(kinds, [Ok(()), Err(ErrorKind::QuotaExceeded), Err(ErrorKind::Configuration)]);
}

#[test]
fn an_unknown_policy_is_an_error_of_configuration() {
    let file = File::new("login = '1/1s'\napi = '1/1s'");
    let error = throttler(&file.policies()).check_policy("apis", &key!("api")).expect_err("it is unknown");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.to_string(), "unknown policy \"apis\": expected one of api, login");

    let without = Throttler::builder(Backend::memory()).build();
    let error = without.check_policy("api", &key!("api")).expect_err("there are no policies");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.to_string(), "the throttler has no policies: set them with `Builder::policies`");
}
