//! What the server reports about the module and its commands.

use std::collections::HashMap;

use premier_test_server::Server;
use redis::{Connection, RedisResult, Value};

use crate::tools::call::{HOLD, LIMITERS, command, run};

type Map = HashMap<String, Value>;

fn parse<T: redis::FromRedisValue>(value: &Value) -> T {
    redis::from_redis_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value:?}"))
}

fn text(map: &Map, field: &str) -> String {
    parse(map.get(field).unwrap_or_else(|| panic!("the map has no {field}: {map:?}")))
}

fn docs(connection: &mut Connection, name: &str) -> Map {
    let answer: HashMap<String, Map> = run(connection, &format!("COMMAND DOCS {name}"));
    let [(answered, docs)] = answer.into_iter().collect::<Vec<_>>().try_into().expect("one command");
    assert!(answered.eq_ignore_ascii_case(name), "{answered}");
    docs
}

/// Name, type, token, whether it is optional, and a part of its summary.
type Argument = (&'static str, &'static str, Option<&'static str>, bool, &'static str);

const TIME: &str = "integers with units, longest first (w, d, h, m, s, ms, us; 1m30s), or whole seconds up to 31622400";

fn arguments(connection: &mut Connection, name: &str) -> Vec<Map> {
    parse(&docs(connection, name)["arguments"])
}

fn assert_argument(map: &Map, (name, kind, token, is_optional, summary): Argument) {
    assert_eq!(text(map, "name"), name);
    assert_eq!(text(map, "type"), kind, "{name}");
    assert_eq!(map.get("token").map(parse::<String>).as_deref(), token, "{name}");
    let flags: Vec<String> = map.get("flags").map(parse).unwrap_or_default();
    assert_eq!(flags.contains(&"optional".to_owned()), is_optional, "{name}: {flags:?}");
    assert!(text(map, "summary").contains(summary), "{name}: {map:?}");
}

#[test]
fn command_docs_lists_every_argument() {
    let server = Server::start();
    let mut connection = server.connection();
    let key: Argument = ("key", "key", None, false, "Any bytes");
    let quota = ("quota", "integer", None, false, "an integer from 0 to 1000000000000");
    // Both say what they mean to HOLD.
    let held = ("quota", "integer", None, false, "HOLD: units held at once");
    let lease = ("duration", "string", None, false, "HOLD: the lease");
    let duration = ("duration", "string", None, false, TIME);
    let id = ("id", "string", Some("ID"), false, "a string of 1 to 128 bytes");
    let any_id = ("id", "string", Some("ID"), true, "the same id is the same holder");
    let capacity = ("capacity", "integer", Some("CAPACITY"), true, "an integer from 1 to 1000000000000");
    let cost = ("cost", "integer", Some("COST"), true, "an integer from 1 to 1000000000000");
    let at_most = ("atmost", "pure-token", Some("ATMOST"), true, "as many units as fit");
    let keep = ("keep", "integer", Some("KEEP"), true, "an integer from 0 to 1000000000000");
    let max_wait = ("maxwait", "string", Some("MAXWAIT"), true, TIME);
    let aligned = ("aligned", "block", Some("ALIGNED"), true, "at midnight UTC");
    let zone = ("zone", "string", Some("ZONE"), true, "an offset from -18:00 to +18:00");
    let force = ("force", "pure-token", Some("FORCE"), true, "whatever is left");
    for limiter in LIMITERS.iter().chain([&HOLD]) {
        let expected = match limiter.command {
            "PREMIER.HOLD" => vec![key, held, lease, id, cost, keep],
            "PREMIER.FIXED" => vec![key, quota, duration, aligned, cost, at_most, keep, force],
            "PREMIER.SLIDING" => vec![key, quota, duration, cost, at_most, keep, force],
            _ => vec![key, quota, duration, capacity, cost, at_most, keep, max_wait, force],
        };
        let arguments = arguments(&mut connection, limiter.command);
        assert_eq!(arguments.len(), expected.len(), "{}", limiter.command);
        for (map, expected) in arguments.iter().zip(expected) {
            assert_argument(map, expected);
        }
    }
    let within_aligned: Vec<Map> = parse(&arguments(&mut connection, "PREMIER.FIXED")[3]["arguments"]);
    assert_eq!(within_aligned.len(), 1);
    assert_argument(&within_aligned[0], zone);

    let algorithm = ("algorithm", "string", None, false, "FIXED, SLIDING, TOKEN, LEAKY or HOLD");
    let cost_of_peek = ("cost", "integer", Some("COST"), true, "an integer from 0 to 1000000000000");
    let to_peek =
        [key, algorithm, quota, duration, aligned, capacity, any_id, cost_of_peek, at_most, keep, max_wait, force];
    let peek = arguments(&mut connection, "PREMIER.PEEK");
    assert_eq!(peek.len(), to_peek.len());
    peek.iter().zip(to_peek).for_each(|(map, expected)| assert_argument(map, expected));
    assert_eq!(arguments(&mut connection, "PREMIER.INSPECT").len(), 1);
    let of_any = [key, algorithm, quota, duration, aligned, capacity, any_id, cost, keep, max_wait, force];

    let mut all = arguments(&mut connection, "PREMIER.ALL");
    let further = all.pop().expect("further limits");
    assert_argument(&further, ("and", "block", Some("AND"), true, "Another limit"));
    let flags: Vec<String> = parse(&further["flags"]);
    assert!(["multiple", "multiple_token"].iter().all(|flag| flags.contains(&(*flag).to_owned())), "{flags:?}");
    for limit in [all, parse(&further["arguments"])] {
        assert_eq!(limit.len(), of_any.len());
        limit.iter().zip(of_any).for_each(|(map, expected)| assert_argument(map, expected));
    }

    let release = arguments(&mut connection, "PREMIER.RELEASE");
    assert_eq!(release.len(), 2);
    assert_argument(&release[1], ("id", "string", None, false, "a string of 1 to 128 bytes"));
    let refund = arguments(&mut connection, "PREMIER.REFUND");
    assert_eq!(refund.len(), 2);
    assert_argument(&refund[1], ("n", "integer", None, false, "an integer from 1 to 1000000000000"));

    let top = arguments(&mut connection, "PREMIER.TOP");
    assert_eq!(top.len(), 1);
    assert_argument(&top[0], ("what", "oneof", None, true, "premier.top-keys by default"));
    let choices: Vec<Map> = parse(&top[0]["arguments"]);
    assert_eq!(choices.len(), 2);
    assert_argument(&choices[0], ("count", "integer", None, false, "an integer from 1 to 256"));
    assert_argument(&choices[1], ("reset", "pure-token", Some("RESET"), false, "Clears"));

    let mut internal = arguments(&mut connection, "PREM");
    let further = internal.pop().expect("further keys");
    assert_argument(&further, ("further", "block", None, true, "Another key"));
    let flags: Vec<String> = parse(&further["flags"]);
    assert!(flags.contains(&"multiple".to_owned()) && !flags.contains(&"multiple_token".to_owned()), "{flags:?}");
    for pair in [internal, parse(&further["arguments"])] {
        assert_eq!(pair.len(), 2);
        assert_argument(&pair[0], key);
        assert_argument(&pair[1], ("effect", "string", None, false, "What PREMIER commands replicate"));
    }
}

#[test]
fn command_docs_has_summary_since_complexity_and_group() {
    let server = Server::start();
    let mut connection = server.connection();
    let expected = [
        ("PREMIER.FIXED", "fixed window", "O(1)"),
        ("PREMIER.SLIDING", "any span", "O(N)"),
        ("PREMIER.TOKEN", "bucket of tokens", "O(1)"),
        ("PREMIER.LEAKY", "queue", "O(1)"),
        ("PREMIER.HOLD", "held at the same time", "O(log(N))"),
        ("PREMIER.RELEASE", "0 if the id holds nothing", "O(log(N))"),
        ("PREMIER.ALL", "several limits", "O(N)"),
        ("PREMIER.PEEK", "changes nothing", "O(1)"),
        ("PREMIER.INSPECT", "without its limit", "O(1)"),
        ("PREMIER.REFUND", "Returns used units", "O(1)"),
        ("PREMIER.TOP", "limited most in recent minutes", "O(N*log(N))"),
        ("PREM", "Internal", "O(N)"),
    ];
    for (name, summary, complexity) in expected {
        let docs = docs(&mut connection, name);
        assert!(text(&docs, "summary").contains(summary), "{docs:?}");
        assert!(text(&docs, "complexity").starts_with(complexity), "{docs:?}");
        assert_eq!(text(&docs, "since"), "0.1.0");
        assert_eq!(text(&docs, "group"), "module");
        assert_eq!(text(&docs, "module"), "premier");
    }
}

struct CommandInfo {
    arity: i64,
    flags: Vec<String>,
    /// First, last and step.
    keys: [i64; 3],
    tips: Vec<String>,
    key_specs: Vec<Map>,
}

fn command_info(connection: &mut Connection, name: &str) -> CommandInfo {
    let answer: Vec<Vec<Value>> = run(connection, &format!("COMMAND INFO {name}"));
    let fields = &answer[0];
    CommandInfo {
        arity: parse(&fields[1]),
        flags: parse(&fields[2]),
        keys: [parse(&fields[3]), parse(&fields[4]), parse(&fields[5])],
        tips: parse(&fields[7]),
        key_specs: parse(&fields[8]),
    }
}

#[test]
fn command_info_has_arity_flags_and_keys() {
    let server = Server::start();
    let mut connection = server.connection();
    let limiters = LIMITERS.map(|limiter| (limiter.command, -4, vec!["denyoom", "fast", "module", "write"]));
    // No server reports that a command may replicate.
    let internal = ("PREM", -3, vec!["admin", "fast", "module"]);
    let all = ("PREMIER.ALL", -5, vec!["denyoom", "fast", "module", "movablekeys", "write"]);
    let peek = ("PREMIER.PEEK", -5, vec!["fast", "module", "readonly"]);
    let hold = ("PREMIER.HOLD", -4, vec!["denyoom", "fast", "module", "write"]);
    let release = ("PREMIER.RELEASE", 3, vec!["fast", "module", "write"]);
    let refund = ("PREMIER.REFUND", 3, vec!["fast", "module", "write"]);
    for (name, arity, expected) in limiters.into_iter().chain([internal, all, peek, hold, release, refund]) {
        let info = command_info(&mut connection, name);
        assert_eq!(info.arity, arity, "{name}");
        // The range of PREMIER.ALL has only the first key: the others are movable.
        let (keys, last_key, key_step) = if name == "PREM" { ([1, -1, 2], -1, 2) } else { ([1, 1, 1], 0, 1) };
        assert_eq!(info.keys, keys, "{name}");
        let mut flags = info.flags;
        flags.sort();
        assert_eq!(flags, expected, "{name}");

        let [spec] = &info.key_specs[..] else { panic!("one key: {:?}", info.key_specs) };
        let mut flags: Vec<String> = parse(&spec["flags"]);
        flags.sort();
        let expected = match name {
            "PREMIER.PEEK" => vec!["RO", "access"],
            "PREMIER.ALL" => vec!["RW", "access", "incomplete", "update"],
            _ => vec!["RW", "access", "update"],
        };
        assert_eq!(flags, expected, "{name}");
        let begin: Map = parse(&spec["begin_search"]);
        assert_eq!(text(&begin, "type"), "index");
        assert_eq!(parse::<Map>(&begin["spec"]).get("index"), Some(&Value::Int(1)));
        let find: Map = parse(&spec["find_keys"]);
        assert_eq!(text(&find, "type"), "range");
        let range: Map = parse(&find["spec"]);
        for (field, value) in [("lastkey", last_key), ("keystep", key_step), ("limit", 0)] {
            assert_eq!(range.get(field), Some(&Value::Int(value)), "{name} {field}");
        }
    }
}

#[test]
fn command_tips_say_what_proxies_must_know() {
    let server = Server::start();
    let mut connection = server.connection();
    let of_top = ["request_policy:all_shards", "response_policy:special", "nondeterministic_output"];
    for (name, tips) in [
        ("PREMIER.TOP", &of_top[..]),
        ("PREMIER.PEEK", &["nondeterministic_output"]),
        ("PREMIER.TOKEN", &[]),
        ("PREMIER.ALL", &[]),
        ("PREMIER.REFUND", &[]),
        ("PREMIER.HOLD", &[]),
        ("PREMIER.RELEASE", &[]),
    ] {
        assert_eq!(command_info(&mut connection, name).tips, tips, "{name}");
    }
}

#[test]
fn premier_top_has_no_key() {
    let server = Server::start();
    let info = command_info(&mut server.connection(), "PREMIER.TOP");
    let mut flags = info.flags;
    flags.sort();
    assert_eq!((info.arity, info.keys, flags), (-1, [0; 3], vec!["admin".to_owned(), "module".to_owned()]));
    assert!(info.key_specs.is_empty(), "{:?}", info.key_specs);
}

#[test]
fn command_getkeys_finds_every_key() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        let keys: Vec<String> =
            run(&mut connection, &format!("COMMAND GETKEYS {} the-key 5 1h COST 3", limiter.command));
        assert_eq!(keys, ["the-key"]);
    }
    for line in ["PREM the-key effect", "PREMIER.PEEK the-key FIXED 5 1h", "PREMIER.REFUND the-key 1"] {
        assert_eq!(run::<Vec<String>>(&mut connection, &format!("COMMAND GETKEYS {line}")), ["the-key"], "{line}");
    }
    let several = "COMMAND GETKEYS PREM one effect two effect three effect";
    assert_eq!(run::<Vec<String>>(&mut connection, several), ["one", "two", "three"]);
}

#[test]
fn the_module_registers_exactly_these_commands() {
    let server = Server::start();
    let mut connection = server.connection();
    let names: Vec<String> = run(&mut connection, "COMMAND LIST FILTERBY MODULE premier");
    let mut names: Vec<String> = names.iter().map(|name| name.to_uppercase()).collect();
    names.sort();
    let expected = [
        "PREM",
        "PREMIER.ALL",
        "PREMIER.FIXED",
        "PREMIER.HOLD",
        "PREMIER.INSPECT",
        "PREMIER.LEAKY",
        "PREMIER.PEEK",
        "PREMIER.REFUND",
        "PREMIER.RELEASE",
        "PREMIER.SLIDING",
        "PREMIER.TOKEN",
        "PREMIER.TOP",
    ];
    assert_eq!(names, expected);
}

#[test]
fn module_list_and_the_log_show_the_name_and_the_version() {
    let server = Server::start();
    let mut connection = server.connection();
    let modules: Vec<Map> = run(&mut connection, "MODULE LIST");
    let module = modules.iter().find(|module| text(module, "name") == "premier").expect("the module is loaded");
    let version = env!("CARGO_PKG_VERSION");
    let number = version.split('.').fold(0, |number, part| number * 100 + part.parse::<i64>().expect("a number"));
    assert_eq!(module.get("ver"), Some(&Value::Int(number)));
    let log = server.log();
    assert_eq!(log.matches(&format!("premier {version} is loaded")).count(), 1, "{log}");
    assert!(!log.contains("will lack"), "{log}");
}

/// On servers where modules can use ACL categories.
#[test]
fn the_commands_are_in_the_right_acl_categories() {
    let server = Server::start();
    let mut connection = server.connection();
    let mut has = |category: &str, name: &str| {
        let members: RedisResult<Vec<String>> = command(&format!("ACL CAT {category}")).query(&mut connection);
        members.is_ok_and(|members| members.iter().any(|member| member.eq_ignore_ascii_case(name)))
    };
    // Redis 7.2 added the interface for existing categories, and 7.4 for new ones; Valkey has both.
    let (in_categories, in_own) = (has("write", "premier.fixed"), has("premier", "premier.fixed"));
    for name in LIMITERS.map(|limiter| limiter.command).into_iter().chain([HOLD.command, "PREMIER.RELEASE"]) {
        for (category, is_in) in [("write", in_categories), ("fast", in_categories), ("premier", in_own)] {
            assert_eq!(has(category, name), is_in, "{name} in @{category}");
        }
        assert!(!has("admin", name) && !has("dangerous", name), "{name}");
    }
    for name in ["prem", "premier.top"] {
        for category in ["admin", "dangerous"] {
            assert_eq!(has(category, name), in_categories, "{name} in @{category}");
        }
        for category in ["write", "read", "premier"] {
            assert!(!has(category, name), "{name} in @{category}");
        }
    }

    let version_has_them = crate::tools::info::is_at_least(&mut server.connection(), (7, 2));
    assert_eq!(in_categories, version_has_them);
    let answer: String = {
        let () = run(&mut connection, "ACL SETUSER writer on nopass ~* +@write");
        run(&mut connection, "ACL DRYRUN writer PREMIER.FIXED key 5 1h")
    };
    assert_eq!(answer == "OK", in_categories, "{answer}");
}
