//! A cluster of three masters and three replicas. Callers with a cluster client do not notice slots
//! that move or masters that hand over to their replicas: no call is lost, and none is counted
//! twice.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};

use premier_test_server::{Cluster, Server};
use redis::Value;
use redis::cluster::{ClusterClient, ClusterConnection};

use crate::tools::call::{HOLD, LIMITERS, Limiter, call, command, error, run};
use crate::tools::hold::release;
use crate::tools::load::{LASTING, meanwhile, used};
use crate::tools::replica::{assert_alike, is_master};
use crate::tools::skipped::skipped;
use crate::tools::waiting::wait_until;

const MASTERS: usize = 3;

/// How many hash tags the keys have. Each has its own slot, and every master has two of them.
const TAGS: usize = 6;

/// Starts a cluster that notices changes quickly and promotes a replica only on request, however
/// slow the machine is.
fn start() -> Cluster {
    let config = [
        ("cluster-node-timeout", "2000"),
        ("cluster-replica-no-failover", "yes"),
        ("propagation-error-behavior", "panic"),
    ];
    Cluster::start_with_replicas(MASTERS, &config)
}

fn connect(cluster: &Cluster) -> ClusterConnection {
    // By default the client would wait for a second or more before it retries.
    let client = ClusterClient::builder(cluster.urls()).retries(1_000).retry_wait_formula(20, 1).min_retry_wait(1);
    let client = client.build().expect("the addresses are well-formed");
    client.get_connection().expect("the cluster accepts clients")
}

/// Calls PREMIER.ALL and returns whether the call was limited.
fn all_is_limited(client: &mut ClusterConnection, limits: &str) -> bool {
    let fields: Vec<Value> = run(client, &format!("PREMIER.ALL {limits}"));
    fields[0] == Value::Int(1)
}

/// A key, and how many of its calls were admitted.
struct Counted {
    key: String,
    limiter: &'static Limiter,
    admitted: AtomicI64,
}

impl Counted {
    fn new(key: String, limiter: &'static Limiter) -> Self {
        Self { key, limiter, admitted: AtomicI64::new(0) }
    }

    fn count(&self) {
        self.admitted.fetch_add(1, Ordering::Relaxed);
    }
}

/// The keys that are called under load. Each tag has, per algorithm, a key with much left and a
/// full one, a pair of keys that are only charged together, and a key with holders.
struct Ledger {
    alone: Vec<Counted>,
    holds: Vec<Counted>,
    pairs: Vec<[Counted; 2]>,
    full: Vec<String>,
}

impl Ledger {
    fn new(client: &mut ClusterConnection) -> Self {
        let mut ledger = Self { alone: Vec::new(), holds: Vec::new(), pairs: Vec::new(), full: Vec::new() };
        for tag in 0..TAGS {
            for limiter in &LIMITERS {
                let data_type = limiter.data_type;
                ledger.alone.push(Counted::new(format!("{{{tag}}}:{data_type}"), limiter));
                let line = format!("{} {{{tag}}}:full:{data_type} 3 3650d", limiter.command);
                for _ in 0..3 {
                    assert!(!call(client, &line).limited, "{line}");
                }
                ledger.full.push(line);
            }
            ledger.holds.push(Counted::new(format!("{{{tag}}}:holds"), &HOLD));
            ledger.pairs.push([
                Counted::new(format!("{{{tag}}}:pair:0"), &LIMITERS[0]),
                Counted::new(format!("{{{tag}}}:pair:2"), &LIMITERS[2]),
            ]);
        }
        ledger
    }

    /// Runs `body` while clients call. Every call must get a reply, the same as on an undisturbed
    /// cluster.
    fn under_load(&self, cluster: &Cluster, body: impl FnOnce()) {
        let turn = |client: &mut ClusterConnection, turn: u32| {
            let number = turn as usize;
            let counted = &self.alone[number % self.alone.len()];
            assert!(!call(client, &format!("{} {} {LASTING}", counted.limiter.command, counted.key)).limited);
            counted.count();

            let [fixed, token] = &self.pairs[number % self.pairs.len()];
            let limits = format!("{} FIXED {LASTING} AND {} TOKEN {LASTING}", fixed.key, token.key);
            assert!(!all_is_limited(client, &limits));
            fixed.count();
            token.count();

            let holds = &self.holds[number % self.holds.len()];
            assert!(!call(client, &format!("PREMIER.HOLD {} {LASTING} ID {turn}", holds.key)).limited);
            if turn.is_multiple_of(4) {
                assert_eq!(release(client, &holds.key, turn.to_string().as_bytes()), 1);
            } else {
                holds.count();
            }

            let full = &self.full[number % self.full.len()];
            assert!(call(client, full).limited, "{full}");
        };
        meanwhile(|| connect(cluster), turn, body);
    }

    /// Returns how many calls of a single limit were admitted.
    fn calls(&self) -> i64 {
        self.alone.iter().map(|counted| counted.admitted.load(Ordering::Relaxed)).sum()
    }

    fn wait_until_called(&self) {
        let enough = self.calls() + 20;
        wait_until("calls are admitted", || self.calls() >= enough);
    }

    #[track_caller]
    fn assert_exact(&self, cluster: &Cluster) {
        let mut client = connect(cluster);
        let counted = self.alone.iter().chain(&self.holds).chain(self.pairs.iter().flatten());
        for Counted { key, limiter, admitted } in counted {
            let admitted = admitted.load(Ordering::Relaxed);
            assert_eq!(used(&mut client, limiter, key), admitted, "{key}");
        }
        for line in &self.full {
            assert!(call(&mut client, line).limited, "{line}");
        }
        println!("{} calls under load, none lost", self.calls());
    }
}

#[test]
fn a_cluster_client_reaches_all_masters_and_their_replicas() {
    const KEYS: usize = 60;
    let cluster = start();
    let mut client = connect(&cluster);
    for number in 0..KEYS {
        for limiter in LIMITERS {
            let line = format!("{} key:{number}:{} 2 3650d", limiter.command, limiter.data_type);
            for limited in [false, false, true] {
                assert_eq!(call(&mut client, &line).limited, limited, "{line}");
            }
        }
    }
    let (masters, replicas) = cluster.nodes().split_at(MASTERS);
    for (master, replica) in masters.iter().zip(replicas) {
        assert_alike(master, replica);
    }
    let keys: usize = masters.iter().map(|master| run::<usize>(&mut master.connection(), "DBSIZE")).sum();
    assert_eq!(keys, KEYS * LIMITERS.len());
}

#[test]
fn limits_are_charged_together_only_within_one_slot() {
    let cluster = start();
    let mut client = connect(&cluster);
    for tag in 0..TAGS {
        let limits = format!("{{{tag}}}:a FIXED 3 3650d AND {{{tag}}}:b TOKEN 9 3650d");
        for limited in [false, false, false, true] {
            assert_eq!(all_is_limited(&mut client, &limits), limited, "{limits}");
        }
        // What one limit refused was not charged to the other.
        assert_eq!(used(&mut client, &LIMITERS[2], &format!("{{{tag}}}:b")), 3);
    }
    let refusal = error(&mut client, &command("PREMIER.ALL {0}:a FIXED 9 3650d AND {1}:b TOKEN 9 3650d"));
    assert!(refusal.starts_with("CROSSSLOT"), "{refusal}");
    assert_eq!(used(&mut client, &LIMITERS[0], "{0}:a"), 3);
    assert_eq!(used(&mut client, &LIMITERS[2], "{1}:b"), 3);
}

#[test]
fn moving_slots_under_load_keeps_every_count_exact() {
    const ROUNDS: usize = 2;
    let cluster = start();
    let ledger = Ledger::new(&mut connect(&cluster));
    let mut owners = (0..TAGS).map(|tag| cluster.locate(&format!("{{{tag}}}"))).collect::<Vec<_>>();
    ledger.under_load(&cluster, || {
        for _ in 0..ROUNDS {
            for (slot, from) in &mut owners {
                let to = (*from + 1) % MASTERS;
                cluster.move_slot(*slot, *from, to);
                *from = to;
                ledger.wait_until_called();
            }
        }
    });
    ledger.assert_exact(&cluster);
}

/// Moves slots atomically, as Valkey 9 and newer can.
fn migrate_slots(source: &Server, target: &Server, [first, last]: [usize; 2]) {
    let target: String = run(&mut target.connection(), "CLUSTER MYID");
    let mut connection = source.connection();
    let () = run(&mut connection, &format!("CLUSTER MIGRATESLOTS SLOTSRANGE {first} {last} NODE {target}"));
    wait_until("the slots have moved", || {
        let jobs: Vec<HashMap<String, Value>> = run(&mut connection, "CLUSTER GETSLOTMIGRATIONS");
        let states: Vec<String> =
            jobs.iter().map(|job| redis::from_redis_value(job["state"].clone()).expect("text")).collect();
        assert!(states.iter().all(|state| state != "failed" && state != "canceled"), "{jobs:?}");
        states.iter().all(|state| state == "success")
    });
}

/// On servers that move slots atomically.
#[test]
fn atomic_slot_migrations_keep_every_count_exact() {
    const SLOTS: usize = 16_384;
    let cluster = start();
    let masters = &cluster.nodes()[..MASTERS];
    let help: Vec<String> = run(&mut masters[0].connection(), "CLUSTER HELP");
    if !help.iter().any(|line| line.starts_with("MIGRATESLOTS")) {
        return skipped("this server has no CLUSTER MIGRATESLOTS");
    }
    let ledger = Ledger::new(&mut connect(&cluster));
    ledger.under_load(&cluster, || {
        // Once around. Each master keeps its last slot, as one without slots becomes a replica.
        for hop in 0..MASTERS {
            for range in 0..MASTERS {
                let [source, target] = [range + hop, range + hop + 1].map(|index| &masters[index % MASTERS]);
                let slots = [range * SLOTS / MASTERS, (range + 1) * SLOTS / MASTERS - 2];
                migrate_slots(source, target, slots);
                cluster.wait_until_agreed();
                ledger.wait_until_called();
            }
        }
    });
    ledger.assert_exact(&cluster);
    for (master, replica) in masters.iter().zip(&cluster.nodes()[MASTERS..]) {
        assert_alike(master, replica);
    }
}

#[test]
fn failovers_under_load_keep_every_count_exact() {
    let cluster = start();
    let ledger = Ledger::new(&mut connect(&cluster));
    let (masters, replicas) = cluster.nodes().split_at(MASTERS);
    let pairs = masters.iter().zip(replicas);
    ledger.under_load(&cluster, || {
        // There and back.
        for (master, replica) in pairs.clone().chain(pairs.clone().map(|(master, replica)| (replica, master))) {
            let () = run(&mut replica.connection(), "CLUSTER FAILOVER");
            wait_until("the two have swapped roles", || is_master(replica) && !is_master(master));
            ledger.wait_until_called();
            cluster.wait_until_agreed();
        }
    });
    ledger.assert_exact(&cluster);
    for (master, replica) in pairs {
        assert_alike(master, replica);
    }
}
