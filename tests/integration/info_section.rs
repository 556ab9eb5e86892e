//! `INFO premier` counts calls by their result.

use std::collections::{BTreeMap, HashMap};

use premier_test_server::Server;
use redis::{Connection, Value};

use crate::tools::call::{LIMITERS, call, command, error, run};
use crate::tools::replica::{primary, replica_of, wait_until_alike};

/// Returns the counters of an algorithm: admitted, limited and refused calls, and units admitted.
fn counts(connection: &mut Connection, algorithm: &str) -> [u64; 4] {
    let info: String = run(connection, "INFO premier");
    let field = format!("premier_{algorithm}:");
    let line =
        info.lines().find_map(|line| line.strip_prefix(&field)).unwrap_or_else(|| panic!("{field} is not in {info}"));
    let fields: HashMap<&str, &str> = line.trim().split(',').filter_map(|field| field.split_once('=')).collect();
    ["admitted", "limited", "refused", "units"].map(|name| fields[name].parse().expect("a number"))
}

fn algorithms() -> [String; 4] {
    LIMITERS.map(|limiter| limiter.algorithm().to_lowercase())
}

#[test]
fn each_algorithm_counts_its_calls() {
    let server = Server::start();
    let mut connection = server.connection();
    let info: String = run(&mut connection, "INFO premier");
    assert!(info.contains(concat!("premier_version:", env!("CARGO_PKG_VERSION"))), "{info}");
    let () = run(&mut connection, "SET text 1");
    for (limiter, algorithm) in LIMITERS.iter().zip(algorithms()) {
        assert_eq!(counts(&mut connection, &algorithm), [0; 4]);
        let line = format!("{} key:{algorithm} 10 1h", limiter.command);
        call(&mut connection, &format!("{line} COST 7"));
        call(&mut connection, &format!("{line} COST 3"));
        call(&mut connection, &line);
        call(&mut connection, &format!("{line} COST 4 FORCE"));
        for refused in ["text 10 1h", "key ten 1h", "key 10 1h COST 0", "key 10 1h BURST"] {
            error(&mut connection, &command(&format!("{} {refused}", limiter.command)));
        }
        // PEEK and REFUND do not count as calls.
        let _: Value = run(&mut connection, &format!("PREMIER.PEEK key:{algorithm} {algorithm} 10 1h"));
        let _: Value = run(&mut connection, &format!("PREMIER.REFUND key:{algorithm} 1"));
        assert_eq!(counts(&mut connection, &algorithm), [3, 1, 4, 14], "{algorithm}");
    }
}

/// An admitted call counts for all of its limits, a limited one only for those that limit it.
#[test]
fn premier_all_counts_for_the_limits_that_decide() {
    let server = Server::start();
    let mut connection = server.connection();
    let limits = "f FIXED 1 1h AND t TOKEN 9 1h COST 2 AND l LEAKY 9 1h AND s SLIDING 9 1h";
    for _ in 0..3 {
        let _: Value = run(&mut connection, &format!("PREMIER.ALL {limits}"));
    }
    let counted = ["fixed", "token", "leaky", "sliding"].map(|algorithm| counts(&mut connection, algorithm));
    assert_eq!(counted, [[1, 2, 0, 1], [1, 0, 0, 2], [1, 0, 0, 1], [1, 0, 0, 1]]);
}

#[test]
fn a_replicated_effect_does_not_count_as_a_call() {
    let primary = primary().start();
    let replica = replica_of(&primary);
    for limiter in LIMITERS {
        call(&mut primary.connection(), &format!("{0} {0} 10 1h", limiter.command));
    }
    wait_until_alike(&primary, &replica);
    for algorithm in algorithms() {
        assert_eq!(counts(&mut replica.connection(), &algorithm), [0; 4]);
    }
}

/// Monitoring asks for INFO everything. Other sections leave it out.
#[test]
fn info_everything_includes_the_section_of_premier() {
    let server = Server::start();
    let mut connection = server.connection();
    let has = |connection: &mut Connection, line: &str| run::<String>(connection, line).contains("premier_version:");
    assert!(has(&mut connection, "INFO everything"));
    assert!(!has(&mut connection, "INFO memory"));
}

/// The exporter runs it without keys, and expects names and values in turn.
#[test]
fn the_exporters_script_returns_every_count() {
    let server = Server::start();
    let mut connection = server.connection();
    let script = include_str!("../../contrib/redis_exporter/premier.lua");
    for call in ["TOKEN \u{ff} 1 1h", "TOKEN \u{ff} 1 1h", "HOLD key 1 1h ID a"] {
        let _: Value = run(&mut connection, &format!("PREMIER.{call}"));
    }
    error(&mut connection, &command("PREMIER.HOLD key 1 1h"));
    let mut figures = |script: &str| -> BTreeMap<String, u64> {
        redis::cmd("EVAL").arg(script).arg(0).query(&mut connection).expect("EVAL")
    };

    let mut of_all = figures(script);
    of_all.retain(|_, count| *count > 0);
    let expected = [
        ("premier_hold_admitted", 1),
        ("premier_hold_refused", 1),
        ("premier_hold_units", 1),
        ("premier_token_admitted", 1),
        ("premier_token_limited", 1),
        ("premier_token_units", 1),
    ];
    assert_eq!(of_all, expected.map(|(name, count)| (name.to_owned(), count)).into());
    assert_eq!(figures(script).len(), 4 * (LIMITERS.len() + 1));

    let with_keys = script.replace("TOP_KEYS = 0", "TOP_KEYS = 5");
    assert_eq!(figures(&with_keys).get(r"premier_top \xc3\xbf"), Some(&1));
}
