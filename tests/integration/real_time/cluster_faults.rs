//! What a cluster of three masters and three replicas loses when a master is killed or cut off:
//! nothing that its replica had, so a key that was full stays full, and no call that `WAIT`
//! confirmed. The tests print how many other calls were lost.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Instant;

use premier_test_server::{Cluster, Network, Server};
use rand::RngExt;
use redis::{Connection, RedisError};

use crate::tools::call::{LIMITERS, Limiter, Reply, call, command, run};
use crate::tools::load::{LASTING, used};
use crate::tools::random::random;
use crate::tools::replica::{assert_alike, is_master};
use crate::tools::skipped::skipped;
use crate::tools::strength::at_strength;
use crate::tools::waiting::wait_until;

const MASTERS: usize = 3;

/// The hash tag of all keys, so that one master has them all.
const TAG: &str = "{tag}";

/// A client that makes one call after another on its own key.
struct Caller {
    key: String,
    limiter: &'static Limiter,
    /// The number of calls after which it waits until a replica has them.
    waits_after: i64,
    /// How many calls were admitted, and how many of these a replica has for certain.
    admitted: AtomicI64,
    replicated: AtomicI64,
}

impl Caller {
    /// Returns two callers per algorithm: one waits after each call, the other after many.
    fn all(round: usize) -> Vec<Self> {
        let callers = LIMITERS.iter().flat_map(|limiter| {
            [1, 500].map(|waits_after| Self {
                key: format!("{TAG}:{round}:{waits_after}:{}", limiter.data_type),
                limiter,
                waits_after,
                admitted: AtomicI64::new(0),
                replicated: AtomicI64::new(0),
            })
        });
        callers.collect()
    }

    /// Calls until the server refuses or is gone, and returns that error.
    fn call_until_refused(&self, connection: &mut Connection) -> RedisError {
        let line = format!("{} {} {LASTING}", self.limiter.command, self.key);
        loop {
            match command(&line).query::<Reply>(connection) {
                Ok(reply) => assert!(!reply.limited, "{line}"),
                Err(refusal) => return refusal,
            }
            let admitted = self.admitted.fetch_add(1, Ordering::Relaxed) + 1;
            if admitted % self.waits_after == 0 {
                match command("WAIT 1 100").query::<i64>(connection) {
                    Ok(0) => {}
                    Ok(_) => self.replicated.store(admitted, Ordering::Relaxed),
                    Err(refusal) => return refusal,
                }
            }
        }
    }

    fn admitted(&self) -> i64 {
        self.admitted.load(Ordering::Relaxed)
    }

    fn replicated(&self) -> i64 {
        self.replicated.load(Ordering::Relaxed)
    }

    /// Returns how many of its calls the server has lost.
    #[track_caller]
    fn lost(&self, server: &Server) -> i64 {
        let used = used(&mut server.connection(), self.limiter, &self.key);
        let (admitted, replicated) = (self.admitted(), self.replicated());
        assert!(replicated > 0, "{}: WAIT confirmed no call", self.key);
        // The reply to one more call may have been lost.
        assert!(
            (replicated..=admitted + 1).contains(&used),
            "{}: {used} used, {replicated} confirmed by a replica, {admitted} admitted",
            self.key
        );
        (admitted - used).max(0)
    }
}

fn admitted(callers: &[Caller]) -> i64 {
    callers.iter().map(Caller::admitted).sum()
}

fn lost(callers: &[Caller], server: &Server) -> i64 {
    callers.iter().map(|caller| caller.lost(server)).sum()
}

/// Fills a key of each algorithm, and waits until the replica has them.
fn fill(master: &Server) {
    let mut connection = master.connection();
    for limiter in LIMITERS {
        call(&mut connection, &format!("{} {TAG}:full:{} 5 3650d COST 5", limiter.command, limiter.data_type));
    }
    assert_eq!(run::<i64>(&mut connection, "WAIT 1 10000"), 1);
}

#[track_caller]
fn assert_full(server: &Server) {
    let mut connection = server.connection();
    for limiter in LIMITERS {
        let line = format!("PREMIER.PEEK {TAG}:full:{} {} 5 3650d", limiter.data_type, limiter.algorithm());
        assert!(call(&mut connection, &line).limited, "{line}");
    }
}

/// Waits until the replica of a master that the other nodes miss is promoted and serves its slots.
#[track_caller]
fn wait_until_promoted(replica: &Server) {
    let mut connection = replica.connection();
    let key = command(&format!("EXISTS {TAG}"));
    wait_until("a replica is promoted", || key.query::<i64>(&mut connection).is_ok());
}

/// Returns the node that has the keys and its replica.
fn master_and_replica(cluster: &Cluster) -> (usize, usize) {
    let (_, master) = cluster.locate(TAG);
    (master, master + MASTERS)
}

/// Under load, several times in a row.
#[test]
fn a_killed_master_loses_nothing_that_its_replica_had() {
    let mut random = random();
    let mut cluster = Cluster::start_with_replicas(
        MASTERS,
        &[("cluster-node-timeout", "1000"), ("propagation-error-behavior", "panic")],
    );
    let (mut master, mut replica) = master_and_replica(&cluster);
    for round in 0..at_strength(3) {
        let callers = Caller::all(round);
        fill(&cluster.nodes()[master]);
        thread::scope(|scope| {
            for caller in &callers {
                let mut connection = cluster.nodes()[master].connection();
                scope.spawn(move || caller.call_until_refused(&mut connection));
            }
            let moment = random.random_range(2_000..10_000);
            let are_enough = || admitted(&callers) >= moment && callers.iter().all(|caller| caller.replicated() > 0);
            let outcome = catch_unwind(AssertUnwindSafe(|| wait_until("calls are admitted", are_enough)));
            // Kill it in any case: the callers only stop then.
            cluster.nodes_mut()[master].kill();
            outcome.unwrap_or_else(|panic| resume_unwind(panic));
        });
        let promoted = &cluster.nodes()[replica];
        wait_until_promoted(promoted);
        assert_full(promoted);
        println!("killed after {} calls: {} lost", admitted(&callers), lost(&callers, promoted));

        cluster.nodes_mut()[master].start_again();
        cluster.wait_until_agreed();
        assert!(!is_master(&cluster.nodes()[master]));
        assert_alike(&cluster.nodes()[replica], &cluster.nodes()[master]);
        (master, replica) = (replica, master);
    }
}

/// How a master that is cut off starts to refuse calls.
struct Partition {
    settings: &'static [&'static str],
    refusal: &'static str,
}

/// Cuts a master off from all other nodes under load, while its clients still reach it, until its
/// replica has taken over.
fn cut_off(network: &Network, Partition { settings, refusal }: &Partition) {
    let config = [("cluster-node-timeout", "4000"), ("propagation-error-behavior", "panic")];
    let cluster = Cluster::start_in(network, MASTERS, &config);
    let (master, replica) = master_and_replica(&cluster);
    let others: Vec<&Server> =
        cluster.nodes().iter().enumerate().filter(|(node, _)| *node != master).map(|(_, node)| node).collect();
    let (master, replica) = (&cluster.nodes()[master], &cluster.nodes()[replica]);

    let callers = Caller::all(0);
    fill(master);
    let (before, cut) = thread::scope(|scope| {
        let clients: Vec<_> = callers
            .iter()
            .map(|caller| {
                let mut connection = master.connection();
                scope.spawn(move || caller.call_until_refused(&mut connection))
            })
            .collect();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            wait_until("calls are admitted", || callers.iter().all(|caller| caller.replicated() > 0));
            let before = admitted(&callers);
            // Set these only now: on a loaded machine, a replica lags now and then.
            for setting in *settings {
                let () = run(&mut master.connection(), &format!("CONFIG SET {setting}"));
            }
            network.cut(master, &others);
            let cut = Instant::now();
            assert_full(master);
            (before, cut)
        }));
        let (before, cut) = outcome.unwrap_or_else(|panic| {
            // Otherwise the callers would never stop.
            let () = run(&mut master.connection(), "CLIENT KILL TYPE normal");
            resume_unwind(panic)
        });
        for client in clients {
            let error = client.join().expect("no client fails");
            assert_eq!(error.code(), Some(*refusal), "{error}");
        }
        (before, cut.elapsed())
    });
    wait_until_promoted(replica);
    assert_full(replica);
    let lost_while_cut_off = lost(&callers, replica);

    network.mend(master, &others);
    cluster.wait_until_agreed();
    assert!(is_master(replica) && !is_master(master));
    assert_alike(replica, master);
    assert_full(replica);
    let lost = lost(&callers, replica);
    assert_eq!(lost, lost_while_cut_off, "reconnecting the master changed what was lost");
    println!(
        "refused with {refusal} {cut:?} after the cut: of {} calls in between, {lost} were lost",
        admitted(&callers) - before
    );
}

fn assert_survives(partition: &Partition) {
    if let Err(why) = Network::scope(|network| cut_off(network, partition)) {
        skipped(format!("cannot create a network to cut: {why}"));
    }
}

#[test]
fn a_cut_off_master_loses_nothing_that_its_replica_had() {
    assert_survives(&Partition { settings: &[], refusal: "CLUSTERDOWN" });
}

/// It refuses before the cluster is down, and so loses fewer calls.
#[test]
fn a_cut_off_master_with_min_replicas_refuses_with_noreplicas() {
    let settings = &["min-replicas-max-lag 1", "min-replicas-to-write 1"];
    assert_survives(&Partition { settings, refusal: "NOREPLICAS" });
}
