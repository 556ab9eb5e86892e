//! A cluster: its nodes, and which of them has which key.
//!
//! The cluster connections of redis-rs do not report which node did not answer, though the others
//! are not to be overruled by that. They also follow redirections only if they may send a command
//! twice. Following them is safe, as a node that redirects a call has not charged it.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use premier_blocking::also_blocking;
use redis::{Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo, Pipeline};

use super::confirmation::Confirmation;
use super::request::Request;
use super::scan::{Scan, unlink_one};
use super::server::{AsyncServer, Server};
use super::{Budget, Call, Node, STEP_TIMEOUT, slots, with_host};
use crate::{Error, Keyspace};

/// How many times a call is sent: again when it is redirected, or when a node does not know its
/// script.
const MAX_REDIRECTIONS: usize = 5;

/// How long to wait before asking again which node has which slot, so that while a node does not
/// answer, not each of its calls asks the others.
const LEARNING_PAUSE: Duration = Duration::from_millis(100);

/// A cluster, reached through the connections of each node.
#[also_blocking]
#[derive(Clone)]
pub(crate) struct AsyncCluster(Arc<Nodes<AsyncServer>>);

struct Nodes<S> {
    /// The nodes that were named by the user, any of which knows all others.
    seeds: Vec<Arc<Member<S>>>,
    /// What all nodes have in common.
    info: ConnectionInfo,
    map: RwLock<Map<S>>,
}

/// Which node has which slot, as far as is known.
struct Map<S> {
    members: Vec<Arc<Member<S>>>,
    /// The indices of members.
    slots: Vec<Option<u16>>,
    /// When the nodes were asked for it.
    asked_at: Instant,
}

struct Member<S> {
    /// `host:port`.
    address: Arc<str>,
    server: S,
    /// Whether it did not answer the latest call, or no longer had the slot, so that another node
    /// may have its slots by now.
    is_suspect: AtomicBool,
}

#[also_blocking]
impl AsyncCluster {
    /// Makes no connection yet.
    pub(crate) fn new<T: IntoConnectionInfo>(addresses: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        let infos: Result<Vec<_>, _> = addresses.into_iter().map(T::into_connection_info).collect();
        let infos = infos.map_err(Error::invalid_address)?;
        let Some(info) = infos.first().cloned() else {
            return Err(Error::no_address());
        };
        let server = AsyncServer::new(info.clone())?;
        let seed = |info: ConnectionInfo| Ok(Member::new(info.addr().to_string(), server.at(info)?));
        let seeds = infos.into_iter().map(seed).collect::<Result<_, Error>>()?;
        let map = Map { members: Vec::new(), slots: Vec::new(), asked_at: Instant::now() };
        Ok(Self(Arc::new(Nodes { seeds, info, map: RwLock::new(map) })))
    }

    /// Sends a command, which is executed at most once. Its first argument is its key.
    pub(crate) async fn call<T: FromRedisValue>(&self, command: &Cmd, deadline: Duration) -> Result<T, Error> {
        let (_, answer) = self.ask(&command.clone().into(), &Budget::new(deadline), None).await;
        Ok(answer?.0)
    }

    /// Sends a call, which is executed at most once, and which replicas are to confirm if it is
    /// admitted. Returns the node which answered, or did not, and how many replicas have confirmed
    /// the call.
    pub(crate) async fn ask<T: FromRedisValue>(
        &self,
        call: &Call,
        budget: &Budget,
        confirmation: Option<&Confirmation>,
    ) -> (Node, Result<(T, Option<u32>), Error>) {
        let slot = slots::of(call.command());
        let mut member = match self.member_for(slot, *budget).await {
            Ok(member) => member,
            Err(error) => return (Node::default(), Err(error)),
        };
        let mut by_text = None;
        let mut is_moving = false;
        for _ in 0..MAX_REDIRECTIONS {
            let command = by_text.as_ref().unwrap_or(call.command());
            let asking = is_moving.then(|| asking(command));
            let request = asking.as_ref().map_or(Request::One(command), Request::Several);
            let reply = match member.server.exchange_confirmed(request, budget, confirmation).await {
                Ok((replies, confirmed_by)) => {
                    if let Some(command) = call.by_text(&replies) {
                        by_text = Some(command);
                        continue;
                    }
                    replies.read_last().map(|reply| (reply, confirmed_by))
                }
                Err(error) => Err(error),
            };
            let is_down = reply.as_ref().is_err_and(Error::is_outage);
            member.is_suspect.store(is_down, Ordering::Relaxed);
            let Some((address, is_permanent)) = reply.as_ref().err().and_then(Error::redirection) else {
                return (member.node(), reply);
            };
            // A node that does not know the host of another one means its own.
            let host = if address.starts_with(':') { member.host() } else { "" };
            let next = match self.member_at(&format!("{host}{address}")) {
                Ok(next) => next,
                Err(error) => return (member.node(), Err(error)),
            };
            if is_permanent {
                member.is_suspect.store(true, Ordering::Relaxed);
                self.0.map_mut().assign(slot, &next);
            }
            is_moving = !is_permanent;
            member = next;
        }
        (member.node(), Err(Error::unavailable("the nodes of the cluster redirect the call in circles")))
    }

    /// Returns the node that has the key of this name, as far as is known.
    pub(crate) fn node(&self, key: &str) -> Node {
        let member = self.0.map().member(slots::of_key(key.as_bytes()));
        member.map(|member| member.node()).unwrap_or_default()
    }

    /// Returns the node that has a slot. Asks other nodes if it is unknown or did not answer.
    async fn member_for(&self, slot: usize, budget: Budget) -> Result<Arc<Member<AsyncServer>>, Error> {
        let known = self.0.map().member(slot);
        if let Some(member) = known.as_ref().filter(|member| !member.is_suspect() || !self.0.claim_learning()) {
            return Ok(Arc::clone(member));
        }
        match (self.learn(budget).await, known) {
            (Ok(()), _) => {
                self.0.map().member(slot).ok_or_else(|| Error::unavailable("no node of the cluster has the slot"))
            }
            (Err(_), Some(member)) => Ok(member),
            (Err(error), None) => Err(error),
        }
    }

    /// Asks nodes which of them has which slot, until one answers.
    async fn learn(&self, budget: Budget) -> Result<(), Error> {
        let mut result = Err(Error::unavailable("no node of the cluster answered in time"));
        for member in self.0.advisers() {
            // A node that does not answer leaves time to ask another one.
            let reply = member.server.call(&slots::ask(), budget.left() / 2).await;
            let ranges = reply.and_then(|reply| slots::read(reply, member.host()).map_err(Error::answered));
            member.is_suspect.store(ranges.is_err(), Ordering::Relaxed);
            match ranges {
                Ok(ranges) if !ranges.is_empty() => {
                    let nodes = ranges.into_iter().map(|range| Ok((self.member_at(&range.node)?, range)));
                    let nodes = nodes.collect::<Result<Vec<_>, Error>>()?;
                    *self.0.map_mut() = Map::of(nodes);
                    return Ok(());
                }
                // What a node refuses is not to be taken for an outage.
                Err(error) if result.as_ref().is_err_and(Error::is_outage) => result = Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        result
    }

    /// Returns the node at an address.
    fn member_at(&self, address: &str) -> Result<Arc<Member<AsyncServer>>, Error> {
        let known = |members: &[Arc<Member<AsyncServer>>]| {
            members.iter().find(|member| *member.address == *address).map(Arc::clone)
        };
        if let Some(member) = known(&self.0.map().members).or_else(|| known(&self.0.seeds)) {
            return Ok(member);
        }
        let info = self.0.info.clone().set_addr(at(self.0.info.addr(), address)?);
        Ok(Member::new(address.to_owned(), self.0.seeds[0].server.at(info)?))
    }

    /// Deletes the keys of a keyspace. Returns their number.
    pub(crate) async fn clear(&self, keyspace: &Keyspace) -> Result<u64, Error> {
        self.learn(Budget::new(STEP_TIMEOUT)).await?;
        let members = self.0.map().members.clone();
        let mut keys = 0;
        for member in members {
            let mut scan = Scan::over(keyspace);
            loop {
                let cleared = member.server.clear_step(&mut scan).await?;
                keys += cleared.keys;
                for key in cleared.moved {
                    keys += self.call::<u64>(&unlink_one(&key), STEP_TIMEOUT).await?;
                }
                if scan.is_done() {
                    break;
                }
            }
        }
        Ok(keys)
    }
}

impl Cluster {
    /// Sets how many connections there may be to each node.
    pub(crate) fn resize(&self, connections: NonZeroUsize) {
        self.0.seeds[0].server.resize(connections);
    }
}

impl<S> Nodes<S> {
    fn map(&self) -> RwLockReadGuard<'_, Map<S>> {
        self.map.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn map_mut(&self) -> RwLockWriteGuard<'_, Map<S>> {
        self.map.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a call is to ask again which node has which slot.
    fn claim_learning(&self) -> bool {
        let mut map = self.map_mut();
        let is_due = map.asked_at.elapsed() >= LEARNING_PAUSE;
        if is_due {
            map.asked_at = Instant::now();
        }
        is_due
    }

    /// Returns the nodes to ask about the others, first those that are likely to answer.
    fn advisers(&self) -> Vec<Arc<Member<S>>> {
        let mut members: Vec<_> = self.map().members.iter().chain(&self.seeds).map(Arc::clone).collect();
        members.sort_by_key(|member| member.is_suspect());
        members
    }
}

impl<S> Map<S> {
    fn of(nodes: Vec<(Arc<Member<S>>, slots::Range)>) -> Self {
        let mut map = Self { members: Vec::new(), slots: vec![None; slots::COUNT], asked_at: Instant::now() };
        for (member, range) in nodes {
            let index = map.index(&member);
            map.slots[range.first..=range.last].fill(Some(index));
        }
        map
    }

    fn member(&self, slot: usize) -> Option<Arc<Member<S>>> {
        let index = (*self.slots.get(slot)?)?;
        self.members.get(usize::from(index)).map(Arc::clone)
    }

    fn assign(&mut self, slot: usize, member: &Arc<Member<S>>) {
        let index = self.index(member);
        if let Some(entry) = self.slots.get_mut(slot) {
            *entry = Some(index);
        }
    }

    /// Returns the index of a member, which is added if it is new.
    fn index(&mut self, member: &Arc<Member<S>>) -> u16 {
        let known = self.members.iter().position(|other| other.address == member.address);
        let index = known.unwrap_or_else(|| {
            self.members.push(Arc::clone(member));
            self.members.len() - 1
        });
        u16::try_from(index).expect("a cluster has at most 16,384 nodes")
    }
}

impl<S> Member<S> {
    fn new(address: String, server: S) -> Arc<Self> {
        Arc::new(Self { address: address.into(), server, is_suspect: AtomicBool::new(false) })
    }

    fn is_suspect(&self) -> bool {
        self.is_suspect.load(Ordering::Relaxed)
    }

    fn node(&self) -> Node {
        Node(Some(Arc::clone(&self.address)))
    }

    fn host(&self) -> &str {
        self.address.rsplit_once(':').map_or(&self.address, |(host, _)| host)
    }
}

/// Makes the request of a call to the node to which its slot is moving.
fn asking(command: &Cmd) -> Pipeline {
    let mut request = Pipeline::with_capacity(2);
    request.cmd("ASKING").add_command(command.clone());
    request
}

/// Returns the address `host:port`, encrypted like another one.
fn at(like: &ConnectionAddr, address: &str) -> Result<ConnectionAddr, Error> {
    let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
    let Some((host, port)) = parts else {
        return Err(Error::unavailable(format!("a node of the cluster named an invalid address: {address:?}")));
    };
    Ok(with_host(like, host, port))
}
