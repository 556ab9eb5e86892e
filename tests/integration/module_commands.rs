//! `MODULE UNLOAD` and `MODULE LOAD` on a server that is in use.

use std::fs;

use premier_test_server::{Server, module_path};
use redis::{Cmd, Connection};

use crate::tools::call::{LIMITERS, call, command, error, run};
use crate::tools::info::{info, info_number};
use crate::tools::load::{admitted_meanwhile, used};
use crate::tools::snapshot::snapshot;
use crate::tools::states::fill;
use crate::tools::waiting::wait_until;

fn server() -> Server {
    Server::builder().config("enable-module-command", "yes").start()
}

/// Asserts that the server refuses to unload a module with data types.
#[track_caller]
fn assert_unloading_is_refused(connection: &mut Connection) {
    let line = error(connection, &command("MODULE UNLOAD premier"));
    assert!(line.contains("data types, can't unload"), "{line}");
}

/// Whether the server has keys or not.
#[test]
fn unloading_is_refused_and_harms_no_key() {
    let server = server();
    let mut connection = server.connection();
    assert_unloading_is_refused(&mut connection);
    fill(&server);
    let before = snapshot(&server);
    assert_unloading_is_refused(&mut connection);
    assert_eq!(snapshot(&server), before);
    for limiter in LIMITERS {
        assert_eq!(
            call(&mut connection, &format!("{} fresh:{} 5 1h", limiter.command, limiter.data_type)).remaining,
            4
        );
    }
    let () = run(&mut connection, "DEBUG RELOAD");
    assert_eq!(snapshot(&server).len(), before.len() + LIMITERS.len());
}

#[test]
fn loading_the_module_again_is_refused_and_harms_nothing() {
    let server = server();
    let mut connection = server.connection();
    let other_file = server.dir().join("libother.so");
    fs::copy(module_path(), &other_file).expect("the server's folder is writable");
    call(&mut connection, "PREMIER.TOKEN key 5 3650d");
    let counted = info(&mut connection, "premier", "premier_token");
    for path in [module_path(), other_file] {
        let line = error(&mut connection, redis::cmd("MODULE").arg("LOAD").arg(path.to_str().expect("UTF-8")));
        assert!(line.starts_with("ERR "), "{line}");
    }
    assert_eq!(info(&mut connection, "premier", "premier_token"), counted);
    assert_eq!(call(&mut connection, "PREMIER.TOKEN key 5 3650d").remaining, 3);
}

/// Returns the command that loads the module with these arguments.
fn load(arguments: &str) -> Cmd {
    let mut command = redis::cmd("MODULE");
    command
        .arg("LOAD")
        .arg(module_path().to_str().expect("UTF-8"))
        .arg(arguments.split_whitespace().collect::<Vec<_>>());
    command
}

/// Whether an argument is wrong or a command is there already. A server must not go on sending
/// events to a module that it has removed.
#[test]
fn a_refused_load_harms_no_running_server() {
    let config = Server::builder().without_module().config("enable-module-command", "yes").config("hz", "100");
    // As if redis-cell were loaded.
    let server = config.config("rename-command", "ECHO CL.THROTTLE").start();
    let mut connection = server.connection();
    let () = run(&mut connection, "SET other kept");
    let refused = ["top-keys 999", "top-key 9", "top-keys", "cell-compat maybe", "cell-compat yes"];
    for arguments in refused.into_iter().cycle().take(2 * refused.len()) {
        let line = error(&mut connection, &load(arguments));
        assert!(line.starts_with("ERR "), "{arguments}: {line}");
        // The fork is an event, and so is each look of the server whether the child is done.
        let _: String = run(&mut connection, "BGSAVE");
        wait_until("the server has saved", || {
            info_number(&mut connection, "persistence", "rdb_bgsave_in_progress") == 0
        });
        assert_eq!(run::<String>(&mut connection, "GET other"), "kept", "{arguments}");
    }
    let () = load("top-keys 9").query(&mut connection).expect("the module is loaded");
    assert_eq!(call(&mut connection, "PREMIER.TOKEN key 5 1h").remaining, 4);
}

#[test]
fn loading_and_unloading_under_load_lose_no_call() {
    let server = server();
    let mut connection = server.connection();
    let module = module_path();
    for limiter in LIMITERS {
        let admitted = admitted_meanwhile(&server, &limiter, limiter.command, || {
            for _ in 0..10 {
                assert_unloading_is_refused(&mut connection);
                error(&mut connection, redis::cmd("MODULE").arg("LOAD").arg(module.to_str().expect("UTF-8")));
            }
        });
        assert_eq!(used(&mut connection, &limiter, limiter.command), admitted);
    }
}
