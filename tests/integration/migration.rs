//! `MIGRATE`: keys that move to another server.

use std::net::Ipv4Addr;

use premier_test_server::Server;
use redis::Cmd;

use crate::tools::call::{LIMITERS, call, error, run};
use crate::tools::load::{LASTING, admitted_meanwhile, used};
use crate::tools::snapshot::{Content, Name, snapshot};
use crate::tools::states::fill;

const TIMEOUT_MILLIS: u32 = 10_000;

/// How much longer a key may live on the target: MIGRATE sends the remaining time to live,
/// not the moment at which the key expires.
const ON_THE_WAY_MILLIS: i64 = 10_000;

/// Returns the command that migrates keys to this database of the target.
fn migrate(target: &Server, database: u32, options: &[&str], names: &[&[u8]]) -> Cmd {
    let mut command = redis::cmd("MIGRATE");
    command.arg(Ipv4Addr::LOCALHOST.to_string()).arg(target.port()).arg("").arg(database).arg(TIMEOUT_MILLIS);
    command.arg(options).arg("KEYS").arg(names);
    command
}

#[test]
fn migrate_moves_every_state() {
    let (source, target) = (Server::start(), Server::start());
    fill(&source);
    let before = snapshot(&source);
    let mut connection = source.connection();
    for database in [0, 3] {
        let () = run(&mut connection, &format!("SELECT {database}"));
        let keys = before.keys().filter(|(db, _)| *db == database);
        let names: Vec<&[u8]> = keys.map(|(_, Name(name))| &name[..]).collect();
        let answer: String = migrate(&target, database, &[], &names).query(&mut connection).expect("MIGRATE");
        assert_eq!(answer, "OK");
    }
    assert!(snapshot(&source).is_empty());
    let after = snapshot(&target);
    assert_eq!(after.len(), before.len());
    for (key, Content { data_type, digest, expires_at }) in before {
        let there = &after[&key];
        assert_eq!((&there.data_type, &there.digest), (&data_type, &digest), "{key:?}");
        let later = there.expires_at - expires_at;
        assert!(
            if expires_at == -1 { later == 0 } else { (0..ON_THE_WAY_MILLIS).contains(&later) },
            "{key:?}: {later}"
        );
    }
}

#[test]
fn migrate_replaces_a_key_only_if_asked_to() {
    let (source, target) = (Server::start(), Server::start());
    let (mut from, mut to) = (source.connection(), target.connection());
    for limiter in LIMITERS {
        let line = format!("{0} {0} 9 3650d", limiter.command);
        call(&mut from, &format!("{line} COST 3"));
        call(&mut to, &format!("{line} COST 5"));
        let names = [limiter.command.as_bytes()];
        let refusal = error(&mut from, &migrate(&target, 0, &[], &names));
        assert!(refusal.contains("BUSYKEY"), "{refusal}");
        assert_eq!(call(&mut to, &line).remaining, 3);
        assert_eq!(call(&mut from, &line).remaining, 5);
        let () = migrate(&target, 0, &["COPY", "REPLACE"], &names).query(&mut from).expect("MIGRATE");
        assert_eq!(call(&mut to, &line).remaining, 4);
        assert_eq!(call(&mut from, &line).remaining, 4);
    }
}

#[test]
fn migrating_a_key_under_load_loses_no_unit() {
    let (source, target) = (Server::start(), Server::start());
    let (mut from, mut to) = (source.connection(), target.connection());
    for limiter in LIMITERS {
        let key = limiter.command;
        let admitted = admitted_meanwhile(&source, &limiter, key, || {
            let mut found = 0;
            for _ in 0..10 {
                let copy = migrate(&target, 0, &["COPY", "REPLACE"], &[key.as_bytes()]);
                assert_eq!(copy.query::<String>(&mut from).expect("MIGRATE"), "OK");
                // What was used on the source counts on the target too.
                let found_now = used(&mut to, &limiter, key);
                assert!(found_now >= found, "{found_now} < {found}");
                found = found_now;
            }
            let go = migrate(&target, 0, &["REPLACE"], &[key.as_bytes()]);
            assert_eq!(go.query::<String>(&mut from).expect("MIGRATE"), "OK");
        });
        let left = used(&mut from, &limiter, key);
        assert_eq!(used(&mut to, &limiter, key) + left, admitted, "{key}");
        assert!(!call(&mut to, &format!("{key} {key} {LASTING}")).limited);
    }
}
