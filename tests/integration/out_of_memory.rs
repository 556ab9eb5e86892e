//! A server that is out of memory refuses calls and keeps running.

use premier_test_server::Server;

use crate::tools::call::{LIMITERS, call, command, error, run};
use crate::tools::snapshot::snapshot;

/// When there is memory again, calls continue where they were.
#[test]
fn out_of_memory_calls_fail_with_oom_and_change_nothing() {
    let server = Server::builder().config("maxmemory-policy", "noeviction").start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        call(&mut connection, &format!("{} {} 5 1h", limiter.command, limiter.data_type));
    }
    let before = snapshot(&server);

    let () = run(&mut connection, "CONFIG SET maxmemory 1");
    for limiter in LIMITERS {
        for key in [limiter.data_type, "fresh"] {
            let line = error(&mut connection, &command(&format!("{} {key} 5 1h", limiter.command)));
            assert!(line.starts_with("OOM "), "{line}");
        }
    }
    assert_eq!(snapshot(&server), before);

    let () = run(&mut connection, "CONFIG SET maxmemory 0");
    for limiter in LIMITERS {
        let reply = call(&mut connection, &format!("{} {} 5 1h", limiter.command, limiter.data_type));
        assert_eq!((reply.limited, reply.remaining), (false, 3));
    }
}

#[test]
fn out_of_memory_peek_and_refund_still_work() {
    let server = Server::builder().config("maxmemory-policy", "noeviction").start();
    let mut connection = server.connection();
    for limiter in LIMITERS {
        call(&mut connection, &format!("{0} {0} 5 3650d COST 3", limiter.command));
    }
    let () = run(&mut connection, "CONFIG SET maxmemory 1");
    for limiter in LIMITERS {
        let key = limiter.command;
        let peek = format!("PREMIER.PEEK {key} {} 5 3650d", limiter.algorithm());
        assert_eq!(call(&mut connection, &peek).remaining, 1);
        assert_eq!(run::<i64>(&mut connection, &format!("PREMIER.REFUND {key} 2")), 2);
        assert_eq!(call(&mut connection, &peek).remaining, 3);
    }
}
