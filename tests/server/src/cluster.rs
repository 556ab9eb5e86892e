//! A Redis Cluster of real servers.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Instant;

use redis::{Cmd, Connection, FromRedisValue, cmd};

use crate::{Builder, Network, POLL_INTERVAL, Server, patience};

const SLOTS: usize = 16384;

/// A running Redis Cluster of nodes with the module, on loopback. Dropping it ends its nodes, as
/// with [`Server`].
///
/// A master does not answer for its slots in the first two seconds of its process: Redis lets it
/// look for news that long.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Server>,
}

impl Cluster {
    /// Starts the masters, distributes the slots evenly and in order, and waits until every master
    /// knows all others and answers for its slots.
    ///
    /// # Panics
    ///
    /// If they do not start, or do not form a cluster.
    #[must_use]
    pub fn start(masters: usize) -> Self {
        Self::start_with(masters, &[])
    }

    /// Like [`Cluster::start`], with more lines in the configuration of each node, as in
    /// [`Builder::config`](crate::Builder::config).
    ///
    /// # Panics
    ///
    /// If they do not start, or do not form a cluster.
    #[must_use]
    pub fn start_with(masters: usize, config: &[(&str, &str)]) -> Self {
        Self::of((0..masters).map(|_| builder(config).start()).collect(), masters)
    }

    /// Like [`Cluster::start_with`], with one replica of each master. The masters come first, then
    /// the replicas in the same order.
    ///
    /// # Panics
    ///
    /// If they do not start, or do not form a cluster.
    #[must_use]
    pub fn start_with_replicas(masters: usize, config: &[(&str, &str)]) -> Self {
        Self::of((0..2 * masters).map(|_| builder(config).start()).collect(), masters)
    }

    /// Like [`Cluster::start_with_replicas`], with each node on an address of its own, so that the
    /// network can be cut between them.
    ///
    /// # Panics
    ///
    /// If they do not start, or do not form a cluster.
    #[must_use]
    pub fn start_in(network: &Network, masters: usize, config: &[(&str, &str)]) -> Self {
        Self::of(
            (0..2 * masters).map(|index| builder(config).address(network.address(index)).start()).collect(),
            masters,
        )
    }

    /// Makes a cluster of these nodes. The first are the masters.
    fn of(nodes: Vec<Server>, masters: usize) -> Self {
        for (index, node) in nodes.iter().enumerate() {
            if index < masters {
                let (first, end) = (index * SLOTS / masters, (index + 1) * SLOTS / masters);
                run(node, cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(first).arg(end - 1));
            }
            // Before they meet, as a node that knows others refuses it.
            run(node, cmd("CLUSTER").arg("SET-CONFIG-EPOCH").arg(index + 1));
        }
        // Each meets each: to know of one another by gossip took nodes up to ten seconds.
        for (index, node) in nodes.iter().enumerate() {
            let [_, bus_port]: [String; 2] = query(node, cmd("CONFIG").arg("GET").arg("cluster-port"));
            let address = node.address().to_string();
            for other in &nodes[..index] {
                run(other, cmd("CLUSTER").arg("MEET").arg(&address).arg(node.port()).arg(&bus_port));
            }
        }
        let cluster = Self { nodes };
        cluster.wait_until_agreed();
        for (replica, master) in cluster.nodes[masters..].iter().zip(&cluster.nodes) {
            run(replica, cmd("CLUSTER").arg("REPLICATE").arg(id(master)));
        }
        cluster.wait_until_agreed();
        cluster
    }

    /// Returns the nodes. Their order never changes.
    #[must_use]
    pub fn nodes(&self) -> &[Server] {
        &self.nodes
    }

    /// Returns the nodes, to stop, kill and start them again.
    #[must_use]
    pub fn nodes_mut(&mut self) -> &mut [Server] {
        &mut self.nodes
    }

    /// Returns `redis://address:port` of each node, with its own port, not the one it announces.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(|node| format!("redis://{}:{}", node.address(), node.port())).collect()
    }

    /// Makes a node announce another port than its own, such as that of a [`Proxy`](crate::Proxy),
    /// and waits until all nodes announce it. It persists over restarts.
    ///
    /// # Panics
    ///
    /// If a node does not answer or learn it.
    pub fn announce_port(&self, node: usize, port: u16) {
        run(&self.nodes[node], cmd("CONFIG").arg("SET").arg("cluster-announce-port").arg(port));
        run(&self.nodes[node], cmd("CONFIG").arg("REWRITE"));
        self.wait_until_agreed();
    }

    /// Returns the slot of a key, and the node that serves it.
    ///
    /// # Panics
    ///
    /// If no node serves it, as for a missing key of a slot that is moving.
    #[must_use]
    pub fn locate(&self, key: &str) -> (u16, usize) {
        let slot = query(&self.nodes[0], cmd("CLUSTER").arg("KEYSLOT").arg(key));
        let serves = |node: &Server| cmd("EXISTS").arg(key).exec(&mut node.connection()).is_ok();
        (slot, self.nodes.iter().position(serves).expect("a node that serves the key"))
    }

    /// Moves a slot with its keys, and waits until all nodes know. May follow
    /// [`Cluster::begin_slot_move`].
    ///
    /// # Panics
    ///
    /// If a node refuses its part.
    pub fn move_slot(&self, slot: u16, from: usize, to: usize) {
        self.begin_slot_move(slot, from, to);
        let (source, target) = (&self.nodes[from], &self.nodes[to]);
        let keys: Vec<Vec<u8>> = query(source, cmd("CLUSTER").arg("GETKEYSINSLOT").arg(slot).arg(i32::MAX));
        let database = 0;
        // One by one, so that clients meet a slot with some keys here and some there.
        for key in keys {
            run(
                source,
                cmd("MIGRATE")
                    .arg(target.address().to_string())
                    .arg(target.port())
                    .arg(key)
                    .arg(database)
                    .arg(patience().as_millis()),
            );
        }
        // The target first. If the source were first, nobody would have the slot for a moment.
        let others = self.nodes.iter().enumerate().filter(|&(index, _)| index != to).map(|(_, node)| node);
        for node in [target].into_iter().chain(others.filter(|node| !is_replica(node))) {
            run(node, cmd("CLUSTER").arg("SETSLOT").arg(slot).arg("NODE").arg(id(target)));
        }
        self.wait_until_agreed();
    }

    /// Starts to move a slot without moving a key: the source serves the keys it has, and answers
    /// ASK for the others.
    ///
    /// # Panics
    ///
    /// If a node refuses its part.
    pub fn begin_slot_move(&self, slot: u16, from: usize, to: usize) {
        let (source, target) = (&self.nodes[from], &self.nodes[to]);
        // The target first, so that it accepts the calls that the source redirects.
        run(target, cmd("CLUSTER").arg("SETSLOT").arg(slot).arg("IMPORTING").arg(id(source)));
        run(source, cmd("CLUSTER").arg("SETSLOT").arg(slot).arg("MIGRATING").arg(id(target)));
    }

    /// Waits until all nodes see the same complete cluster, each answers for its slots, and
    /// replicas have the data of their masters.
    ///
    /// # Panics
    ///
    /// If a node does not answer, or they do not agree in time.
    pub fn wait_until_agreed(&self) {
        let mut connections: Vec<Connection> = self.nodes.iter().map(Server::connection).collect();
        let deadline = Instant::now() + patience();
        loop {
            let views: Vec<View> = connections.iter_mut().map(View::of).collect();
            let agreed = views.iter().all(|view| view.ok && view.nodes == views[0].nodes);
            if agreed && views[0].nodes.len() == self.nodes.len() {
                return;
            }
            assert!(Instant::now() < deadline, "the nodes do not agree on their cluster: {views:#?}");
            sleep(POLL_INTERVAL);
        }
    }
}

/// How a node sees its cluster.
#[derive(Debug)]
struct View {
    ok: bool,
    /// Id, address, primary, epoch and slots of each node. The epoch matters: a late message with
    /// an older one no longer changes the slots of a node that knows the newer one.
    nodes: BTreeSet<Vec<String>>,
}

impl View {
    fn of(node: &mut Connection) -> Self {
        let info: String = cmd("CLUSTER").arg("INFO").query(node).expect("a node answers");
        let nodes: String = cmd("CLUSTER").arg("NODES").query(node).expect("a node answers");
        let ok = info.contains("cluster_state:ok") && !replication(node).contains("master_link_status:down");
        Self { ok, nodes: nodes.lines().map(common_fields).collect() }
    }
}

/// A line of CLUSTER NODES is `id address flags primary ping pong epoch link slots...`. Nodes
/// differ in flags, times, links, and in slots that are moving, which are in brackets.
fn common_fields(line: &str) -> Vec<String> {
    let fields = line.split(' ').enumerate();
    let common = fields.filter(|(index, field)| !matches!(index, 2 | 4 | 5 | 7) && !field.starts_with('['));
    common.map(|(_, field)| field.to_owned()).collect()
}

fn builder(config: &[(&str, &str)]) -> Builder {
    // Spares replicas from waiting for one another to copy.
    let node = Server::builder().cluster().config("repl-diskless-sync-delay", "0");
    config.iter().fold(node, |node, (name, value)| node.config(name, value))
}

fn is_replica(node: &Server) -> bool {
    replication(&mut node.connection()).contains("role:slave")
}

fn replication(node: &mut Connection) -> String {
    cmd("INFO").arg("replication").query(node).expect("a node answers")
}

fn id(node: &Server) -> String {
    query(node, cmd("CLUSTER").arg("MYID"))
}

fn run(node: &Server, command: &Cmd) {
    query::<()>(node, command);
}

fn query<T: FromRedisValue>(node: &Server, command: &Cmd) -> T {
    command.query(&mut node.connection()).unwrap_or_else(|error| panic!("a node fails: {error}\n{}", node.log()))
}
