//! Invalid arguments: the error says what is wrong and what is allowed, and nothing changes.

use premier_test_server::Server;
use redis::{Cmd, Value};

use crate::tools::call::{HOLD, LIMITERS, Limiter, call, command, error};
use crate::tools::snapshot::snapshot;

const UNITS_FROM_0: &str = "an integer from 0 to 1000000000000";
const UNITS_FROM_1: &str = "an integer from 1 to 1000000000000";
const TIME_FROM_1_MS: &str = "a time from 1ms to 3650d: integers with units, longest first (w, d, h, m, s, ms, us; \
                              1m30s), or whole seconds up to 31622400; FIXED with ALIGNED also takes calendar \
                              months, from 1mo to 120mo";
const OFFSET: &str = "an offset from -18:00 to +18:00, like +02:00, or Z";
const TIME_FROM_0: &str = "a time from 0 to 3650d: integers with units, longest first (w, d, h, m, s, ms, us; \
                           1m30s), or whole seconds up to 31622400";

/// Values that are not an integer from 0 to 10¹².
const INVALID_UNITS: &[&[u8]] = &[
    b"",
    b" ",
    b"-1",
    b"-0",
    b"+1",
    b"01",
    b"00",
    b"1e3",
    b"1.0",
    b"1_000",
    b"1,000",
    b"0x10",
    b" 1",
    b"1 ",
    b"1\n",
    b"1\0",
    b"\x001",
    b"ten",
    b"1s",
    b"\xff",
    b"1\xff",
    "１".as_bytes(),
    "∞".as_bytes(),
    b"1000000000001",
    b"9223372036854775807",
    b"9223372036854775808",
    b"18446744073709551615",
    b"18446744073709551616",
    b"18446744073709551617",
    b"99999999999999999999",
    b"340282366920938463463374607431768211457",
];

/// Values that are not a time from 0 to 3650 days.
const INVALID_TIMES: &[&[u8]] = &[
    b"",
    b" ",
    b"-1",
    b"-1s",
    b"+1",
    b"01",
    b"01s",
    b"00",
    b"1e3",
    b"1.5s",
    b" 1s",
    b"1s ",
    b"1 s",
    b"1s\0",
    b"1\0s",
    b"s",
    b"ms",
    b"d",
    b"forever",
    b"1y",
    b"0mo",
    b"121mo",
    b"1mo1d",
    b"1d1mo",
    b"1MO",
    b"1ns",
    b"1S",
    b"1M",
    b"1MS",
    b"1Ms",
    b"1US",
    b"1H",
    b"1D",
    b"1W",
    b"1ss",
    b"1min",
    b"1h1",
    b"1h 1m",
    b"1h01m",
    b"1m1h",
    b"1h1h",
    b"1s1ms1s",
    b"521w3d1us",
    b"60000000000",
    b"31622401",
    b"1\xff",
    b"\xff",
    "1µs".as_bytes(),
    b"315360001",
    b"315360001s",
    b"315360000001ms",
    b"315360000000001us",
    b"5256001m",
    b"87601h",
    b"3651d",
    b"9223372036854775807",
    b"18446744073709551615d",
    b"18446744073709551616us",
    b"213503982334602d",
    b"99999999999999999999",
];

/// Values that are not an offset from -18 to +18 hours.
const INVALID_OFFSETS: &[&[u8]] = &[
    b"",
    b"02:00",
    b"+2:00",
    b"+02",
    b"+0200",
    b"+02:60",
    b"+02:00:00",
    b"+18:01",
    b"-18:01",
    b"+19:00",
    b"+99:99",
    b" +02:00",
    b"+02:00 ",
    b"+-2:00",
    b"+02:0\0",
    b"UTC",
    b"Europe/Berlin",
    b"ZZ",
    b"\xff",
];

/// A call that is refused, and the error.
struct Refused {
    /// The words after the key.
    words: Vec<Vec<u8>>,
    sentence: String,
}

fn refused(words: &[&[u8]], sentence: impl Into<String>) -> Refused {
    Refused { words: words.iter().map(|word| word.to_vec()).collect(), sentence: sentence.into() }
}

/// Returns every option of the command that has a value, with what is allowed and with values that
/// are not.
fn options(limiter: &Limiter) -> Vec<(&'static str, &'static str, Vec<&'static [u8]>)> {
    let invalid_units = [INVALID_UNITS, &[b"0"]].concat();
    let cost = ("COST", UNITS_FROM_1, invalid_units.clone());
    let keep = ("KEEP", UNITS_FROM_0, INVALID_UNITS.to_vec());
    if limiter.command == HOLD.command {
        vec![("ID", "a string of 1 to 128 bytes", vec![b"", &[b'x'; 129]]), cost, keep]
    } else if limiter.command == "PREMIER.FIXED" {
        vec![cost, keep, ("ZONE", OFFSET, INVALID_OFFSETS.to_vec())]
    } else if limiter.has_bucket {
        vec![cost, keep, ("CAPACITY", UNITS_FROM_1, invalid_units), ("MAXWAIT", TIME_FROM_0, INVALID_TIMES.to_vec())]
    } else {
        vec![cost, keep]
    }
}

/// Returns every option of the command without a value.
fn flags(limiter: &Limiter) -> &'static [&'static str] {
    match limiter.command {
        "PREMIER.FIXED" => &["ALIGNED", "ATMOST", "FORCE"],
        "PREMIER.HOLD" => &[],
        _ => &["ATMOST", "FORCE"],
    }
}

/// Returns all options of the command, as an error lists them.
fn expected_options(limiter: &Limiter) -> &'static str {
    match limiter.command {
        "PREMIER.FIXED" => "ALIGNED, ZONE, COST, ATMOST, KEEP or FORCE",
        "PREMIER.SLIDING" => "COST, ATMOST, KEEP or FORCE",
        "PREMIER.HOLD" => "ID, COST or KEEP",
        _ => "CAPACITY, COST, ATMOST, KEEP, MAXWAIT or FORCE",
    }
}

fn everything_refused(limiter: &Limiter) -> Vec<Refused> {
    let mut all = Vec::new();
    for value in INVALID_UNITS {
        all.push(refused(&[value, b"1m"], format!("quota must be {UNITS_FROM_0}")));
    }
    let too_short: [&[u8]; 5] = [b"0", b"0s", b"0ms", b"0d", b"999us"];
    for value in INVALID_TIMES.iter().chain(&too_short) {
        all.push(refused(&[b"5", value], format!("duration must be {TIME_FROM_1_MS}")));
    }
    for (name, values, wrong) in options(limiter) {
        let sentence = format!("{name} must be {values}");
        for value in wrong {
            all.push(refused(&[b"5", b"1m", name.as_bytes(), value], &sentence));
        }
        // Without its value, in any case and position.
        all.push(refused(&[b"5", b"1m", name.as_bytes()], &sentence));
        all.push(refused(&[b"5", b"1m", name.to_lowercase().as_bytes()], &sentence));
        if name != "COST" {
            all.push(refused(&[b"5", b"1m", b"COST", b"1", name.as_bytes()], &sentence));
        }
        let twice = format!("{name} may be given only once");
        let valid: &[u8] = if name == "ZONE" { b"Z" } else { b"1" };
        for again in [name, &name.to_lowercase()] {
            all.push(refused(&[b"5", b"1m", name.as_bytes(), valid, again.as_bytes(), valid], &twice));
        }
    }

    for name in flags(limiter) {
        let twice = format!("{name} may be given only once");
        all.push(refused(&[b"5", b"1m", name.as_bytes(), b"COST", b"1", name.to_lowercase().as_bytes()], twice));
        // It takes no value: the next word must be an option.
        let sentence = format!("unknown option '1': expected {}", expected_options(limiter));
        all.push(refused(&[b"5", b"1m", name.as_bytes(), b"1"], sentence));
    }

    let expected = expected_options(limiter);
    let mut unknown: Vec<(&[u8], &str)> = vec![
        (b"", ""),
        (b"1", "1"),
        (b"COSTS", "COSTS"),
        (b"COS", "COS"),
        (b"COST ", "COST "),
        (b"COST\0", "COST\\x00"),
        (b"\xff\r\n'", "\\xff\\r\\n\\'"),
        (b"quota", "quota"),
        (b"0123456789abcdef0123456789abcdefgh", "0123456789abcdef0123456789abcdef"),
    ];
    if !limiter.has_bucket {
        unknown.extend([(&b"CAPACITY"[..], "CAPACITY"), (b"capacity", "capacity"), (b"MAXWAIT", "MAXWAIT")]);
    }
    if limiter.command != "PREMIER.FIXED" {
        unknown.extend([(&b"ALIGNED"[..], "ALIGNED"), (b"ZONE", "ZONE")]);
    }
    if limiter.command == HOLD.command {
        unknown.extend([(&b"ATMOST"[..], "ATMOST"), (b"FORCE", "FORCE"), (b"i d", "i d")]);
    }
    for (name, shown) in unknown {
        let sentence = format!("unknown option '{shown}': expected {expected}");
        all.push(refused(&[b"5", b"1m", name], &sentence));
        all.push(refused(&[b"5", b"1m", name, b"1"], &sentence));
        all.push(refused(&[b"5", b"1m", b"COST", b"1", name, b"1"], &sentence));
    }
    if limiter.command != HOLD.command {
        for (words, options) in [
            ([&b"FORCE"[..], b"ATMOST"].as_slice(), "ATMOST and FORCE"),
            (&[b"keep", b"0", b"force"], "KEEP and FORCE"),
            (&[b"FORCE", b"KEEP", b"5"], "KEEP and FORCE"),
            (&[b"FORCE", b"KEEP", b"5", b"ATMOST"], "ATMOST and FORCE"),
        ] {
            all.push(refused(&[&[&b"5"[..], b"1m"], words].concat(), format!("{options} exclude each other")));
        }
    }
    let months = "duration may be in calendar months only for FIXED with ALIGNED";
    all.push(refused(&[b"5", b"1mo"], months));
    all.push(refused(&[b"5", b"120mo", b"COST", b"2"], months));
    if limiter.command == "PREMIER.FIXED" {
        all.push(refused(&[b"5", b"1h", b"ZONE", b"+02:00", b"COST", b"2"], "ZONE may be given only with ALIGNED"));
        all.push(refused(&[b"5", b"1mo", b"ZONE", b"Z"], "ZONE may be given only with ALIGNED"));
    }
    // The error names the first invalid argument.
    all.push(refused(&[b"x", b"y", b"COST", b"z"], format!("quota must be {UNITS_FROM_0}")));
    all.push(refused(&[b"5", b"y", b"COST", b"z"], format!("duration must be {TIME_FROM_1_MS}")));
    all
}

fn on_key(limiter: &Limiter, key: &str, words: &[Vec<u8>]) -> Cmd {
    let mut command = redis::cmd(limiter.command);
    command.arg(key).arg(words);
    command
}

/// The key stays as it was.
#[test]
fn an_error_says_which_argument_is_invalid_and_what_is_allowed() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS.iter().chain([&HOLD]) {
        let id = if limiter.command == HOLD.command { " ID a" } else { "" };
        call(&mut connection, &format!("{} used 5 1h{id}", limiter.command));
        let before = snapshot(&server);
        assert_eq!(before.len(), 1);
        for Refused { words, sentence } in everything_refused(limiter) {
            for key in ["used", "fresh"] {
                let command = on_key(limiter, key, &words);
                let shown = command.get_packed_command();
                assert_eq!(error(&mut connection, &command), format!("ERR {sentence}"), "{}", shown.escape_ascii());
            }
            assert_eq!(snapshot(&server), before, "{} {words:?}", limiter.command);
        }
        let () = redis::cmd("DEL").arg("used").query(&mut connection).expect("DEL");
    }
}

/// PREMIER.ALL refuses it in any of its limits: here in the second.
#[test]
fn peek_and_all_refuse_what_the_limiters_refuse() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS.iter().chain([&HOLD]) {
        let algorithm = limiter.algorithm();
        for Refused { words, sentence } in everything_refused(limiter) {
            let mut peek = redis::cmd("PREMIER.PEEK");
            peek.arg("key").arg(algorithm).arg(&words);
            let mut all = redis::cmd("PREMIER.ALL");
            all.arg(&["first", "FIXED", "5", "1h", "AND", "key", algorithm]).arg(&words);
            let hint = if sentence.starts_with("unknown option") { ", or AND before another limit" } else { "" };
            // Only a preview may cost nothing.
            let preview =
                sentence.replace(&format!("COST must be {UNITS_FROM_1}"), &format!("COST must be {UNITS_FROM_0}"));
            let costs_nothing = words.ends_with(&[b"COST".to_vec(), b"0".to_vec()]);
            for (command, sentence) in [(peek, preview), (all, sentence + hint)].into_iter().skip(costs_nothing.into())
            {
                let shown = command.get_packed_command();
                assert_eq!(error(&mut connection, &command), format!("ERR {sentence}"), "{}", shown.escape_ascii());
            }
        }
    }
    let no_algorithm = "ERR algorithm must be FIXED, SLIDING, TOKEN, LEAKY or HOLD";
    for line in ["PREMIER.PEEK key GCRA 5 1h", "PREMIER.ALL key GCRA 5 1h", "PREMIER.ALL a FIXED 5 1h AND b 5 5 1h"] {
        assert_eq!(error(&mut connection, &command(line)), no_algorithm, "{line}");
    }
    let limits = |count: usize| (0..count).map(|key| format!("{key} FIXED 5 1h")).collect::<Vec<_>>().join(" AND ");
    let line = error(&mut connection, &command(&format!("PREMIER.ALL {}", limits(17))));
    assert_eq!(line, "ERR a call may have at most 16 limits");
    for line in
        ["PREMIER.ALL a FIXED 5 1h AND a TOKEN 5 1h", "PREMIER.ALL b FIXED 5 1h AND a FIXED 5 1h AND b FIXED 5 1h"]
    {
        assert_eq!(error(&mut connection, &command(line)), "ERR a key may be named only once", "{line}");
    }
    let together = error(&mut connection, &command("PREMIER.ALL a FIXED 5 1h AND b FIXED 5 1h ATMOST"));
    assert_eq!(together, "ERR ATMOST cannot be given here: a call is charged whole");
    for value in INVALID_UNITS.iter().chain(&[&b"0"[..]]) {
        let line = error(&mut connection, redis::cmd("PREMIER.REFUND").arg("key").arg(*value));
        assert_eq!(line, format!("ERR n must be {UNITS_FROM_1}"), "{}", value.escape_ascii());
    }
    assert!(snapshot(&server).is_empty());
    let _: Value = command(&format!("PREMIER.ALL {}", limits(16))).query(&mut connection).expect("16 are allowed");
}

#[test]
fn every_command_checks_how_many_arguments_it_has() {
    let server = Server::start();
    let mut connection = server.connection();
    for limiter in LIMITERS.iter().chain([&HOLD]) {
        for arguments in ["", " key", " key 5"] {
            let line = error(&mut connection, &command(&format!("{}{arguments}", limiter.command)));
            // Servers show the name of the command as it was registered or as it was called.
            let expected = format!("ERR wrong number of arguments for '{}' command", limiter.command);
            assert!(line.eq_ignore_ascii_case(&expected), "{line}");
        }
    }
    for line in [
        "PREM",
        "PREM key",
        "PREM key effect more",
        "PREM key effect other effect more",
        "PREMIER.PEEK",
        "PREMIER.PEEK key",
        "PREMIER.PEEK key FIXED 5",
        "PREMIER.REFUND",
        "PREMIER.REFUND key",
        "PREMIER.REFUND key 1 more",
        "PREMIER.RELEASE",
        "PREMIER.RELEASE key",
        "PREMIER.RELEASE key id more",
        "PREMIER.INSPECT",
        "PREMIER.INSPECT key more",
        "PREMIER.ALL",
        "PREMIER.ALL key FIXED 5",
        "PREMIER.ALL key FIXED 5 1h AND",
        "PREMIER.ALL key FIXED 5 AND other FIXED 5 1h",
        "PREMIER.ALL key FIXED 5 1h AND other FIXED 5",
        "PREMIER.ALL key AND AND FIXED 5 1h",
    ] {
        let (name, _) = line.split_once(' ').unwrap_or((line, ""));
        let expected = format!("ERR wrong number of arguments for '{name}' command");
        let answer = error(&mut connection, &command(line));
        assert!(answer.eq_ignore_ascii_case(&expected), "{line}: {answer}");
    }
    assert!(snapshot(&server).is_empty());
}

#[test]
fn arguments_are_accepted_up_to_their_bounds_in_every_unit() {
    let server = Server::start();
    let mut connection = server.connection();
    let durations = [
        ("1", 1_000),
        ("31622400", 31_622_400_000),
        ("1000us", 1),
        ("1001us", 2),
        ("315360000000000us", 315_360_000_000),
        ("1ms", 1),
        ("315360000000ms", 315_360_000_000),
        ("1s", 1_000),
        ("315360000s", 315_360_000_000),
        ("1m", 60_000),
        ("5256000m", 315_360_000_000),
        ("1h", 3_600_000),
        ("87600h", 315_360_000_000),
        ("1d", 86_400_000),
        ("3650d", 315_360_000_000),
        ("521w", 315_100_800_000),
        ("521w3d", 315_360_000_000),
        ("1m30s", 90_000),
        ("1w1d1h1m1s1ms", 694_861_001),
        ("1h0m5s", 3_605_000),
        ("1s1us", 1_001),
    ];
    for limiter in LIMITERS {
        let name = limiter.command;
        for (duration, millis) in durations {
            let () = redis::cmd("DEL").arg(name).query(&mut connection).expect("DEL");
            let reply = call(&mut connection, &format!("{name} {name} 1 {duration}"));
            assert_eq!((reply.limited, reply.limit, reply.reset), (false, 1, millis), "{name} {duration}");
        }
        for values in ["0 1h", "1000000000000 1h COST 1", "1000000000000 1h COST 1000000000000"] {
            call(&mut connection, &format!("{name} {name} {values}"));
        }
        if limiter.has_bucket {
            for options in [
                "CAPACITY 1",
                "CAPACITY 1000000000000",
                "MAXWAIT 0",
                "MAXWAIT 0ms",
                "MAXWAIT 1us",
                "MAXWAIT 3650d",
                "MAXWAIT 1w2h",
                "MAXWAIT 31622400",
            ] {
                call(&mut connection, &format!("{name} {name} 5 1h {options}"));
            }
        }
    }
}

#[test]
fn options_come_in_any_order_and_case() {
    let server = Server::start();
    let mut connection = server.connection();
    let mut fields = |line: &str| {
        let reply = call(&mut connection, line);
        let () = redis::cmd("DEL").arg("key").query(&mut connection).expect("DEL");
        [i64::from(reply.limited), reply.limit, reply.remaining, reply.wait, reply.reset]
    };
    for name in ["PREMIER.FIXED", "premier.sliding"] {
        for option in ["COST 3", "cost 3", "CoSt 3"] {
            assert_eq!(fields(&format!("{name} key 10 1h {option}")), [0, 10, 7, 0, 3_600_000], "{name} {option}");
        }
    }
    for options in ["ALIGNED ZONE +02:00 COST 3", "zone +02:00 cost 3 aligned", "Cost 3 Aligned Zone +02:00"] {
        let [limited, limit, remaining, ..] = fields(&format!("premier.fixed key 10 1mo {options}"));
        assert_eq!([limited, limit, remaining], [0, 10, 7], "{options}");
    }
    for options in ["ID a COST 3 KEEP 2", "KEEP 2 COST 3 ID a", "cost 3 id a keep 2", "Keep 2 Id KEEP cOsT 3"] {
        assert_eq!(fields(&format!("premier.hold key 10 1h {options}")), [0, 10, 7, 0, 3_600_000], "{options}");
    }
    for name in ["PREMIER.TOKEN", "premier.leaky"] {
        for options in [
            "CAPACITY 8 COST 3 MAXWAIT 2h",
            "CAPACITY 8 MAXWAIT 2h COST 3",
            "COST 3 CAPACITY 8 MAXWAIT 2h",
            "cost 3 maxwait 2h capacity 8",
            "MaxWait 2h cApacity 8 Cost 3",
            "maxwait 2h COST 3 capacity 8",
        ] {
            assert_eq!(fields(&format!("{name} key 10 1h {options}")), [0, 8, 5, 0, 1_080_000], "{name} {options}");
        }
    }
}
