//! Forged payloads and effects: the server refuses them, or all its replies about them make sense.

use std::collections::BTreeMap;

use premier_test_server::Server;
use rand::RngExt;
use rand::rngs::SmallRng;
use redis::{Cmd, Connection, FromRedisValue, RedisResult, Value};

use crate::tools::call::{HOLD, LIMITERS, Limiter, Reply, command, run};
use crate::tools::effect::{
    LAST_MOMENT, MOST_UNITS, apply, bucket_state, effect, entry, fixed_state, holders, lasting_effect, now_micros, put,
    server_with_aof, take,
};
use crate::tools::payload::{FOOTER_LEN, HEAD_LEN, set_checksum};
use crate::tools::random::random;
use crate::tools::snapshot::snapshot;
use crate::tools::states::MAX_ENTRIES;
use crate::tools::strength::at_strength;

const TARGETS: [Limiter; 5] = {
    let [fixed, sliding, token, leaky] = LIMITERS;
    [fixed, sliding, token, leaky, HOLD]
};

/// How many forgeries of each kind are tried at full strength.
const TRIES: usize = 20_000;

/// How many are sent at once.
const BATCH: usize = 200;

/// The longest time in any reply: 2⁶⁴ µs, in milliseconds.
const LONGEST: i64 = 18_446_744_073_709_552;

/// A moment in 2024, in microseconds: less than the longest duration ago.
const MOMENT: u64 = 1_720_000_000_000_000;

const HOUR: u64 = 3_600_000_000;

/// Returns states of all shapes, with the letters of their types.
fn states() -> Vec<(u8, Vec<u8>)> {
    let mut states = vec![
        (b'F', fixed_state(MOMENT, 3)),
        (b'F', fixed_state(LAST_MOMENT, MOST_UNITS)),
        (b'S', entry(MOMENT, 3)),
        (b'S', [entry(0, 1), entry(MOMENT, 2), entry(LAST_MOMENT, 3)].concat()),
        (b'S', [entry(MOMENT, 1 << 41 | 7), entry(MOMENT + HOUR, 3 << 41 | 9)].concat()),
        (b'S', (0..MAX_ENTRIES as u64).flat_map(|index| entry(MOMENT + index * HOUR, 1)).collect()),
    ];
    for letter in *b"TL" {
        states.push((letter, bucket_state(MOMENT, false, 3)));
        states.push((letter, bucket_state(LAST_MOMENT, false, (1 << 24) - 1)));
        states.push((letter, bucket_state(MOMENT, true, MOST_UNITS)));
    }
    // These count even for short durations.
    let now = now_micros();
    states.push((b'F', fixed_state(now, 4)));
    states.push((b'S', [entry(now - HOUR / 2, 63), entry(now, 1)].concat()));
    states.extend([b'T', b'L'].map(|letter| (letter, bucket_state(now, false, 4))));
    let strange: [(u64, u64, u64, &[u8]); 3] =
        [(0, 1_000, 1, b"\0"), (MOMENT, HOUR, MOST_UNITS / 2, &[0xff; 128]), (LAST_MOMENT, HOUR, 1, b"a")];
    states.extend([
        (b'H', holders(&[(now, HOUR, 3, b"a")])),
        (b'H', holders(&[(now, HOUR, 2, b"a"), (now, HOUR, 1, b"b"), (now, 2 * HOUR, 1, b"c")])),
        (b'H', holders(&strange)),
    ]);
    states
}

/// Returns what else changes a key of holders.
fn changes() -> Vec<(u8, Vec<u8>)> {
    let now = now_micros();
    let dated =
        |kind: u8, rest: &[u8]| [&[kind], [now, now - 5, 7].map(u64::to_le_bytes).as_flattened(), rest].concat();
    vec![
        (b'H', put(now, HOUR, 2, b"a")),
        (b'H', put(LAST_MOMENT, 1_000, 1, &[b'x'; 128])),
        (b'H', take(now, b"a")),
        (b'H', dated(3, &[&HOUR.to_le_bytes()[..], &2_u64.to_le_bytes(), b"a"].concat())),
        (b'H', dated(4, b"a")),
    ]
}

#[test]
fn replies_about_any_restored_payload_make_sense() {
    let mut attack = Attack::new();
    let connection = &mut attack.connection;
    let mut originals = Vec::new();
    for compression in ["no", "yes"] {
        let () = run(connection, &format!("CONFIG SET rdbcompression {compression}"));
        for (letter, state) in states() {
            let _: Value = apply(connection, b"original", &lasting_effect(letter, &state)).expect("PREM");
            originals.push(run::<Vec<u8>>(connection, "DUMP original"));
        }
    }
    let footer = originals[0][originals[0].len() - FOOTER_LEN..].to_vec();
    for original in &mut originals {
        original.truncate(original.len() - FOOTER_LEN);
    }
    // Never, in a minute, in ten years, in 500,000 years.
    let ttls = [0_i64, 60_000, 315_360_000_000, 16_000_000_000_000_000];
    attack.run(|random, key| {
        // The type byte stays as it is: how other types read a payload is not our concern.
        let mut payload = forged(random, &originals, HEAD_LEN);
        payload.extend_from_slice(&footer);
        set_checksum(&mut payload);
        redis::cmd("RESTORE").arg(key).arg(any(random, &ttls)).arg(payload).to_owned()
    });
}

#[test]
fn replies_about_any_applied_effect_make_sense() {
    let expiries = [-1, 2_000_000_000_000, 18_446_744_073_709_551];
    let originals: Vec<Vec<u8>> = states()
        .iter()
        .chain(&changes())
        .flat_map(|(letter, state)| expiries.map(|expires_at| effect(*letter, expires_at, state)))
        .collect();
    Attack::new().run(|random, key| {
        let mut command = redis::cmd("PREM");
        command.arg(key).arg(forged(random, &originals, 0));
        if random.random_ratio(1, 8) {
            command.arg(format!("{key}:second")).arg(any(random, &originals));
        }
        command
    });
}

fn any<'of, T>(random: &mut SmallRng, of: &'of [T]) -> &'of T {
    &of[random.random_range(0..of.len())]
}

/// Returns one of the originals with some changes after its first `kept` bytes.
fn forged(random: &mut SmallRng, originals: &[Vec<u8>], kept: usize) -> Vec<u8> {
    let mut bytes = any(random, originals).clone();
    for _ in 0..random.random_range(1..=2) {
        let at = random.random_range(kept..=bytes.len());
        let end = random.random_range(at..=bytes.len());
        match random.random_range(0..12) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let repeated = bytes[at..end].to_vec();
                bytes.splice(at..at, repeated);
            }
            3 => {
                let other = any(random, originals);
                let from = random.random_range(kept..=other.len());
                bytes.splice(at.., other[from..].iter().copied());
            }
            4 => bytes.insert(at, random.random()),
            5 => {
                let number = any(random, &INTERESTING).to_le_bytes();
                let len = any(random, &[1, 2, 4, 8]).min(&(bytes.len() - at)).to_owned();
                bytes[at..at + len].copy_from_slice(&number[..len]);
            }
            // Most often, as the server accepts the smallest changes most.
            _ if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            _ => {}
        }
    }
    bytes
}

/// Numbers at the bounds of the parts of a state, or beyond them.
const INTERESTING: [u64; 12] = [
    0,
    1,
    u64::MAX,
    1 << 63,
    MOST_UNITS,
    MOST_UNITS + 1,
    MOST_UNITS << 32,
    LAST_MOMENT,
    LAST_MOMENT + 1,
    LAST_MOMENT << 10,
    (1 << 41) - 1,
    ((1 << 24) - 1) << 10,
];

/// Sends forgeries to a server, and checks what becomes of them.
struct Attack {
    server: Server,
    connection: Connection,
    random: SmallRng,
    refused: usize,
    /// How many were accepted, by the type of the key that they made.
    accepted: BTreeMap<String, usize>,
}

impl Attack {
    fn new() -> Self {
        // With an AOF, calls on the forged keys make effects too.
        let server = server_with_aof().config("appendfsync", "no").start();
        let connection = server.connection();
        Self { server, connection, random: random(), refused: 0, accepted: BTreeMap::new() }
    }

    /// Tries forgeries, each on the key that it is made for.
    fn run(mut self, mut forge: impl FnMut(&mut SmallRng, &str) -> Cmd) {
        let tries = at_strength(TRIES);
        for _ in 0..tries / BATCH {
            let keys: Vec<String> = (0..BATCH).map(|index| format!("key:{index}")).collect();
            let forgeries: Vec<Cmd> = keys.iter().map(|key| forge(&mut self.random, key)).collect();
            self.answers(&[command("FLUSHALL")]);
            let verdicts = self.answers(&forgeries);
            let types = self.answers(&keys.iter().map(|key| command(&format!("TYPE {key}"))).collect::<Vec<_>>());

            let mut inspections = Vec::new();
            for (((key, forgery), verdict), data_type) in keys.into_iter().zip(forgeries).zip(verdicts).zip(types) {
                let data_type: String = read(data_type);
                let limiter = TARGETS.iter().find(|limiter| limiter.data_type == data_type);
                match (verdict, limiter) {
                    (Ok(Value::Okay), Some(limiter)) => {
                        *self.accepted.entry(data_type).or_default() += 1;
                        inspections.push(Inspection::new(&mut self.random, key, limiter, forgery));
                    }
                    // It expired long ago, or took the only holder away.
                    (Ok(Value::Okay), None) => assert_eq!(data_type, "none"),
                    (Ok(other), _) => panic!("{other:?}"),
                    (Err(_), _) => {
                        assert_eq!(data_type, "none", "a refused forgery left a key");
                        self.refused += 1;
                    }
                }
            }
            let commands: Vec<Vec<Cmd>> = inspections.iter().map(Inspection::commands).collect();
            let mut answers = self.answers(&commands.concat()).into_iter();
            for (inspection, commands) in inspections.iter().zip(&commands) {
                inspection.check(answers.by_ref().take(commands.len()));
            }
        }
        println!("{} refused, accepted: {:?}", self.refused, self.accepted);
        for Limiter { data_type, .. } in &TARGETS {
            assert!(
                self.accepted.get(*data_type) > Some(&(tries / 100)),
                "too few {data_type} were accepted: {:?}",
                self.accepted
            );
        }
        assert!(self.refused > tries / 10, "too few were refused: {}", self.refused);
        self.assert_aof_is_right();
        assert!(!self.server.log().contains("internal error"), "there was a panic:\n{}", self.server.log());
    }

    /// Asserts that the AOF restores the keys of the last forgeries exactly.
    fn assert_aof_is_right(&mut self) {
        let [seconds, _]: [i64; 2] = run(&mut self.connection, "TIME");
        let in_an_hour = (seconds + 3_600) * 1_000;
        let mut before = snapshot(&self.server);
        before.retain(|_, content| content.expires_at == -1 || content.expires_at > in_an_hour);
        assert!(before.len() > BATCH / 10, "too few keys last: {}", before.len());
        self.server.restart();
        let after = snapshot(&self.server);
        for (key, content) in &before {
            assert_eq!(after.get(key), Some(content), "{key:?}");
        }
    }

    /// Returns the reply of the server to each command.
    #[track_caller]
    fn answers(&mut self, commands: &[Cmd]) -> Vec<RedisResult<Value>> {
        let mut pipeline = redis::pipe();
        pipeline.ignore_errors();
        for command in commands {
            pipeline.add_command(command.clone());
        }
        let answers = pipeline.query(&mut self.connection);
        answers.unwrap_or_else(|error| panic!("the server stopped: {error}\n{}", self.server.log()))
    }
}

/// The commands that inspect a key that a forgery made.
struct Inspection {
    key: String,
    limiter: &'static Limiter,
    first: Arguments,
    second: Arguments,
    units: i64,
    /// The forgery that made the key.
    forgery: Cmd,
}

/// The arguments of a call.
#[derive(Clone, Copy)]
struct Arguments {
    text: &'static str,
    /// In milliseconds.
    duration: i64,
    bucket_options: &'static str,
    holder: &'static str,
}

const ARGUMENTS: [(&str, i64); 8] = [
    ("5 1h", 3_600_000),
    ("5 1ms COST 5", 1),
    ("1000000000000 3650d COST 1000000000000", 315_360_000_000),
    ("1 3650d", 315_360_000_000),
    ("64 1s COST 64", 1_000),
    ("1000000 1d COST 999999", 86_400_000),
    ("7 7d COST 1000000000000 FORCE", 604_800_000),
    ("0 1s", 1_000),
];

const BUCKET_OPTIONS: [&str; 4] = ["", " CAPACITY 1000000000000", " MAXWAIT 3650d", " CAPACITY 1 MAXWAIT 1us"];

impl Arguments {
    fn new(random: &mut SmallRng) -> Self {
        let (text, duration) = *any(random, &ARGUMENTS);
        Self {
            text,
            duration,
            bucket_options: any::<&str>(random, &BUCKET_OPTIONS),
            holder: any::<&str>(random, &["a", "b", "other"]),
        }
    }

    /// Returns PREMIER.PEEK, then the call itself.
    fn commands(self, limiter: &Limiter, key: &str) -> [Cmd; 2] {
        let arguments = match limiter.command {
            "PREMIER.HOLD" => format!("{} ID {}", self.text.trim_end_matches(" FORCE"), self.holder),
            _ if limiter.has_bucket => format!("{}{}", self.text, self.bucket_options),
            _ => self.text.to_owned(),
        };
        let algorithm = limiter.algorithm();
        [
            command(&format!("PREMIER.PEEK {key} {algorithm} {arguments}")),
            command(&format!("{} {key} {arguments}", limiter.command)),
        ]
    }
}

impl Inspection {
    fn new(random: &mut SmallRng, key: String, limiter: &'static Limiter, forgery: Cmd) -> Self {
        let units = *any(random, &[1, 3, 1_000_000, 1_000_000_000_000]);
        Self { key, limiter, first: Arguments::new(random), second: Arguments::new(random), units, forgery }
    }

    fn others(&self) -> impl Iterator<Item = &'static Limiter> {
        TARGETS.iter().filter(|other| other.data_type != self.limiter.data_type)
    }

    fn commands(&self) -> Vec<Cmd> {
        let Self { key, limiter, first, second, units, .. } = self;
        let mut commands = vec![
            command(&format!("COPY {key} {key}:copy")),
            command(&format!("DEBUG DIGEST-VALUE {key} {key}:copy")),
            command(&format!("MEMORY USAGE {key}")),
        ];
        commands.extend(self.others().flat_map(|other| first.commands(other, key)));
        for (arguments, key) in [(first, key), (second, key), (second, &format!("{key}:copy"))] {
            commands.extend(arguments.commands(limiter, key));
            commands.push(match limiter.command {
                "PREMIER.HOLD" => command(&format!("PREMIER.RELEASE {key} {}", arguments.holder)),
                _ => command(&format!("PREMIER.REFUND {key} {units}")),
            });
            commands.push(command(&format!("PTTL {key}")));
        }
        commands
    }

    fn check(&self, answers: impl Iterator<Item = RedisResult<Value>>) {
        let answers: Vec<_> = answers.collect();
        let forgery = self.forgery.get_packed_command();
        let shown = || format!("{answers:#?}\nof {}", forgery.escape_ascii());
        let mut rest = answers.iter().cloned();
        let mut next = || rest.next().expect("as many answers as commands");

        assert_eq!(next(), Ok(Value::Int(1)), "COPY: {}", shown());
        let [digest, digest_of_copy]: [String; 2] = read(next());
        assert_eq!(digest, digest_of_copy, "{}", shown());
        let usage: usize = read(next());
        let is_hold = self.limiter.command == HOLD.command;
        assert!((16..=if is_hold { 4_000 } else { 1_500 }).contains(&usage), "MEMORY USAGE: {}", shown());
        for _ in self.others().flat_map(|_| ["PEEK", "call"]) {
            let is_wrong_type = next().is_err_and(|error| error.code() == Some("WRONGTYPE"));
            assert!(is_wrong_type, "a call by another algorithm: {}", shown());
        }
        for arguments in [self.first, self.second, self.second] {
            for _ in ["PEEK", "call"] {
                let reply: Reply = read(next());
                reply.assert_sane();
                // Holders have leases of their own.
                let longest = if self.limiter.has_bucket || is_hold { LONGEST } else { arguments.duration };
                assert!(reply.reset <= longest && reply.wait <= longest, "{}", shown());
            }
            let given_back: i64 = read(next());
            let most = if is_hold { MOST_UNITS.cast_signed() / 2 } else { self.units };
            assert!((0..=most).contains(&given_back), "{given_back} were given back: {}", shown());
            let left: i64 = read(next());
            assert!((-2..=LONGEST).contains(&left), "PTTL: {}", shown());
        }
    }
}

#[track_caller]
fn read<T: FromRedisValue>(answer: RedisResult<Value>) -> T {
    let value = answer.unwrap_or_else(|error| panic!("an error: {error}"));
    redis::from_redis_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value:?}"))
}
