//! What proxies and clients write into `X-Forwarded-For` and `Forwarded`: whatever a client has
//! sent, the trusted proxies say who it is.
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | which header (`f` for `Forwarded`), and by its lowest bits the number of trusted proxies |
//! | the rest | the header's lines |

use std::net::SocketAddr;

use http::Request;
use http::header::{FORWARDED, HeaderName, HeaderValue};
use premier_tower::{ClientAddress, ForwardedBy, Head, PeerAddress};

/// Checks a header.
///
/// # Panics
///
/// If it changes whom the trusted proxies name, or is not read to its end or refused.
pub fn check(input: &[u8]) {
    let Some((choice, lines)) = input.split_first() else { return };
    let header = if *choice == b'f' { ForwardedBy::Forwarded } else { ForwardedBy::XForwardedFor };
    let proxies = usize::from(choice % 4);
    let lines: Vec<_> =
        lines.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let counted = ClientAddress::peer().header(header).trusted_proxies(proxies);
    let in_networks = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().expect("a network"));
    let in_networks = ClientAddress::peer().header(header).trusted_networks(in_networks);
    let _ = client(&counted, header, lines.iter().cloned());
    let _ = client(&in_networks, header, lines.iter().cloned());

    let appended = match header {
        ForwardedBy::XForwardedFor => ["203.0.113.7", "10.0.0.2", "fd00::3"],
        ForwardedBy::Forwarded => {
            ["for=203.0.113.7;proto=http", "by=\"a\\\", b\";for=\"10.0.0.2:80\"", "For=\"[fd00::3]\""]
        }
    };
    // As many as are trusted, the peer aside.
    for hops in 1..=appended.len() {
        let appended = appended[..hops].join(", ");
        let counted = ClientAddress::peer().header(header).trusted_proxies(hops);
        let own_line = lines.iter().cloned().chain([HeaderValue::from_str(&appended).expect("a valid value")]);
        let mut same_line = lines.clone();
        if let Some(last) = same_line.last_mut() {
            let line = [last.as_bytes(), b", ", appended.as_bytes()].concat();
            *last = HeaderValue::from_bytes(&line).expect("both are valid");
        }
        let lines = [own_line.collect(), same_line];
        for lines in lines.into_iter().filter(|lines| !lines.is_empty()) {
            for address in [&counted, &in_networks] {
                let client = client(address, header, lines.iter().cloned());
                assert_eq!(client.as_deref(), Some("203.0.113.7"), "{lines:?}");
            }
        }
    }
}

/// Returns whom a request through a proxy is counted for; `None` if it is refused.
fn client(
    address: &ClientAddress,
    header: ForwardedBy,
    lines: impl IntoIterator<Item = HeaderValue>,
) -> Option<String> {
    let name = match header {
        ForwardedBy::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
        ForwardedBy::Forwarded => FORWARDED,
    };
    let mut request = Request::new(());
    *request.headers_mut() = lines.into_iter().map(|line| (name.clone(), line)).collect();
    request.extensions_mut().insert(PeerAddress(SocketAddr::from(([10, 0, 0, 1], 443))));
    Some(address.of(&Head::of(&request)).ok()?.to_string())
}
