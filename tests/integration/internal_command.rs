//! `PREM key effect [key effect]…` accepts only effects that PREMIER commands replicated, and only
//! from users with the permission.

use std::thread::sleep;
use std::time::Duration;

use premier_test_server::Server;
use redis::{Cmd, Connection, Value};

use crate::tools::call::{LIMITERS, call, command, error, run};
use crate::tools::effect::{
    LAST_MOMENT, MOST_UNITS, apply, bucket_state, effect, effects_in_aof, entry, fixed_state, holders, lasting_effect,
    now_micros, put, server_with_aof,
};
use crate::tools::snapshot::{content, snapshot};
use crate::tools::states::{MAX_ENTRIES, fill};

const REFUSAL: &str = "ERR invalid effect: expected one that this version of premier, or an older one, replicated";

const LETTERS: [u8; 5] = *b"FSTLH";

/// A moment in 2024, in microseconds.
const MOMENT: u64 = 1_720_000_000_000_000;

/// The latest expiry in an effect: 2⁶⁴ µs, in milliseconds.
const LATEST_EXPIRY: i64 = 18_446_744_073_709_551;

fn valid_state(letter: u8) -> Vec<u8> {
    match letter {
        b'F' => fixed_state(MOMENT, 3),
        b'S' => entry(MOMENT, 3),
        b'H' => holders(&[(MOMENT, 3_600_000_000, 3, b"holder")]),
        _ => bucket_state(MOMENT, false, 3),
    }
}

fn assert_accepted(connection: &mut Connection, effect: &[u8]) {
    let answer = apply(connection, b"taken", effect);
    assert_eq!(answer.unwrap_or_else(|error| panic!("{error}: {}", effect.escape_ascii())), Value::Okay);
    let () = run(connection, "DEL taken");
}

/// A server that refuses effects, on a fresh key and on a used one, and must stay unchanged.
struct Target {
    server: Server,
    connection: Connection,
    before: crate::tools::snapshot::Snapshot,
}

impl Target {
    fn new() -> Self {
        let server = Server::start();
        let mut connection = server.connection();
        call(&mut connection, "PREMIER.SLIDING used 5 1h");
        let before = snapshot(&server);
        Self { server, connection, before }
    }

    #[track_caller]
    fn assert_refuses(&mut self, effect: &[u8]) {
        for key in ["used", "fresh"] {
            let line = error(&mut self.connection, redis::cmd("PREM").arg(key).arg(effect));
            assert_eq!(line, REFUSAL, "{}", effect.escape_ascii());
        }
    }

    #[track_caller]
    fn assert_unchanged(&self) {
        assert_eq!(snapshot(&self.server), self.before);
    }
}

#[test]
fn an_effect_of_the_wrong_length_is_refused() {
    let mut target = Target::new();
    for letter in LETTERS {
        let valid = lasting_effect(letter, &valid_state(letter));
        assert_accepted(&mut target.connection, &valid);
        for len in 0..valid.len() {
            target.assert_refuses(&valid[..len]);
        }
        for more in 1..=40 {
            target.assert_refuses(&[&valid[..], &vec![0; more]].concat());
        }
        target.assert_refuses(&[&[0], &valid[..]].concat());
        target.assert_refuses(&valid.iter().rev().copied().collect::<Vec<_>>());
    }
    target.assert_unchanged();
}

#[test]
fn an_effect_of_another_version_is_refused() {
    let mut target = Target::new();
    for letter in LETTERS {
        let mut effect = lasting_effect(letter, &valid_state(letter));
        for version in 1..=u8::MAX {
            effect[0] = version;
            target.assert_refuses(&effect);
        }
    }
    target.assert_unchanged();
}

#[test]
fn an_effect_with_an_unknown_type_letter_is_refused() {
    let mut target = Target::new();
    for state in LETTERS.map(valid_state) {
        for letter in (0..=u8::MAX).filter(|letter| !LETTERS.contains(letter)) {
            target.assert_refuses(&lasting_effect(letter, &state));
        }
    }
    target.assert_unchanged();
}

#[test]
fn an_effect_with_an_invalid_expiry_is_refused() {
    let mut target = Target::new();
    for letter in LETTERS {
        for expires_at in [-2, -1_000, i64::MIN, i64::MIN + 1, LATEST_EXPIRY + 1, i64::MAX] {
            target.assert_refuses(&effect(letter, expires_at, &valid_state(letter)));
        }
        for expires_at in [-1, LATEST_EXPIRY] {
            let effect = effect(letter, expires_at, &valid_state(letter));
            assert_eq!(apply(&mut target.connection, b"taken", &effect), Ok(Value::Okay));
            assert_eq!(run::<i64>(&mut target.connection, "PEXPIRETIME taken"), expires_at);
            let () = run(&mut target.connection, "DEL taken");
        }
    }
    target.assert_unchanged();
}

#[test]
fn an_effect_with_a_state_out_of_bounds_is_refused() {
    let mut target = Target::new();
    let entries =
        |entries: &[(u64, u64)]| entries.iter().flat_map(|(at, units)| entry(*at, *units)).collect::<Vec<u8>>();

    for state in [
        fixed_state(MOMENT, 0),
        fixed_state(MOMENT, MOST_UNITS + 1),
        fixed_state(MOMENT, u64::MAX),
        fixed_state(LAST_MOMENT + 1, 1),
        fixed_state(u64::MAX, 1),
    ] {
        target.assert_refuses(&lasting_effect(b'F', &state));
    }
    assert_accepted(&mut target.connection, &lasting_effect(b'F', &fixed_state(0, 1)));
    assert_accepted(&mut target.connection, &lasting_effect(b'F', &fixed_state(LAST_MOMENT, MOST_UNITS)));

    for state in [
        vec![],
        entries(&[(MOMENT, 0)]),
        entries(&[(MOMENT, 1), (MOMENT, 0)]),
        entries(&[(MOMENT + 1, 1), (MOMENT, 1)]),
        entries(&[(MOMENT, MOST_UNITS + 1)]),
        entries(&[(MOMENT, MOST_UNITS), (MOMENT, 1)]),
        entries(&vec![(MOMENT, (1 << 41) - 1); MAX_ENTRIES]),
        entries(&vec![(MOMENT, 1); MAX_ENTRIES + 1]),
        entries(&vec![(MOMENT, 1); 10_000]),
    ] {
        target.assert_refuses(&lasting_effect(b'S', &state));
    }
    assert_accepted(&mut target.connection, &lasting_effect(b'S', &entries(&[(0, 1), (LAST_MOMENT, 1)])));
    assert_accepted(&mut target.connection, &lasting_effect(b'S', &entries(&[(MOMENT, MOST_UNITS - 1), (MOMENT, 1)])));
    assert_accepted(&mut target.connection, &lasting_effect(b'S', &entries(&vec![(MOMENT, 1); MAX_ENTRIES])));

    for letter in *b"TL" {
        for state in [
            bucket_state(MOMENT, false, 0),
            bucket_state(MOMENT, true, 0),
            bucket_state(MOMENT, true, MOST_UNITS + 1),
            bucket_state(MOMENT, true, (1 << 41) - 1),
        ] {
            target.assert_refuses(&lasting_effect(letter, &state));
        }
        for state in [
            bucket_state(0, false, 1),
            bucket_state(LAST_MOMENT, false, (1 << 24) - 1),
            bucket_state(LAST_MOMENT, true, MOST_UNITS),
        ] {
            assert_accepted(&mut target.connection, &lasting_effect(letter, &state));
        }
    }
    target.assert_unchanged();
}

/// Returns pseudorandom bytes, the same at each run (xorshift).
fn random_bytes(len: usize, seed: &mut u64) -> Vec<u8> {
    let mut byte = || {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        seed.to_le_bytes()[4]
    };
    (0..len).map(|_| byte()).collect()
}

#[test]
fn random_bytes_are_refused() {
    let mut target = Target::new();
    let mut seed = 0x5eed;
    for len in 0..500 {
        let mut bytes = random_bytes(len, &mut seed);
        // No effect has an odd version.
        if let Some(version) = bytes.first_mut() {
            *version |= 1;
        }
        target.assert_refuses(&bytes);
    }
    target.assert_unchanged();
}

#[test]
fn calls_on_any_accepted_state_get_sane_replies() {
    let server = Server::start();
    let mut connection = server.connection();
    let mut seed = 0xface;
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..2_000 {
        let index = round % 4;
        let letter = LETTERS[index];
        let state_len = if letter == b'S' { 16 * (1 + round / 4 % 3) } else { 16 };
        let mut state = random_bytes(state_len, &mut seed);
        // Random bytes are seldom valid units.
        if round % 3 > 0 {
            match letter {
                b'F' => state[13..].fill(0),
                b'S' => state.chunks_mut(16).for_each(|entry| entry[4..10].fill(0)),
                _ => state[0..2].fill(0),
            }
        }
        if apply(&mut connection, b"key", &lasting_effect(letter, &state)).is_err() {
            refused += 1;
            continue;
        }
        accepted += 1;
        for arguments in ["5 1h", "5 1ms COST 5", "1000000000000 3650d COST 1000000000000", "1 3650d", "0 1s"] {
            let reply = call(&mut connection, &format!("{} key {arguments}", LIMITERS[index].command));
            reply.assert_sane();
        }
        let () = run(&mut connection, "DEL key");
    }
    assert!(accepted > 200 && refused > 200, "{accepted} accepted, {refused} refused");
}

#[test]
fn an_effect_makes_the_same_key_on_another_server() {
    let (source, target) = (server_with_aof().start(), Server::start());
    fill(&source);
    let mut connection = target.connection();
    let effects = effects_in_aof(&source);
    for (key, effect) in &effects {
        assert_eq!(apply(&mut connection, key, effect), Ok(Value::Okay));
    }
    // Both databases of the source have the same keys, and the calls on database 3 came last.
    let mut source = source.connection();
    let () = run(&mut source, "SELECT 3");
    let mut with_expiry = 0;
    for (key, _) in effects {
        let expected = content(&mut source, &key);
        if key.ends_with(b":persisted") {
            let () = redis::cmd("PERSIST").arg(&key).query(&mut connection).expect("PERSIST");
        }
        let mut actual = content(&mut connection, &key);
        if key.ends_with(b":expire") {
            actual.expires_at = expected.expires_at;
        } else {
            with_expiry += 1;
        }
        assert_eq!(actual, expected, "{}", key.escape_ascii());
    }
    assert!(with_expiry > 100, "{with_expiry} compared");
}

fn prem(effects: &[(&str, Vec<u8>)]) -> Cmd {
    let mut command = redis::cmd("PREM");
    for (key, effect) in effects {
        command.arg(key).arg(effect);
    }
    command
}

fn effect_of_each() -> Vec<(&'static str, Vec<u8>)> {
    ["fixed", "sliding", "token", "leaky", "hold"]
        .into_iter()
        .zip(LETTERS.map(|letter| lasting_effect(letter, &valid_state(letter))))
        .collect()
}

#[test]
fn effects_in_one_command_make_the_same_keys_as_one_by_one() {
    let (together, apart) = (Server::start(), Server::start());
    let effects = effect_of_each();
    let mut connection = apart.connection();
    for (key, effect) in &effects {
        assert_eq!(apply(&mut connection, key.as_bytes(), effect), Ok(Value::Okay));
    }
    let mut connection = together.connection();
    // The keys may hold anything before.
    let () = run(&mut connection, "SET sliding text");
    call(&mut connection, "PREMIER.LEAKY token 5 1h");
    assert_eq!(prem(&effects).query(&mut connection), Ok(Value::Okay));
    assert_eq!(snapshot(&together), snapshot(&apart));
    assert_eq!(snapshot(&together).len(), 5);
}

#[test]
fn no_effect_is_applied_if_one_of_them_is_malformed() {
    let mut target = Target::new();
    let () = run(&mut target.connection, "SET fixed text");
    target.before = snapshot(&target.server);
    for malformed in 0..5 {
        let mut effects = effect_of_each();
        effects[malformed].1.push(0);
        assert_eq!(error(&mut target.connection, &prem(&effects)), REFUSAL);
        target.assert_unchanged();
    }
}

#[test]
fn a_command_may_have_at_most_16_effects() {
    let mut target = Target::new();
    let keys: Vec<String> = (0..17).map(|index| format!("key:{index}")).collect();
    let effect = lasting_effect(b'F', &fixed_state(MOMENT, 1));
    let effects: Vec<_> = keys.iter().map(|key| (key.as_str(), effect.clone())).collect();
    assert_eq!(error(&mut target.connection, &prem(&effects)), REFUSAL);
    target.assert_unchanged();
    assert_eq!(prem(&effects[..16]).query(&mut target.connection), Ok(Value::Okay));
    assert_eq!(snapshot(&target.server).len(), 17);
}

/// Connects as a user with these rights.
fn connect_as(server: &Server, rights: &str) -> Connection {
    let () = run(&mut server.connection(), &format!("ACL SETUSER tester reset on nopass ~* &* {rights}"));
    let mut connection = server.connection();
    let () = run(&mut connection, "AUTH tester any");
    connection
}

/// Alone, in a transaction and in a script. Redis 7.0 knows no ACL categories of a module's
/// commands.
#[test]
fn only_users_with_full_rights_can_apply_effects() {
    let server = Server::start();
    let effect = lasting_effect(b'F', &fixed_state(MOMENT, 3));
    let mut script = redis::cmd("EVAL");
    script.arg("return redis.call('PREM', KEYS[1], ARGV[1])").arg(1).arg("forged").arg(&effect);
    let limited =
        ["+@all -@admin -@dangerous", "+@all -@admin -@dangerous +prem", "+@all -@dangerous +prem", "-@all +prem"];
    for rights in limited {
        let mut connection = connect_as(&server, rights);
        let line = error(&mut connection, &prem(&[("forged", effect.clone())]));
        assert!(line.starts_with("NOPERM"), "{rights}: {line}");
        for command in [command("MULTI"), prem(&[("forged", effect.clone())]), command("EXEC")] {
            // Refused at once or at EXEC.
            let _ = command.query::<Value>(&mut connection);
        }
        assert!(script.query::<Value>(&mut connection).is_err(), "{rights}");
    }
    assert!(snapshot(&server).is_empty());
    let mut connection = connect_as(&server, "+@all");
    assert_eq!(prem(&[("applied", effect)]).query(&mut connection), Ok(Value::Okay));
}

#[test]
fn different_states_have_different_digests() {
    let server = Server::start();
    let mut connection = server.connection();
    // States that differ as little as possible.
    let effects = [
        lasting_effect(b'F', &fixed_state(MOMENT, 1)),
        lasting_effect(b'F', &fixed_state(MOMENT, 2)),
        lasting_effect(b'F', &fixed_state(MOMENT + 1, 1)),
        lasting_effect(b'S', &entry(MOMENT, 1)),
        lasting_effect(b'S', &entry(MOMENT, 2)),
        lasting_effect(b'S', &entry(MOMENT + 1, 1)),
        lasting_effect(b'S', &[entry(MOMENT, 1), entry(MOMENT, 1)].concat()),
        lasting_effect(b'T', &bucket_state(MOMENT, false, 1)),
        lasting_effect(b'T', &bucket_state(MOMENT, false, 2)),
        lasting_effect(b'T', &bucket_state(MOMENT + 1, false, 1)),
        lasting_effect(b'T', &bucket_state(MOMENT, true, 1)),
        lasting_effect(b'H', &put(MOMENT, 1_000, 1, b"a")),
        lasting_effect(b'H', &put(MOMENT, 1_000, 2, b"a")),
        lasting_effect(b'H', &put(MOMENT, 1_001, 1, b"a")),
        lasting_effect(b'H', &put(MOMENT + 1, 1_000, 1, b"a")),
        lasting_effect(b'H', &put(MOMENT, 1_000, 1, b"b")),
        lasting_effect(b'H', &put(MOMENT, 1_000, 1, b"a\0")),
        lasting_effect(b'H', &holders(&[(MOMENT, 1_000, 1, b"a"), (MOMENT, 1_000, 1, b"b")])),
    ];
    let mut digests: Vec<String> = Vec::new();
    for effect in &effects {
        let () = run(&mut connection, "DEL key");
        assert_eq!(apply(&mut connection, b"key", effect), Ok(Value::Okay));
        let digest = content(&mut connection, b"key").digest;
        assert!(!digests.contains(&digest), "{}", effect.escape_ascii());
        digests.push(digest);
    }
}

/// Returns effects that fill a key of each algorithm an hour from now, as a server whose clock is
/// ahead would make them.
fn states_from_the_future() -> [(&'static str, Vec<u8>); 4] {
    let hour_ahead = now_micros() + 3_600_000_000;
    [
        ("PREMIER.FIXED", lasting_effect(b'F', &fixed_state(hour_ahead, 2))),
        ("PREMIER.SLIDING", lasting_effect(b'S', &entry(hour_ahead, 2))),
        ("PREMIER.TOKEN", lasting_effect(b'T', &bucket_state(hour_ahead, false, 2))),
        ("PREMIER.LEAKY", lasting_effect(b'L', &bucket_state(hour_ahead, false, 2))),
    ]
}

/// Asserts that such a state counts as used just now. `arrive` stores it in the key.
fn assert_counts_as_used_just_now(arrive: impl Fn(&mut Connection, &[u8])) {
    const SECOND: Duration = Duration::from_secs(1);
    let server = Server::start();
    let mut connection = server.connection();
    // The server's clock must have run for longer than the window before the first state arrives.
    call(&mut connection, "PREMIER.FIXED first 1 1s");
    let early = call(&mut connection, "PREMIER.FIXED first 1 1s");
    sleep(early.wait().max(SECOND));

    for (name, effect) in states_from_the_future() {
        arrive(&mut connection, &effect);
        let early = call(&mut connection, &format!("{name} key 2 1s COST 2"));
        assert!(early.limited, "{name} forgets what was used: {early:?}");
        assert!(early.wait() <= SECOND, "{name} waits longer than for a key used up just now: {early:?}");
        sleep(early.wait());
        let reply = call(&mut connection, &format!("{name} key 2 1s COST 2"));
        assert!(!reply.limited, "{name}: {early:?}, then {reply:?}");
        let () = run(&mut connection, "DEL key");
    }
}

#[test]
fn a_state_from_a_clock_that_is_ahead_counts_as_used_just_now() {
    assert_counts_as_used_just_now(|connection, effect| {
        assert_eq!(apply(connection, b"key", effect), Ok(Value::Okay));
    });
}

#[test]
fn a_restored_state_from_the_future_counts_as_used_just_now() {
    let other = Server::start();
    assert_counts_as_used_just_now(|connection, effect| {
        let mut other = other.connection();
        assert_eq!(apply(&mut other, b"key", effect), Ok(Value::Okay));
        let payload: Vec<u8> = run(&mut other, "DUMP key");
        let () = redis::cmd("RESTORE").arg("key").arg(0).arg(payload).query(connection).expect("RESTORE");
    });
}

#[test]
fn permission_to_write_does_not_allow_prem() {
    let server = Server::start();
    let mut connection = server.connection();
    let () = run(&mut connection, "ACL SETUSER writer on nopass ~* +@write +@read +@fast -@dangerous");
    let allowed: String = run(&mut connection, "ACL DRYRUN writer SET key 1");
    assert_eq!(allowed, "OK");
    let refused: String = run(&mut connection, "ACL DRYRUN writer PREM key effect");
    assert!(refused.contains("no permissions"), "{refused}");
    let () = run(&mut connection, "ACL SETUSER repairer on nopass ~one +prem");
    assert_eq!(run::<String>(&mut connection, "ACL DRYRUN repairer PREM one effect"), "OK");
    let refused: String = run(&mut connection, "ACL DRYRUN repairer PREM one effect two effect");
    assert!(refused.contains("two"), "{refused}");
    assert!(run::<Value>(&mut connection, "AUTH writer any") == Value::Okay);
    let line = error(&mut connection, &command("PREM key effect"));
    assert!(line.starts_with("NOPERM "), "{line}");
}

/// On servers where modules can use ACL categories: Redis 7.2 and newer, and Valkey.
#[test]
fn all_permissions_but_admin_do_not_allow_prem() {
    let server = Server::start();
    let mut connection = server.connection();
    let () = run(&mut connection, "ACL SETUSER user on nopass ~* +@all -@admin");
    let answer: String = run(&mut connection, "ACL DRYRUN user PREM key effect");
    // Redis 7.0 puts the commands of modules into no category: only +@all or the name allows one.
    let in_admin: Vec<String> = run(&mut connection, "ACL CAT admin");
    if in_admin.iter().any(|name| name.eq_ignore_ascii_case("prem")) {
        assert!(answer.contains("no permissions"), "{answer}");
    } else {
        assert!(!crate::tools::info::is_at_least(&mut connection, (7, 2)), "PREM is not in @admin");
        assert_eq!(answer, "OK");
    }
}
