//! After a restart the server holds exactly what it held before.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use premier_test_server::{Builder, Server};

use crate::tools::call::{LIMITERS, call, run};
use crate::tools::effect::{commands_in_aof, server_with_aof};
use crate::tools::info::{info, info_number};
use crate::tools::snapshot::snapshot;
use crate::tools::states::fill;
use crate::tools::waiting::wait_until;

/// Asserts that the server has the same keys, states and expiries after what happens to it.
#[track_caller]
fn assert_survives(builder: Builder, what_happens: impl FnOnce(&mut Server)) {
    let mut server = builder.start();
    fill(&server);
    let before = snapshot(&server);
    what_happens(&mut server);
    let after = snapshot(&server);
    for (key, state) in &before {
        assert_eq!(after.get(key), Some(state), "{key:?}");
    }
    assert_eq!(after.len(), before.len());
}

fn rewrite_aof(server: &Server) {
    let mut connection = server.connection();
    let () = run(&mut connection, "BGREWRITEAOF");
    wait_until("the AOF is rewritten", || {
        ["aof_rewrite_in_progress", "aof_rewrite_scheduled"]
            .iter()
            .all(|field| info_number(&mut connection, "persistence", field) == 0)
    });
    assert_eq!(info(&mut connection, "persistence", "aof_last_bgrewrite_status").as_deref(), Some("ok"));
    assert!(commands_in_aof(server).is_empty(), "the rewrite left commands outside the new base");
}

/// Returns the first bytes of the base file of the AOF.
fn base_magic(server: &Server) -> Vec<u8> {
    let files = fs::read_dir(server.dir().join("appendonlydir")).expect("the AOF has a folder");
    let base = files.map(|file| file.expect("a folder can be read").path()).find(|path| {
        let name = path.to_string_lossy();
        name.ends_with(".base.aof") || name.ends_with(".base.rdb")
    });
    fs::read(base.expect("a rewritten AOF has a base")).expect("it can be read")[..5].to_vec()
}

#[test]
fn states_survive_debug_reload() {
    assert_survives(Server::builder(), |server| {
        let () = run(&mut server.connection(), "DEBUG RELOAD");
    });
}

#[test]
fn states_survive_a_restart_from_an_rdb_file() {
    assert_survives(Server::builder().config("save", "3600 1"), Server::restart);
}

#[test]
fn states_survive_in_a_compressed_rdb_file() {
    assert_survives(Server::builder(), |server| {
        let () = run(&mut server.connection(), "CONFIG SET rdbcompression yes");
        let () = run(&mut server.connection(), "SAVE");
        server.kill();
        server.start_again();
    });
}

#[test]
fn states_survive_a_restart_from_the_commands_in_an_aof() {
    assert_survives(server_with_aof(), |server| {
        assert!(commands_in_aof(server).len() > 100);
        server.restart();
    });
}

#[test]
fn states_survive_in_a_rewritten_aof_with_an_rdb_preamble() {
    assert_survives(server_with_aof().config("aof-use-rdb-preamble", "yes"), |server| {
        rewrite_aof(server);
        assert!([b"REDIS", b"VALKE"].iter().any(|magic| base_magic(server) == *magic));
        server.restart();
    });
}

#[test]
fn states_survive_in_a_rewritten_aof_of_commands_only() {
    assert_survives(server_with_aof().config("aof-use-rdb-preamble", "no"), |server| {
        rewrite_aof(server);
        assert!(base_magic(server).starts_with(b"*"));
        server.restart();
    });
}

#[test]
fn states_survive_kill_9_when_the_aof_is_always_synced() {
    assert_survives(server_with_aof(), |server| {
        server.kill();
        server.start_again();
    });
}

#[test]
fn used_units_still_count_after_a_restart() {
    for builder in [Server::builder().config("save", "3600 1"), server_with_aof()] {
        let mut server = builder.start();
        let lines = LIMITERS.map(|limiter| format!("{0} {0} 3 3650d", limiter.command));
        for line in &lines {
            call(&mut server.connection(), line);
        }
        server.restart();
        for line in &lines {
            let fields = [1, 2, 3].map(|_| {
                let reply = call(&mut server.connection(), line);
                (reply.limited, reply.remaining)
            });
            assert_eq!(fields, [(false, 1), (false, 0), (true, 0)], "{line}");
        }
    }
}

#[test]
fn a_key_that_expires_while_the_server_is_down_is_fresh() {
    for mut server in [Server::builder().config("save", "3600 1").start(), server_with_aof().start()] {
        let lines = LIMITERS.map(|limiter| format!("{0} {0} 1 2s", limiter.command));
        for line in &lines {
            assert!(!call(&mut server.connection(), line).limited, "{line}");
        }
        server.stop();
        sleep(Duration::from_secs(2));
        server.start_again();
        for line in &lines {
            assert!(!call(&mut server.connection(), line).limited, "{line}");
        }
    }
}

#[test]
fn the_aof_has_effects_and_never_calls() {
    let server = server_with_aof().start();
    fill(&server);
    let mut names: Vec<String> = commands_in_aof(&server)
        .iter()
        .map(|words| String::from_utf8(words[0].clone()).expect("names are ASCII").to_uppercase())
        .collect();
    names.sort();
    names.dedup();
    // The server itself turns EXPIRE into PEXPIREAT.
    assert_eq!(names, ["PERSIST", "PEXPIREAT", "PREM", "SELECT"]);
}
