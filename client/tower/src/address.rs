//! Whom a request comes from: the peer, or whoever trusted proxies say.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use arrayvec::ArrayString;
#[cfg(feature = "axum")]
use axum::extract::connect_info::{ConnectInfo, MockConnectInfo};
use http::StatusCode;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::forwarded;
use crate::{Head, Refusal};

/// The address that a connection comes from, as an extension of its requests, for servers other
/// than axum's. With the feature `axum`, `ConnectInfo<SocketAddr>` is found, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerAddress(pub SocketAddr);

/// How the address of a client is found.
///
/// Nothing but the peer of the connection is trusted, unless you say which proxies are in front of
/// the server. Anybody can send a header, so a proxy that is not there would be believed.
///
/// ```
/// use premier_tower::{ClientAddress, ForwardedBy};
///
/// // The server has clients of its own.
/// let direct = ClientAddress::peer();
/// // One load balancer in front of it, which appends to X-Forwarded-For.
/// let behind_one = ClientAddress::peer().trusted_proxies(1);
/// // Proxies in these networks, which append to Forwarded.
/// let networks = ["10.0.0.0/8".parse()?, "fd00::/8".parse()?];
/// let behind_many = ClientAddress::peer().trusted_networks(networks).header(ForwardedBy::Forwarded);
/// # let _ = (direct, behind_one, behind_many);
/// # Ok::<(), ipnet::AddrParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAddress {
    trusted: Trusted,
    header: ForwardedBy,
    ipv6_prefix: u8,
}

/// The proxies in front of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trusted {
    /// This many, the peer included.
    Count(usize),
    Networks(Vec<IpNet>),
}

/// The header that the trusted proxies append to. The other one is ignored: proxies pass on what
/// they do not know, whoever wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ForwardedBy {
    /// `X-Forwarded-For`
    #[default]
    XForwardedFor,
    /// `Forwarded`, RFC 7239
    Forwarded,
}

/// A client as rules count it: an IPv4 address, or a network of IPv6 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Client(Network);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Network {
    V4(Ipv4Addr),
    V6(Ipv6Net),
}

impl ClientAddress {
    /// Takes the peer of the connection for the client.
    #[must_use]
    pub const fn peer() -> Self {
        Self { trusted: Trusted::Count(0), header: ForwardedBy::XForwardedFor, ipv6_prefix: 64 }
    }

    /// Trusts this many proxies, counted from the server: the peer is the first. The client is the
    /// one that the last of them names.
    ///
    /// A request that has fewer names than proxies is refused. Make sure that clients reach the
    /// server only through these proxies: a client that bypasses one of them chooses its address by
    /// sending the header itself.
    #[must_use]
    pub fn trusted_proxies(self, proxies: usize) -> Self {
        Self { trusted: Trusted::Count(proxies), ..self }
    }

    /// Trusts the proxies in these networks. The client is the last address that is in none of
    /// them; the first, if all are, as for a request from within the networks. A network of
    /// IPv4-mapped addresses, like `::ffff:10.0.0.0/104`, is one of IPv4 addresses.
    #[must_use]
    pub fn trusted_networks(self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self { trusted: Trusted::Networks(networks.into_iter().map(canonical).collect()), ..self }
    }

    /// Sets the header that the trusted proxies append to: `X-Forwarded-For` by default.
    #[must_use]
    pub fn header(self, header: ForwardedBy) -> Self {
        Self { header, ..self }
    }

    /// Sets the length of the prefix by which IPv6 addresses are counted, 128 at most. It is 64 by
    /// default, as a subscriber has at least that network.
    #[must_use]
    pub fn ipv6_prefix(self, bits: u8) -> Self {
        Self { ipv6_prefix: bits.min(128), ..self }
    }

    /// Finds the client of a request.
    ///
    /// # Errors
    /// If the request has no peer, or the proxies do not name the client.
    pub fn of(&self, head: &Head<'_>) -> Result<Client, Refusal> {
        let peer = peer(head).ok_or_else(|| {
            Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the request has no peer address: serve the router by \
                 into_make_service_with_connect_info::<SocketAddr>(), or add PeerAddress to the extensions of each request",
            )
        })?;
        let unnamed =
            || Refusal::new(StatusCode::BAD_REQUEST, "the trusted proxies do not name the address of the client");
        let address = match &self.trusted {
            Trusted::Count(0) => peer,
            Trusted::Count(proxies) => {
                // The peer is the first proxy, and was not named by any.
                self.hops(head).nth(proxies - 1).flatten().ok_or_else(unnamed)?
            }
            Trusted::Networks(networks) => {
                let is_trusted = |address: &IpAddr| networks.iter().any(|network| network.contains(address));
                let mut client = Some(peer);
                let mut hops = self.hops(head);
                while client.as_ref().is_some_and(is_trusted)
                    && let Some(hop) = hops.next()
                {
                    client = hop;
                }
                client.ok_or_else(unnamed)?
            }
        };
        Ok(self.client(address))
    }

    /// Returns whom the proxies have named, the last one first.
    fn hops<'a>(&self, head: &Head<'a>) -> Box<dyn Iterator<Item = Option<IpAddr>> + 'a> {
        match self.header {
            ForwardedBy::XForwardedFor => Box::new(forwarded::x_forwarded_for(head.headers())),
            ForwardedBy::Forwarded => Box::new(forwarded::forwarded(head.headers())),
        }
    }

    fn client(&self, address: IpAddr) -> Client {
        Client(match address {
            IpAddr::V4(address) => Network::V4(address),
            IpAddr::V6(address) => {
                let network = Ipv6Net::new(address, self.ipv6_prefix).expect("a prefix has 128 bits at most");
                Network::V6(network.trunc())
            }
        })
    }
}

/// Returns a network of IPv4-mapped addresses as one of IPv4 addresses, as which they are compared.
fn canonical(network: IpNet) -> IpNet {
    const MAPPED_BITS: u8 = 96;
    let IpNet::V6(mapped) = network else { return network };
    let ipv4 = mapped.addr().to_ipv4_mapped().zip(mapped.prefix_len().checked_sub(MAPPED_BITS));
    ipv4.and_then(|(address, bits)| Ipv4Net::new(address, bits).ok()).map_or(network, IpNet::V4)
}

/// Returns the peer of a request.
fn peer(head: &Head<'_>) -> Option<IpAddr> {
    let extensions = head.extensions();
    let given = extensions.get::<PeerAddress>().map(|peer| &peer.0);
    #[cfg(feature = "axum")]
    let given = given.or_else(|| extensions.get::<ConnectInfo<SocketAddr>>().map(|connection| &connection.0));
    // In tests of a service without a server.
    #[cfg(feature = "axum")]
    let given = given.or_else(|| extensions.get::<MockConnectInfo<SocketAddr>>().map(|mock| &mock.0));
    // A socket for both versions shows IPv4 addresses as IPv6 ones.
    given.map(|peer| peer.ip().to_canonical())
}

impl Client {
    /// Returns the text by which clients are told apart.
    #[inline]
    pub(crate) fn text(&self) -> ArrayString<LONGEST> {
        let mut text = ArrayString::new();
        let _it_fits = match &self.0 {
            // By hand, as `fmt` would take a tenth of the layer's time.
            Network::V4(address) => {
                for (index, octet) in address.octets().into_iter().enumerate() {
                    if index > 0 {
                        text.push('.');
                    }
                    for unit in [100, 10, 1] {
                        if octet >= unit || unit == 1 {
                            text.push(char::from(b'0' + octet / unit % 10));
                        }
                    }
                }
                Ok(())
            }
            Network::V6(network) if network.prefix_len() == 128 => write!(text, "{}", network.addr()),
            Network::V6(network) => write!(text, "{network}"),
        };
        text
    }
}

/// The length of the longest text of a client: eight groups of an IPv6 address, and a prefix.
const LONGEST: usize = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128".len();

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}
