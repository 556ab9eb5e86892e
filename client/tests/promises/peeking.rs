//! Deciding a call without charging it.

use std::time::Duration;

use premier_client::{Decision, Keyspace, MemoryBackend, key};
use premier_test_server::Server;

use crate::stores::{Setup, limits};

const HOUR: Duration = Duration::from_secs(60 * 60);

#[test]
fn peek_answers_as_the_next_call_and_changes_nothing() {
    let server = Server::start();
    for (index, subject) in Setup::default().everywhere(&server).iter().enumerate() {
        for limit in limits(2, HOUR) {
            let key = key!("peek", index);
            for call in 0..4 {
                let fields = |decision: &Decision| (decision.is_admitted(), decision.limit(), decision.remaining());
                let peeked = [(); 3].map(|()| subject.peek(&key, limit).expect("the store answers"));
                let name = Keyspace::default().key(&key, limit.algorithm());
                let exists = redis::cmd("EXISTS").arg(name).query(&mut server.connection());
                assert!(call > 0 || exists == Ok(0), "{subject}, {limit:?}: peek created a key");

                let checked = subject.check(&key, limit).expect("the store answers");
                let checked = (checked.is_admitted(), checked.limit(), checked.remaining());
                assert_eq!(peeked.map(|peeked| fields(&peeked)), [checked; 3], "{subject}, {limit:?}, call {call}");
            }
        }
    }
}

#[test]
fn peek_leaves_no_key_in_memory() {
    let memory = MemoryBackend::new();
    for limit in limits(2, HOUR) {
        assert!(memory.peek("key", limit).expect("one algorithm").is_admitted());
        assert!(memory.peek("key", limit.forced()).expect("one algorithm").is_admitted());
    }
    assert!(memory.is_empty());
}
