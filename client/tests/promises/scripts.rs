//! Limits by scripts, on servers that have not loaded the module.

use std::time::Duration;

use premier_client::{
    Algorithm, AnyLimit, AsyncBackend, AsyncThrottler, Backend, Concurrency, Error, ErrorKind, Fixed, Hold, Key,
    Keyspace, Leaky, Limit, PremierCommands, Sliding, Throttler, Token, key,
};
use premier_test_server::{Cluster, Server, module_path};
use redis::{Connection, RedisError};

use crate::stores::{Setup, Subject, limits};

const HOUR: Duration = Duration::from_secs(60 * 60);
const LIMIT: Limit<Token> = Limit::token_bucket(10, HOUR);
const PLACES: Concurrency = Limit::concurrency(2, HOUR);

fn without_module() -> Server {
    Server::builder().without_module().start()
}

fn command(connection: &mut Connection, line: &str) -> redis::Value {
    let mut words = line.split(' ');
    let mut command = redis::cmd(words.next().expect("a line has a word"));
    command.arg(words.collect::<Vec<_>>()).query(connection).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// Makes every kind of call.
fn make_all_calls(subject: &Subject) {
    let index = subject.to_string();
    let key = |name: &'static str| Key::new("all", name).custom(subject.to_string());
    let answers = "the store answers";
    for limit in limits(10, HOUR) {
        let one = key("one");
        assert_eq!(subject.check(&one, limit).expect(answers).remaining(), 9, "{subject}, {limit}");
        assert_eq!(subject.peek(&one, limit).expect(answers).remaining(), 8, "{subject}, {limit}");
        assert_eq!(subject.check_at_most(&one, limit, 20).expect(answers).granted(), Some(9), "{subject}, {limit}");
        assert!(!subject.check(&one, limit).expect(answers).is_admitted(), "{subject}, {limit}");
        assert_eq!(subject.refund(&one, limit, 4).expect(answers), 4, "{subject}, {limit}");
        let usage = subject.inspect(&one, limit.algorithm()).expect(answers).expect("it is used");
        assert_eq!(usage.used(), 6, "{subject}, {limit}");
        assert!(usage.reset_after() <= HOUR && usage.reset_after() > HOUR / 2, "{subject}, {limit}: {usage:?}");
        assert!(subject.reset(&one, limit.algorithm()).expect(answers), "{subject}, {limit}");
        assert_eq!(subject.refund(&one, limit, 4).expect(answers), 0, "{subject}, {limit}");
    }
    let per_month = key!("month", &index);
    assert_eq!(subject.check(&per_month, Limit::per_month(10)).expect(answers).remaining(), 9, "{subject}");

    let together: Vec<(Key<'_>, AnyLimit)> =
        limits(10, HOUR).iter().map(|limit| (key!("{all}", limit.algorithm().name(), &index), *limit)).collect();
    let joint = subject.check_all(&together).expect(answers);
    assert!(joint.is_admitted() && joint.each().iter().all(|each| each.remaining() == 9), "{subject}: {joint:?}");
    let (held, receipt) = subject.hold_all(&key!("{all}", "held", &index), PLACES, &together).expect("there is room");
    assert!(receipt.each().iter().all(|each| each.remaining() == 8), "{subject}: {receipt:?}");
    assert_eq!(held.release().expect(answers), 1, "{subject}");

    let places = key("places");
    let first = subject.hold(&places, PLACES).expect("there is room");
    assert_eq!(subject.peek_hold(&places, PLACES).expect(answers).remaining(), 0, "{subject}");
    let second = subject.hold(&places, PLACES).expect("there is room");
    assert_eq!(subject.hold(&places, PLACES).expect_err("it is full").kind(), ErrorKind::QuotaExceeded, "{subject}");
    first.renew().expect(answers);
    assert_eq!(subject.inspect(&places, Hold).expect(answers).map(|usage| usage.used()), Some(2), "{subject}");
    assert_eq!((first.release().ok(), second.release().ok()), (Some(1), Some(1)), "{subject}");
    assert_eq!(subject.inspect(&places, Hold).expect(answers), None, "{subject}");
}

#[test]
fn scripts_make_every_call_without_the_module() {
    let (server, cluster) = (without_module(), Cluster::start(2));
    let mut subjects = Setup::default().scripted(server.port());
    // All keys of a call in one slot.
    subjects.extend(Setup { keyspace: "{one}", ..Setup::default() }.scripted_on_cluster(&cluster.urls()));
    for subject in subjects {
        make_all_calls(&subject);
    }
}

/// As on managed services, CONFIG, MODULE and SCRIPT are refused.
#[test]
fn scripts_need_few_permissions() {
    let (server, cluster) = (without_module(), Cluster::start(2));
    let rules = "ACL SETUSER service on >secret ~premier:* ~{one}:* resetchannels -@all +eval +evalsha +time +get +set \
                 +del +pttl +type +exists +pexpire +zadd +zcard +zmscore +zrangebyscore +zrem +zrevrange";
    command(&mut server.connection(), rules);
    for node in cluster.nodes() {
        command(&mut node.connection(), &format!("{rules} +cluster|slots"));
    }
    let as_service = |url: &str| url.replace("redis://", "redis://service:secret@");
    let url = as_service(&format!("redis://127.0.0.1:{}", server.port()));
    let client = redis::Client::open(&*url).expect("a valid address");
    let mut service = client.get_connection().expect("the server answers");
    for (name, argument) in [("CONFIG", "GET *"), ("MODULE", "LIST"), ("SCRIPT", "FLUSH"), ("INFO", "server")] {
        let error = redis::cmd(name).arg(argument.split(' ').collect::<Vec<_>>()).exec(&mut service);
        let error = error.expect_err("the user may not");
        assert_eq!(error.code(), Some("NOPERM"), "{name}: {error}");
    }

    let mut subjects = Setup::default().scripted_at(&url);
    let nodes: Vec<_> = cluster.urls().iter().map(|url| as_service(url)).collect();
    subjects.extend(Setup { keyspace: "{one}", ..Setup::default() }.scripted_on_cluster(&nodes));
    for subject in subjects {
        make_all_calls(&subject);
    }
    let throttler = Throttler::builder(Backend::prefer_module(&*url).expect("the server answers")).build();
    let key = key!("preferred");
    assert!(throttler.check(&key, LIMIT).expect("the store answers").is_admitted());
    command(&mut server.connection(), "ACL SETUSER service +scan +unlink");
    assert!(throttler.clear(&Keyspace::default()).expect("the store answers") > 0);
    assert_eq!(throttler.inspect(&key, Algorithm::TokenBucket).expect("the store answers"), None);
}

#[test]
fn scripts_that_were_forgotten_are_sent_again() {
    let (server, cluster) = (without_module(), Cluster::start(2));
    let mut subjects = Setup::default().scripted(server.port());
    subjects.extend(Setup::default().scripted_on_cluster(&cluster.urls()));
    for subject in subjects {
        let key = key!("forgotten", subject.to_string());
        for used in 1..=4 {
            for server in cluster.nodes().iter().chain([&server]) {
                command(&mut server.connection(), "SCRIPT FLUSH");
            }
            let decision = subject.check(&key, LIMIT).expect("the store answers");
            assert_eq!(decision.remaining(), 10 - used, "{subject} was not charged exactly once");
        }
    }
}

fn is_wrong_type(error: &Error) -> bool {
    error.kind() == ErrorKind::Refused && format!("{error:#}").contains("WRONGTYPE")
}

/// Each refuses the other's keys, so that one key never has two limits.
#[test]
fn scripts_and_the_module_never_share_a_key() {
    let server = Server::start();
    let mut connection = server.connection();
    let [of_module, _, _] = &Setup::default().on_server(server.port())[..] else { panic!("three kinds") };
    for subject in Setup::default().scripted(server.port()) {
        for limit in limits(10, HOUR) {
            let (key, other) = (key!("script", subject.to_string()), key!("module", subject.to_string()));
            assert!(subject.check(&key, limit).expect("the store answers").is_admitted());
            assert!(
                is_wrong_type(&of_module.check(&key, limit).expect_err("a script has used it")),
                "{subject}, {limit}"
            );
            assert!(of_module.check(&other, limit).expect("the store answers").is_admitted());
            for error in [
                subject.check(&other, limit).map(drop),
                subject.peek(&other, limit).map(drop),
                subject.refund(&other, limit, 1).map(drop),
                subject.check_all(&[(other.clone(), limit)]).map(drop),
            ] {
                assert!(is_wrong_type(&error.expect_err("the module has used it")), "{subject}, {limit}");
            }
        }
        let key = key!("held", subject.to_string());
        let _held = subject.hold(&key, PLACES).expect("there is room");
        assert!(is_wrong_type(&of_module.hold(&key, PLACES).expect_err("a script has used it")), "{subject}");
    }
    // Nor do scripts of different algorithms, or what others keep there.
    let states: Vec<Vec<u8>> = {
        let keys: Vec<String> =
            redis::cmd("KEYS").arg("premier:*:script:*").query(&mut connection).expect("it replies");
        keys.iter().map(|key| redis::cmd("GET").arg(key).query(&mut connection).expect("it replies")).collect()
    };
    let name = |key: &Key<'_>, limit: &AnyLimit| Keyspace::default().key(key, limit.algorithm());
    for subject in Setup::default().scripted(server.port()) {
        for limit in limits(10, HOUR) {
            let own = key!("script", "a script, sync");
            let of_algorithm: Vec<u8> =
                redis::cmd("GET").arg(name(&own, &limit)).query(&mut connection).expect("it replies");
            let foreign = states.iter().filter(|state| state[..3] != of_algorithm[..3]).map(Vec::as_slice);
            for value in foreign.chain([b"".as_slice(), b"1", &[0xFF; 16], &[0xFF; 35], &of_algorithm[..12]]) {
                let key = key!("foreign", subject.to_string());
                redis::cmd("SET").arg(name(&key, &limit)).arg(value).exec(&mut connection).expect("it replies");
                let error = subject.check(&key, limit).map(drop).expect_err("it is a state of something else");
                assert!(is_wrong_type(&error), "{subject}, {limit}, {value:?}: {error:#}");
            }
        }
    }
    let key = key!("set of others");
    let held = Keyspace::default().key(&key, Hold);
    redis::cmd("ZADD").arg(held).arg(1).arg("one").exec(&mut connection).expect("it replies");
    for subject in Setup::default().scripted(server.port()) {
        assert!(is_wrong_type(&subject.hold(&key, PLACES).expect_err("it is a set of others")), "{subject}");
    }
}

/// Others may have written anything there. A call ends, and changes nothing.
#[test]
fn scripts_refuse_what_others_keep_at_a_key() {
    let server = without_module();
    let mut connection = server.connection();
    // A bucket whose last limit had a duration of zero.
    let bucket = |tag: &[u8]| [tag, &[1; 7][..], &[1, 0, 0, 0, 0, 0], &[5; 7], &[0; 7], &[1; 5]].concat();
    let values: [(&str, &[&[u8]]); 8] = [
        ("SET", &[b""]),
        ("SET", &[&bucket(b"\xFFT0")]),
        ("SET", &[&bucket(b"\xFFL0")]),
        ("SET", &[b"\xFFS0\x01\0\0\0\0\0"]),
        ("RPUSH", &[b"one"]),
        ("HSET", &[b"field", b"one"]),
        ("ZADD", &[b"-1", b"s"]),
        ("XADD", &[b"*", b"field", b"one"]),
    ];
    for subject in Setup::default().scripted(server.port()) {
        for limit in limits(10, HOUR) {
            for (number, (command, arguments)) in values.iter().enumerate() {
                let key = key!("others", subject.to_string(), number);
                let stored = Keyspace::default().key(&key, limit.algorithm());
                redis::cmd(command).arg(&stored).arg(*arguments).exec(&mut connection).expect("it replies");
                let before: Vec<u8> = redis::cmd("DUMP").arg(&stored).query(&mut connection).expect("it replies");
                for result in [
                    subject.check(&key, limit).map(drop),
                    subject.check_at_most(&key, limit, 3).map(drop),
                    subject.peek(&key, limit).map(drop),
                    subject.refund(&key, limit, 1).map(drop),
                    subject.inspect(&key, limit.algorithm()).map(drop),
                    subject.check_all(&[(key!("free", number), limit), (key.clone(), limit)]).map(drop),
                ] {
                    let error = result.expect_err("it is not a limit");
                    assert!(is_wrong_type(&error), "{subject}, {limit}, {command} {arguments:?}: {error:#}");
                }
                let after: Vec<u8> = redis::cmd("DUMP").arg(&stored).query(&mut connection).expect("it replies");
                assert_eq!(after, before, "{subject}, {limit}, {command} {arguments:?}");
            }
        }
        for (number, (command, arguments)) in values.iter().enumerate() {
            let key = key!("others", subject.to_string(), number);
            let stored = Keyspace::default().key(&key, Hold);
            redis::cmd(command).arg(&stored).arg(*arguments).exec(&mut connection).expect("it replies");
            for result in [
                subject.hold(&key, PLACES).map(drop),
                subject.peek_hold(&key, PLACES).map(drop),
                subject.inspect(&key, Hold).map(drop),
                subject.hold_all(&key, PLACES, &[(key!("free", number), LIMIT.into())]).map(drop),
            ] {
                let error = result.expect_err("it has no holders");
                assert!(is_wrong_type(&error), "{subject}, {command} {arguments:?}: {error:#}");
            }
        }
    }
}

#[test]
fn scripts_take_any_key() {
    let (server, cluster) = (without_module(), Cluster::start(2));
    let long = "k".repeat(100_000);
    let names = ["", " ", "\0", "{", "}", "{}", "{}a", "a{b}c{d}", "*", "%d%s", "'\"\\", "\r\n", "ключ🔑", &long];
    let mut subjects = Setup::default().scripted(server.port());
    subjects.extend(Setup::default().scripted_on_cluster(&cluster.urls()));
    for subject in subjects {
        for name in names {
            for limit in limits(10, HOUR) {
                let key = Key::exact(name);
                let context = format!("{subject}, {limit}, {:?}", name.get(..20.min(name.len())));
                assert_eq!(subject.check(&key, limit).expect("the store answers").remaining(), 9, "{context}");
                let all = subject.check_all(&[(key.clone(), limit)]).expect("the store answers");
                assert_eq!(all.decision().remaining(), 8, "{context}");
                assert_eq!(subject.refund(&key, limit, 1).expect("the store answers"), 1, "{context}");
                let usage = subject.inspect(&key, limit.algorithm()).expect("the store answers");
                assert_eq!(usage.map(|usage| usage.used()), Some(1), "{context}");
                assert!(subject.reset(&key, limit.algorithm()).expect("the store answers"), "{context}");
            }
            let held = subject.hold(&Key::exact(name), PLACES).expect("there is room");
            assert_eq!(held.release().expect("the store answers"), 1, "{subject}, {name:?}");
        }
    }
}

/// As docs/managed.md says: to another keyspace, with what was used, or after clearing this one.
#[test]
fn limits_change_over_from_scripts_to_the_module() {
    let server = Server::start();
    let mut limits = Vec::from(limits(10, HOUR));
    limits.push(Limit::per_month(10).into());
    let key = key!("moving");
    for of_scripts in Setup::default().scripted(server.port()) {
        for of_module in (Setup { keyspace: "later", ..Setup::default() }).on_server(server.port()) {
            for limit in &limits {
                let context = format!("{of_scripts}, {of_module}, {limit}");
                assert_eq!(of_scripts.check_n(&key, *limit, 4).expect("the store answers").remaining(), 6, "{context}");
                let usage =
                    of_scripts.inspect(&key, limit.algorithm()).expect("the store answers").expect("it is used");
                let carried = limit.try_cost(usage.used()).expect("it is in bounds").forced();
                assert_eq!(of_module.check(&key, carried).expect("the store answers").remaining(), 6, "{context}");
                assert_eq!(of_module.check_n(&key, *limit, 6).expect("the store answers").remaining(), 0, "{context}");
                assert!(of_module.reset(&key, limit.algorithm()).expect("the store answers"), "{context}");
                assert!(of_scripts.reset(&key, limit.algorithm()).expect("the store answers"), "{context}");
            }
        }
        for of_module in Setup::default().on_server(server.port()) {
            let held = of_scripts.hold(&key, PLACES).expect("there is room");
            for limit in &limits {
                let _ = of_scripts.check(&key, *limit).expect("the store answers");
            }
            // The per-hour and the per-month limit share the key of FIXED.
            assert_eq!(of_scripts.clear(&Keyspace::default()).expect("the store answers"), 5, "{of_scripts}");
            for limit in &limits[..4] {
                assert_eq!(of_module.check(&key, *limit).expect("the store answers").remaining(), 9, "{limit}");
            }
            let by_module = of_module.hold(&key, PLACES).expect("there is room");
            assert_eq!(by_module.decision().remaining(), 1, "{of_module}");
            assert!(held.release().is_err(), "{of_scripts}: it is the module's key");
            assert_eq!(by_module.release().expect("the store answers"), 1, "{of_module}");
            let _ = of_module.clear(&Keyspace::default()).expect("the store answers");
        }
    }
}

/// Not the state, not the expiry, and nothing is replicated.
#[test]
fn limited_scripts_change_nothing() {
    let server = without_module();
    let mut connection = server.connection();
    let changes = |connection: &mut Connection| -> String {
        let info: String = redis::cmd("INFO").arg("persistence").query(connection).expect("it replies");
        info.lines().find(|line| line.starts_with("rdb_changes_since_last_save")).expect("it is there").to_owned()
    };
    for subject in Setup::default().scripted(server.port()) {
        for limit in limits(1, HOUR) {
            let key = key!("limited", subject.to_string());
            assert!(subject.check(&key, limit).expect("the store answers").is_admitted());
            let name = Keyspace::default().key(&key, limit.algorithm());
            let before = changes(&mut connection);
            let expiry: i64 = redis::cmd("PEXPIRETIME").arg(&name).query(&mut connection).expect("it replies");
            assert!(!subject.check(&key, limit).expect("the store answers").is_admitted(), "{subject}, {limit}");
            let _ = subject.peek(&key!("fresh"), limit).expect("the store answers");
            let together = [(key!("fresh"), limit), (key.clone(), limit)];
            assert!(!subject.check_all(&together).expect("the store answers").is_admitted(), "{subject}, {limit}");
            let after: i64 = redis::cmd("PEXPIRETIME").arg(&name).query(&mut connection).expect("it replies");
            assert_eq!((changes(&mut connection), after), (before, expiry), "{subject}, {limit}");
        }
    }
}

/// The time to live is the time until the key is fully reset.
#[test]
fn keys_of_scripts_expire_by_themselves() {
    let server = without_module();
    let limits: [AnyLimit; 4] = [
        Limit::<Fixed>::fixed_window(3, HOUR).into(),
        Limit::<Sliding>::sliding_window(3, HOUR).into(),
        Limit::<Token>::token_bucket(3, HOUR).into(),
        Limit::<Leaky>::leaky_bucket(3, HOUR).into(),
    ];
    for subject in Setup::default().scripted(server.port()) {
        for limit in limits {
            let key = key!("expiring", subject.to_string());
            let reset = subject.check(&key, limit).expect("the store answers").reset_after();
            let name = Keyspace::default().key(&key, limit.algorithm());
            let left: u64 = redis::cmd("PTTL").arg(&name).query(&mut server.connection()).expect("it expires");
            let left = Duration::from_millis(left);
            // A millisecond more, as some servers delete keys almost a millisecond early.
            let latest = reset + Duration::from_millis(1);
            assert!(
                left <= latest && reset < left + Duration::from_secs(20),
                "{subject}, {limit}: {left:?}, {reset:?}"
            );
        }
        let key = key!("expiring", subject.to_string());
        let _held = subject.hold(&key, PLACES).expect("there is room");
        let name = Keyspace::default().key(&key, Hold);
        let left: u64 = redis::cmd("PTTL").arg(&name).query(&mut server.connection()).expect("it expires");
        assert!(left <= 3_600_001 && left > 3_580_000, "{subject}: {left}");
    }
}

/// The backend asks once, and does not switch later.
#[test]
fn the_module_is_preferred_where_it_is_loaded() {
    let (with, without) = (Server::start(), without_module());
    for (server, expected) in [(&with, "premtoken"), (&without, "string")] {
        let url = format!("redis://127.0.0.1:{}", server.port());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let backend = Backend::prefer_module(&*url).expect("the server answers");
        let async_backend = runtime.block_on(AsyncBackend::prefer_module(&*url)).expect("the server answers");
        if expected == "string" {
            let path = module_path();
            let loaded = redis::cmd("MODULE").arg("LOAD").arg(path.to_str()).exec(&mut server.connection());
            // Where the server lets nobody load a module, none is loaded later.
            let _: Result<(), RedisError> = loaded;
        }
        let throttler = Throttler::builder(backend).build();
        let async_throttler = AsyncThrottler::builder(async_backend).build();
        let (one, other) = (key!("preferred", "sync"), key!("preferred", "async"));
        assert!(throttler.check(&one, LIMIT).expect("the store answers").is_admitted());
        assert!(runtime.block_on(async_throttler.check(&other, LIMIT)).expect("the store answers").is_admitted());
        for key in [one, other] {
            let name = Keyspace::default().key(&key, Algorithm::TokenBucket);
            let kind: String = redis::cmd("TYPE").arg(name).query(&mut server.connection()).expect("it replies");
            assert_eq!(kind, expected);
        }
    }
    let port = without.port();
    drop(without);
    let error = Backend::prefer_module(format!("redis://127.0.0.1:{port}")).expect_err("there is no server");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

/// A killed server still has everything that it has acknowledged.
#[test]
fn killed_servers_have_charged_each_script_once() {
    let mut server =
        Server::builder().without_module().config("appendonly", "yes").config("appendfsync", "always").start();
    let subjects = Setup::default().scripted(server.port());
    for round in 0..3 {
        for subject in &subjects {
            for limit in limits(10, HOUR) {
                let decision = subject.check(&key!("killed", subject.to_string()), limit).expect("the store answers");
                assert_eq!(decision.remaining(), 9 - round, "{subject}, {limit}");
            }
            let key = key!("held", subject.to_string());
            let held = subject.hold_as(&key, Limit::concurrency(2, HOUR), "one").expect("there is room");
            assert_eq!(held.decision().remaining(), 1, "{subject}");
            std::mem::forget(held);
        }
        server.kill();
        server.start_again();
    }
}

/// A script puts most of them there, as holding them one by one takes a minute.
#[test]
fn a_key_of_scripts_has_at_most_65_536_holders() {
    let server = without_module();
    let many = Limit::concurrency(1_000_000, HOUR);
    let [subject, ..] = &Setup::default().scripted(server.port())[..] else { panic!("three kinds") };
    let key = key!("crowd");
    let held = subject.hold_as(&key, many, "first").expect("there is room");
    let fill = "local now = redis.call('TIME')[1] * 1000000
        for holder = 2, ARGV[1] do
            redis.call('ZADD', KEYS[1], now + 3600000000, 'eid' .. holder, -3600000000, 'lid' .. holder,
                -1, 'uid' .. holder)
        end
        redis.call('ZADD', KEYS[1], -ARGV[1], 's')";
    let fill = |holders: u32| {
        let name = Keyspace::default().key(&key, Hold);
        redis::cmd("EVAL").arg(fill).arg(1).arg(name).arg(holders).exec(&mut server.connection()).expect("it runs");
    };
    fill(65_535);
    let last = subject.hold_as(&key, many, "last").expect("there is room for one");
    assert_eq!(last.decision().remaining(), 1_000_000 - 65_536);
    let error = subject.hold_as(&key, many, "one too many").expect_err("the key is full");
    assert!(format!("{error:#}").contains("the key has 65536 holders"), "{error:#}");
    assert_eq!(error.kind(), ErrorKind::Refused);
    let renewed = subject.hold_as(&key, many, "last").expect("a holder may renew its lease");
    let decision = subject.peek_hold(&key, Limit::concurrency(65_536, HOUR));
    let after = decision.expect("the store answers").retry_after();
    assert!(after.is_some_and(|after| after.as_secs().is_some_and(|seconds| seconds <= 3_601)), "{after:?}");
    drop((held, last, renewed));
}

#[test]
fn a_script_answers_as_the_command_does() {
    let server = Server::start();
    let [subject, ..] = &Setup::default().scripted(server.port())[..] else { panic!("three kinds") };
    let by_command = server.connection().premier_token("by command", LIMIT.cost(4)).expect("the server answers");
    let by_script = subject.check(&key!("by script"), LIMIT.cost(4)).expect("the store answers");
    assert_eq!(by_script, by_command);
}
