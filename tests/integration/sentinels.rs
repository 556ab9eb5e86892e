//! Three sentinels replace a master that dies.

use premier_test_server::Sentinels;

use crate::tools::call::{HOLD, LIMITERS, call, run};
use crate::tools::replica::wait_until_alike;

#[test]
fn sentinels_hand_over_what_was_used() {
    let mut sentinels = Sentinels::start();
    let lines: Vec<String> = LIMITERS.iter().map(|limiter| format!("{0} {0} 5 3650d", limiter.command)).collect();
    let hold = |holder: u32| format!("{0} {0} 5 3650d ID {holder}", HOLD.command);
    let [master, replica] = sentinels.servers() else { panic!("a master and its replica") };
    let mut connection = master.connection();
    for holder in 0..3 {
        for line in lines.iter().chain([&hold(holder)]) {
            assert!(!call(&mut connection, line).limited, "{line}");
        }
    }
    wait_until_alike(master, replica);

    sentinels.servers_mut()[0].kill();
    let promoted = &sentinels.servers()[1];
    sentinels.wait_until_master(promoted);
    let mut connection = promoted.connection();
    for holder in 3..6 {
        for line in lines.iter().chain([&hold(holder)]) {
            let reply = call(&mut connection, line);
            assert_eq!((reply.limited, reply.remaining), (holder == 5, i64::from(4 - holder.min(4))), "{line}");
        }
    }
    // The same holder, on the new master.
    assert!(!call(&mut connection, &hold(0)).limited);

    // Sentinel has rewritten its configuration, with one line that loads the module.
    sentinels.servers_mut()[1].restart();
    let mut connection = sentinels.servers()[1].connection();
    assert!(!run::<bool>(&mut connection, "EXISTS PREMIER.FIXED"));
    assert!(!call(&mut connection, &lines[0]).limited);
}
