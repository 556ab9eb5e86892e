//! A network that can be cut, without any change to the system's own.

use std::env;
use std::io;
use std::net::Ipv4Addr;
use std::panic::resume_unwind;
use std::process::Command;
use std::thread;

use crate::Server;

const SETTINGS: [&str; 7] = [
    "link set lo up",
    // Of a prefix on this device all addresses are the system's own. Loopback addresses themselves
    // may not leave it.
    "address add 192.0.2.254/24 dev lo",
    // A bridge to nowhere loses all that is sent there, and nobody is told. A route of type
    // blackhole would tell the sender.
    "link add nowhere type bridge",
    "link set nowhere arp off up",
    "route add default dev nowhere table 1",
    // Behind the rules to come.
    "rule add pref 1 lookup local",
    "rule del pref 0 lookup local",
];

/// A network without a way out that one thread has to itself, and those that this thread starts.
/// Servers are started and reached from there.
#[derive(Debug)]
pub struct Network {
    /// The prefix of all addresses.
    prefix: [u8; 3],
}

impl Network {
    /// Runs this on a thread in a network of its own, which is gone when it returns.
    ///
    /// # Errors
    /// When there can be none: on other systems than Linux, without the rights of root, without the
    /// program `ip`, or when servers run in containers.
    ///
    /// # Panics
    /// If `body` panics.
    pub fn scope<T: Send>(body: impl FnOnce(&Self) -> T + Send) -> io::Result<T> {
        let run = || {
            let network = Self::new()?;
            Ok(body(&network))
        };
        thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn new() -> io::Result<Self> {
        if env::var_os("PREMIER_TEST_IMAGE").is_some() {
            return Err(io::Error::other("containers are on the network of the host"));
        }
        leave_the_network()?;
        for setting in SETTINGS {
            ip(setting)?;
        }
        Ok(Self { prefix: [192, 0, 2] })
    }

    /// That of a node. Clients have the last one.
    pub(crate) fn address(&self, node: usize) -> Ipv4Addr {
        let [a, b, c] = self.prefix;
        Ipv4Addr::new(a, b, c, u8::try_from(node + 1).expect("a cluster of a few nodes"))
    }

    /// Cuts a server off from others, in both directions: what they send each other is lost.
    /// Clients still reach them all.
    ///
    /// # Panics
    /// When the system refuses it.
    pub fn cut(&self, server: &Server, others: &[&Server]) {
        change_rules("add", server, others);
    }

    /// Undoes [`Network::cut`].
    ///
    /// # Panics
    /// When the system refuses it.
    pub fn mend(&self, server: &Server, others: &[&Server]) {
        change_rules("del", server, others);
    }
}

fn change_rules(action: &str, server: &Server, others: &[&Server]) {
    for other in others {
        for (from, to) in [(server, other), (other, &server)] {
            let (from, to) = (from.address(), to.address());
            ip(&format!("rule {action} pref 0 from {from} to {to} lookup 1")).expect("a rule can be changed");
        }
    }
}

/// Moves the calling thread to a new, empty network.
#[cfg(target_os = "linux")]
fn leave_the_network() -> io::Result<()> {
    Ok(nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?)
}

#[cfg(not(target_os = "linux"))]
fn leave_the_network() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn ip(arguments: &str) -> io::Result<()> {
    let run = Command::new("ip").args(arguments.split(' ')).output();
    let output = run.map_err(|error| io::Error::new(error.kind(), format!("ip cannot be run: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}
