//! A holder with an id of 16 bytes takes at most 96 bytes, however many there are.

use premier_algorithms::{Holds, State};

use crate::scenario::hold::{HoldKey, Places};

const NOW: u64 = 1_800_000_000_000_000;
const SECOND: u64 = 1_000_000;

const MOST: u64 = 65_536;

fn id(holder: u64) -> [u8; 16] {
    u128::from(holder).to_le_bytes()
}

/// Allocators give out blocks of 16 bytes for ids of that length. The tables are as long as blocks
/// that allocators give out, so there is nothing to round up.
fn check(state: &Holds, holders: u64) {
    let size = (size_of::<Holds>() + state.heap_size()) as u64;
    assert!(holders < 100 || size <= 96 * holders, "{holders} holders take {size} bytes");
}

/// Returns whether to check at this number of holders: adding up the ids at each takes long.
fn is_checked(holders: u64) -> bool {
    holders < 2_000 || holders.is_multiple_of(61)
}

#[test]
fn a_holder_takes_at_most_96_bytes() {
    let places = Places { quota: MOST, lease: SECOND };
    let mut key = HoldKey::fresh();
    for holders in 1..=MOST {
        assert!(key.call(NOW, &places, &id(holders), 1).is_admitted());
        if is_checked(holders) {
            check(&key.state, holders);
        }
    }
    for holders in (0..MOST).rev() {
        assert!(key.release(NOW, &id(MOST - holders)).is_some());
        if is_checked(holders) {
            check(&key.state, holders);
        }
    }
    assert!(key.state.is_empty() && key.state.heap_size() < 1_000);
}

#[test]
fn dropping_many_leases_gives_their_memory_back() {
    for left in [100, 1_000, 10_000, 60_000] {
        let mut key = HoldKey::fresh();
        for holder in 0..MOST {
            let lease = if holder < left { 2 * SECOND } else { SECOND };
            assert!(key.call(NOW, &Places { quota: MOST, lease }, &id(holder), 1).is_admitted());
        }
        let places = Places { quota: MOST, lease: SECOND };
        assert!(key.call(NOW + SECOND, &places, &id(0), 1).is_admitted());
        assert_eq!(key.count(NOW + SECOND) as u64, left);
        check(&key.state, left);
    }
}
