//! Nobody but the peer and trusted proxies decides who the client is.

use http::header::{FORWARDED, HeaderName, HeaderValue};
use premier_tower::{ClientAddress, ForwardedBy, Head, Missing, Rule};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::tools::{TWO, layer, request, request_from, send, statuses};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Returns whom a request from this peer with these headers is counted for, or why it is refused.
fn client(address: &ClientAddress, peer: &str, name: &HeaderName, values: &[&[u8]]) -> Result<String, String> {
    let mut request = request_from(peer);
    for value in values {
        request.headers_mut().append(name, HeaderValue::from_bytes(value).expect("a valid value"));
    }
    let client = address.of(&Head::of(&request));
    client.map(|client| client.to_string()).map_err(|refusal| refusal.reason().to_owned())
}

fn by_x_forwarded_for(address: &ClientAddress, peer: &str, values: &[&str]) -> Result<String, String> {
    let values: Vec<_> = values.iter().map(|value| value.as_bytes()).collect();
    client(address, peer, &X_FORWARDED_FOR, &values)
}

fn by_forwarded(address: &ClientAddress, peer: &str, values: &[&str]) -> Result<String, String> {
    let values: Vec<_> = values.iter().map(|value| value.as_bytes()).collect();
    client(&address.clone().header(ForwardedBy::Forwarded), peer, &FORWARDED, &values)
}

fn networks(networks: &[&str]) -> ClientAddress {
    ClientAddress::peer().trusted_networks(networks.iter().map(|network| network.parse().expect("a network")))
}

#[test]
fn only_the_peer_is_trusted_by_default() {
    let direct = ClientAddress::peer();
    assert_eq!(by_x_forwarded_for(&direct, "192.0.2.7:443", &["203.0.113.1"]).as_deref(), Ok("192.0.2.7"));
    assert_eq!(by_forwarded(&direct, "192.0.2.7:443", &["for=203.0.113.1"]).as_deref(), Ok("192.0.2.7"));
}

#[test]
fn trusted_proxies_are_counted_from_the_right() {
    let (one, two) = (ClientAddress::peer().trusted_proxies(1), ClientAddress::peer().trusted_proxies(2));
    let forged = ["198.51.100.66, 203.0.113.1", "203.0.113.2"];
    assert_eq!(by_x_forwarded_for(&one, "10.0.0.1:1", &forged).as_deref(), Ok("203.0.113.2"));
    assert_eq!(by_x_forwarded_for(&two, "10.0.0.1:1", &forged).as_deref(), Ok("203.0.113.1"));
    // It came past a proxy, so everything it says is its own.
    let error = by_x_forwarded_for(&two, "10.0.0.1:1", &["203.0.113.2"]).expect_err("a proxy is missing");
    assert_eq!(error, "the trusted proxies do not name the address of the client");
    assert!(by_x_forwarded_for(&one, "10.0.0.1:1", &[]).is_err());
}

#[test]
fn trusted_networks_are_passed_over_from_the_right() {
    let trusted = networks(&["10.0.0.0/8", "fd00::/8"]);
    let from = |peer, values: &[&str]| by_x_forwarded_for(&trusted, peer, values);
    assert_eq!(from("10.1.2.3:1", &["198.51.100.66, 203.0.113.1, 10.0.0.9"]).as_deref(), Ok("203.0.113.1"));
    assert_eq!(from("[fd00::1]:1", &["198.51.100.66, 203.0.113.1"]).as_deref(), Ok("203.0.113.1"));
    // A peer that is no proxy is the client, whatever it sends.
    assert_eq!(from("203.0.113.9:1", &["198.51.100.66"]).as_deref(), Ok("203.0.113.9"));
    // All of them are proxies.
    assert_eq!(from("10.1.2.3:1", &["10.0.0.7, 10.0.0.9"]).as_deref(), Ok("10.0.0.7"));
    assert_eq!(from("10.1.2.3:1", &[]).as_deref(), Ok("10.1.2.3"));
    assert!(from("10.1.2.3:1", &["203.0.113.1, unknown"]).is_err());
    // However the network and the peer are written.
    for network in ["10.0.0.0/8", "::ffff:10.0.0.0/104"] {
        for peer in ["10.1.2.3:1", "[::ffff:10.1.2.3]:1"] {
            let client = by_x_forwarded_for(&networks(&[network]), peer, &["203.0.113.1"]);
            assert_eq!(client.as_deref(), Ok("203.0.113.1"), "{network}, {peer}");
        }
    }
}

/// The other one is passed on by proxies that do not know it.
#[test]
fn only_the_chosen_header_is_read() {
    let one = ClientAddress::peer().trusted_proxies(1);
    let both = |address: ClientAddress| {
        let mut request = request_from("10.0.0.1:1");
        request.headers_mut().insert(X_FORWARDED_FOR, HeaderValue::from_static("203.0.113.1"));
        request.headers_mut().insert(FORWARDED, HeaderValue::from_static("for=203.0.113.2"));
        address.of(&Head::of(&request)).expect("a client").to_string()
    };
    assert_eq!(both(one.clone()), "203.0.113.1");
    assert_eq!(both(one.header(ForwardedBy::Forwarded)), "203.0.113.2");
}

#[test]
fn addresses_are_read_with_ports_and_brackets() {
    let one = ClientAddress::peer().trusted_proxies(1).ipv6_prefix(128);
    for (written, read) in [
        ("203.0.113.1", "203.0.113.1"),
        (" 203.0.113.1:8080 ", "203.0.113.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:8080", "2001:db8::1"),
        ("::ffff:203.0.113.1", "203.0.113.1"),
        ("[::ffff:203.0.113.1]:80", "203.0.113.1"),
        // RFC 7239 lets a proxy hide the port.
        ("203.0.113.1:_p", "203.0.113.1"),
        ("[2001:db8::1]:_a-b.C_9", "2001:db8::1"),
    ] {
        assert_eq!(by_x_forwarded_for(&one, "10.0.0.1:1", &[written]).as_deref(), Ok(read), "{written}");
    }
    for nobody in [
        "",
        "unknown",
        "_hidden",
        "203.0.113",
        "203.0.113.1.5",
        "[2001:db8::1",
        "203.0.113.1:x",
        "203.0.113.1:_",
        "203.0.113.1:_a b",
        "2001:db8::1:_p",
        "_hidden:_p",
        "a.example",
    ] {
        assert!(by_x_forwarded_for(&one, "10.0.0.1:1", &[nobody]).is_err(), "{nobody}");
    }
}

/// The examples of RFC 7239, and what it allows besides.
#[test]
fn forwarded_is_read_as_the_standard_says() {
    let one = ClientAddress::peer().trusted_proxies(1).ipv6_prefix(128);
    for (written, read) in [
        ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
        ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
        ("for=192.0.2.43, for=198.51.100.17", "198.51.100.17"),
        ("proto=https; FOR=\"198.51.100.17:99\"", "198.51.100.17"),
        ("for=\"198.51.100\\.17\"", "198.51.100.17"),
        ("by=\"a,b;for=192.0.2.1\";for=198.51.100.17", "198.51.100.17"),
    ] {
        assert_eq!(by_forwarded(&one, "10.0.0.1:1", &[written]).as_deref(), Ok(read), "{written}");
    }
    for nobody in
        ["for=unknown", "for=_gazonk", "proto=http", "for", "for=", "for=192.0.2.1;for=192.0.2.2", "for=\"192.0.2.1"]
    {
        assert!(by_forwarded(&one, "10.0.0.1:1", &[nobody]).is_err(), "{nobody}");
    }
}

/// It would hide what the proxies have appended, and leave the address that the client names.
#[test]
fn a_quote_that_is_never_closed_hides_no_proxy() {
    let one = ClientAddress::peer().trusted_proxies(1).ipv6_prefix(128);
    for forged in ["for=192.0.2.66;x=\"", "for=192.0.2.66;x=\"\\", "for=192.0.2.66, x=\"a\\\"", "\""] {
        for (appended, read) in [
            ("for=203.0.113.1", "203.0.113.1"),
            ("for=\"[2001:db8::1]:80\"", "2001:db8::1"),
            ("for=203.0.113.1;by=\"a, b\\\", c\"", "203.0.113.1"),
        ] {
            let client = by_forwarded(&one, "10.0.0.1:1", &[&format!("{forged}, {appended}")]);
            assert_eq!(client.as_deref(), Ok(read), "{forged}, {appended}");
        }
    }
}

/// Only as many as are trusted are read: reading all takes thousands of times as long.
#[test]
fn ten_thousand_forged_names_cost_nothing() {
    let forwarded_by = |proxies: usize| {
        let mut request = request_from("10.0.0.1:1");
        let names = "10.0.0.1, ".repeat(proxies) + "203.0.113.1";
        request.headers_mut().insert(X_FORWARDED_FOR, HeaderValue::from_str(&names).expect("a valid value"));
        request
    };
    let [honest, forged] = [1, 10_000].map(forwarded_by);
    for address in [ClientAddress::peer().trusted_proxies(1), networks(&["10.0.0.0/8"])] {
        let fastest = |request: &_| {
            let times = (0..100).map(|_| {
                let start = std::time::Instant::now();
                assert_eq!(address.of(&Head::of(request)).expect("a client").to_string(), "203.0.113.1");
                start.elapsed()
            });
            times.min()
        };
        let [honest, forged] = [fastest(&honest), fastest(&forged)];
        assert!(forged < honest.map(|time| time * 20), "{forged:?}, not {honest:?}");
    }
}

#[test]
fn ipv6_clients_are_counted_by_their_network() {
    let direct = ClientAddress::peer();
    let of = |address: &ClientAddress, peer| by_x_forwarded_for(address, peer, &[]).expect("a client");
    assert_eq!(of(&direct, "[2001:db8:1:2:3:4:5:6]:1"), "2001:db8:1:2::/64");
    assert_eq!(of(&direct, "[2001:db8:1:2:ffff::]:1"), "2001:db8:1:2::/64");
    assert_eq!(of(&direct.clone().ipv6_prefix(48), "[2001:db8:1:2::1]:1"), "2001:db8:1::/48");
    assert_eq!(of(&direct.clone().ipv6_prefix(255), "[2001:db8::1]:1"), "2001:db8::1");
    assert_eq!(of(&direct.clone().ipv6_prefix(0), "[2001:db8::1]:1"), "::/0");
    assert_eq!(of(&direct, "[::ffff:203.0.113.1]:1"), "203.0.113.1");
}

#[tokio::test]
async fn a_missing_peer_is_named_in_the_response() {
    let by_client = layer().rule(Rule::new("address", TWO).by_client(ClientAddress::peer()));
    let response = send(&by_client, request()).await;
    assert_eq!(response.status(), 500);
    let problem: serde_json::Value = serde_json::from_slice(response.body()).expect("JSON");
    let detail = problem["detail"].as_str().expect("a text");
    assert!(detail.contains("into_make_service_with_connect_info"), "{detail}");

    let admitting = Rule::new("address", TWO).by_client(ClientAddress::peer()).missing(Missing::Admit);
    assert_eq!(statuses(&layer().rule(admitting.clone()), (0..3).map(|_| request())).await, [200; 3]);
    let sharing = layer().rule(admitting.missing(Missing::Share));
    assert_eq!(statuses(&sharing, (0..3).map(|_| request())).await, [200, 200, 429]);
    assert_eq!(send(&sharing, request_from("192.0.2.7:1")).await.status(), 200);
}

/// Makes what a header may carry: texts like addresses, and any visible bytes.
fn any_value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        6 => prop::sample::select(b"0123456789abcdef.:,;=\"\\[] for".to_vec()),
        1 => 0x20..=0x7e_u8,
        1 => 0x80..=0xff_u8,
    ];
    vec(byte, 0..60)
}

proptest! {
    /// Whatever a client writes into the header before the proxies append to it.
    #[test]
    fn forged_headers_change_no_client(forged in vec(any_value(), 0..3), hops in 1..4_usize) {
        let appended: Vec<String> = (1..=hops).map(|hop| format!("203.0.113.{hop}")).collect();
        let list = appended.join(", ");
        let elements: Vec<String> = appended.iter().map(|address| format!("for={address}")).collect();
        let elements = elements.join(", ");
        let counted = ClientAddress::peer().trusted_proxies(hops);
        let in_networks = networks(&["10.0.0.0/8"]);
        for (address, header, appended, expected) in [
            (&counted, ForwardedBy::XForwardedFor, &list, "203.0.113.1".to_owned()),
            (&counted, ForwardedBy::Forwarded, &elements, "203.0.113.1".to_owned()),
            (&in_networks, ForwardedBy::XForwardedFor, &list, format!("203.0.113.{hops}")),
            (&in_networks, ForwardedBy::Forwarded, &elements, format!("203.0.113.{hops}")),
        ] {
            let name = if header == ForwardedBy::Forwarded { FORWARDED } else { X_FORWARDED_FOR };
            let address = address.clone().header(header);
            // Proxies append a header of their own, or to the header that is there.
            let values: Vec<&[u8]> = forged.iter().map(Vec::as_slice).chain([appended.as_bytes()]).collect();
            prop_assert_eq!(client(&address, "10.0.0.1:1", &name, &values), Ok(expected.clone()));
            let value = values.join(&b", "[..]);
            prop_assert_eq!(client(&address, "10.0.0.1:1", &name, &[&value]), Ok(expected));
        }
    }

    #[test]
    fn any_header_is_read_or_refused(values in vec(any_value(), 0..4), proxies in 0..4_usize) {
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        for (header, name) in [(ForwardedBy::XForwardedFor, X_FORWARDED_FOR), (ForwardedBy::Forwarded, FORWARDED)] {
            let counted = ClientAddress::peer().trusted_proxies(proxies).header(header);
            let _ = client(&counted, "10.0.0.1:1", &name, &values);
            let _ = client(&networks(&["0.0.0.0/0", "::/0"]).header(header), "10.0.0.1:1", &name, &values);
        }
    }
}
