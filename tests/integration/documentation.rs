//! The documentation is true: its examples give the printed replies, and its tables match the code.

use std::fs;
use std::path::Path;

use premier_algorithms::{
    ALGORITHM, ALIGNED, AT_MOST, Argument, CAPACITY, COST, DURATION, FORCE, ID, KEEP, MAX_WAIT, QUOTA, UNITS, ZONE,
};
use premier_test_server::Server;
use redis::{Connection, Value};

/// How much shorter the times in a reply may be than in an example, as time passes between the
/// calls.
const MAX_MILLIS_ELAPSED: i64 = 5_000;

/// The positions of the times in the reply to a limit.
const TIMES: [usize; 2] = [3, 4];

/// The positions in the reply of PREMIER.INSPECT of what falls as time passes, and of the time
/// until the key expires.
const USED: usize = 3;
const RESETS_IN: usize = 5;

/// How a number in a reply may differ from that in an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Precision {
    Exact,
    /// It falls as time passes.
    Falling,
    /// It falls as time passes, and keys expire at whole milliseconds, up to one later.
    Expiring,
}

/// A value in a reply. They come in the order in which redis-cli prints them.
#[derive(Debug, PartialEq, Eq)]
enum Field {
    Integer {
        value: i64,
        precision: Precision,
    },
    /// As redis-cli prints it.
    Text(String),
}

fn fields(precision: Precision, reply: &Value) -> Vec<Field> {
    match reply {
        Value::Int(value) => vec![Field::Integer { value: *value, precision }],
        Value::BulkString(bytes) => vec![Field::Text(format!("\"{}\"", bytes.escape_ascii()))],
        Value::Nil => vec![Field::Text("(nil)".to_owned())],
        Value::Array(items) => {
            let is_inspected = matches!(items.first(), Some(Value::BulkString(name)) if name == b"algorithm");
            let precision = |index| match (is_inspected, index) {
                (true, RESETS_IN) => Precision::Expiring,
                (true, USED) => Precision::Falling,
                (false, index) if TIMES.contains(&index) => Precision::Falling,
                _ => Precision::Exact,
            };
            items.iter().enumerate().flat_map(|(index, item)| fields(precision(index), item)).collect()
        }
        other => panic!("no example has such a reply: {other:?}"),
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("the file is there")
}

/// A command, and the reply as redis-cli prints it.
struct Example {
    command: String,
    reply: Vec<String>,
}

fn examples(page: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let blocks = page.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("redis\n"));
    for line in blocks.flat_map(str::lines) {
        let command = line.strip_prefix("127.0.0.1:6379> ").or_else(|| line.strip_prefix("> "));
        match (command, examples.last_mut()) {
            (Some(command), _) => examples.push(Example { command: command.to_owned(), reply: Vec::new() }),
            (None, Some(example)) => example.reply.push(without_comment(line).to_owned()),
            (None, None) => panic!("a reply without a command: {line}"),
        }
    }
    examples
}

/// Returns a line as redis-cli prints it, without the explanation that the page adds after a `#`.
fn without_comment(line: &str) -> &str {
    line.split_once("  #").map_or(line, |(printed, _)| printed.trim_end())
}

fn run(connection: &mut Connection, command: &str) -> Result<Value, redis::RedisError> {
    let mut words = command.split(' ');
    redis::cmd(words.next().expect("a command has a name")).arg(words.collect::<Vec<_>>()).query(connection)
}

fn integer(line: &str) -> i64 {
    let (_, number) = line.rsplit_once("(integer) ").expect("a field of a reply");
    number.parse().expect("an integer")
}

#[test]
fn the_example_of_the_readme_gives_the_printed_reply() {
    run_examples("README.md", 1);
}

#[test]
fn every_example_of_the_reference_gives_the_printed_reply() {
    run_examples("docs/commands.md", 55);
}

#[test]
fn every_recipe_gives_the_printed_reply() {
    run_examples("docs/recipes.md", 20);
}

#[test]
fn every_example_on_redis_cell_gives_the_printed_reply() {
    run_examples("docs/migrating-from-redis-cell.md", 4);
}

fn run_examples(page: &str, at_least: usize) {
    let server = Server::builder().module_arguments("cell-compat yes").start();
    let mut connection = server.connection();
    let examples = examples(&read(page));
    assert!(examples.len() >= at_least, "{} examples were found", examples.len());

    for Example { command, reply } in examples {
        match run(&mut connection, &command) {
            Err(error) => {
                let printed = reply[0].strip_prefix("(error) ").expect("an error is expected");
                let actual = format!("{} {}", error.code().unwrap_or_default(), error.detail().unwrap_or_default());
                assert_eq!(actual, printed, "{command}");
            }
            Ok(Value::Okay) => assert_eq!(reply, ["OK"], "{command}"),
            Ok(value) => {
                let fields = fields(Precision::Exact, &value);
                assert_eq!(fields.len(), reply.len(), "{command}: {fields:?}");
                for (field, line) in fields.iter().zip(reply) {
                    match field {
                        Field::Integer { value, precision } => {
                            let printed = integer(&line);
                            let (less, more) = match precision {
                                Precision::Falling if printed > 0 => (MAX_MILLIS_ELAPSED, 0),
                                Precision::Expiring => (MAX_MILLIS_ELAPSED, 1),
                                _ => (0, 0),
                            };
                            assert!(
                                (printed - less..=printed + more).contains(value),
                                "{command}: {fields:?}, expected {line}"
                            );
                        }
                        Field::Text(text) => {
                            assert!(line.ends_with(text.as_str()), "{command}: {fields:?}, expected {line}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn the_reference_describes_each_argument_as_the_parser_does() {
    let page = read("docs/commands.md");
    let arguments: [&Argument; 13] = [
        &QUOTA, &DURATION, &ALIGNED, &ZONE, &CAPACITY, &ID, &COST, &AT_MOST, &KEEP, &MAX_WAIT, &FORCE, &ALGORITHM,
        &UNITS,
    ];
    for argument in arguments {
        let row = format!("| `{}` | {} | {} |", argument.name, argument.summary, argument.allowed);
        assert!(page.contains(&row), "docs/commands.md lacks: {row}");
    }
}

/// COMMAND DOCS says what such an argument means, and then which values are allowed.
#[test]
fn the_reference_describes_the_arguments_of_single_commands() {
    let server = Server::builder().module_arguments("cell-compat yes").start();
    let mut connection = server.connection();
    let page = read("docs/commands.md");
    for (command, expected) in [("CL.THROTTLE", 4), ("PREMIER.TOP", 1)] {
        let docs: Value = redis::cmd("COMMAND").arg("DOCS").arg(command).query(&mut connection).expect("COMMAND DOCS");
        let integers = integers(&pairs(&docs)[0].1);
        assert_eq!(integers.len(), expected, "{command}: {integers:?}");
        for (name, summary) in integers {
            let (meaning, allowed) = summary.split_once(": ").expect("the meaning, then the allowed values");
            let row = format!("| `{name}` | {meaning} | {allowed} |");
            assert!(page.contains(&row), "docs/commands.md lacks: {row}");
        }
    }
}

/// Returns the names and summaries of all integer arguments in a reply of COMMAND DOCS, at any
/// depth.
fn integers(docs: &Value) -> Vec<(String, String)> {
    let fields = pairs(docs);
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value);
    if field("type").is_some_and(|kind| string(kind) == "integer") {
        return vec![(string(field("name").expect("a name")), string(field("summary").expect("a summary")))];
    }
    match field("arguments") {
        Some(Value::Array(arguments)) => arguments.iter().flat_map(integers).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn the_reference_has_the_syntax_of_command_docs() {
    let server = Server::builder().module_arguments("cell-compat yes").start();
    let mut connection = server.connection();
    let page = read("docs/commands.md");
    let names = [
        "PREMIER.FIXED",
        "PREMIER.SLIDING",
        "PREMIER.TOKEN",
        "PREMIER.LEAKY",
        "PREMIER.HOLD",
        "PREMIER.RELEASE",
        "PREMIER.ALL",
        "PREMIER.PEEK",
        "PREMIER.REFUND",
        "PREMIER.INSPECT",
        "PREMIER.TOP",
        "CL.THROTTLE",
    ];
    for name in names {
        let docs: Value = redis::cmd("COMMAND").arg("DOCS").arg(name).query(&mut connection).expect("COMMAND DOCS");
        let syntax = format!("    {}\n", syntax(&docs));
        assert!(page.contains(&syntax), "docs/commands.md lacks: {syntax}");
    }
}

/// Returns a command and its arguments as the hints of redis-cli show them.
fn syntax(docs: &Value) -> String {
    let [(name, docs)] = &pairs(docs)[..] else { panic!("one command: {docs:?}") };
    let (_, arguments) = pairs(docs).into_iter().find(|(field, _)| field == "arguments").expect("arguments");
    format!("{} {}", name.to_uppercase(), hints(&arguments, " "))
}

fn hints(arguments: &Value, separator: &str) -> String {
    let Value::Array(arguments) = arguments else { panic!("a list: {arguments:?}") };
    let hints = arguments.iter().map(|argument| {
        let fields = pairs(argument);
        let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value);
        let text = |name: &str| field(name).map(string);
        let name = text("name").expect("an argument has a name");
        let value = match text("type").expect("an argument has a type").as_str() {
            "pure-token" => String::new(),
            "oneof" => hints(field("arguments").expect("there are choices"), " | "),
            "block" => hints(field("arguments").expect("a block has arguments"), " "),
            _ => name,
        };
        let hint = text("token").map_or(value.clone(), |token| format!("{token} {value}").trim_end().to_owned());
        let flags: Vec<String> =
            field("flags").map_or(Vec::new(), |flags| redis::from_redis_value(flags.clone()).expect("a list of words"));
        let has = |flag: &str| flags.iter().any(|other| other == flag);
        let hint = if has("multiple_token") { format!("{hint} …") } else { hint };
        if has("optional") { format!("[{hint}]") } else { hint }
    });
    hints.collect::<Vec<_>>().join(separator)
}

/// Returns the names and values of a map in RESP2.
fn pairs(value: &Value) -> Vec<(String, Value)> {
    let Value::Array(items) = value else { panic!("a map: {value:?}") };
    items.chunks(2).map(|pair| (string(&pair[0]), pair[1].clone())).collect()
}

fn string(value: &Value) -> String {
    redis::from_redis_value(value.clone()).expect("a string")
}

/// Returns the ACL commands on the page on installing.
fn acl_rules() -> Vec<String> {
    let page = read("docs/install.md");
    let blocks = page.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("acl\n"));
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

#[test]
fn the_acl_rules_allow_limits_and_no_more() {
    let server = Server::start();
    let mut connection = server.connection();
    let rules = acl_rules();
    let [by_category, by_name, almost_all, of_clusters] = &rules[..] else { panic!("four rules: {rules:?}") };
    let may = |connection: &mut Connection, call: &str| {
        let call = format!("ACL DRYRUN app {call}");
        matches!(run(connection, &call), Ok(Value::SimpleString(_) | Value::Okay))
    };
    let limits = [
        "FIXED app:a 5 1h",
        "SLIDING app:a 5 1h",
        "TOKEN app:a 5 1h",
        "LEAKY app:a 5 1h",
        "HOLD app:a 5 1h ID x",
        "RELEASE app:a x",
        "PEEK app:a TOKEN 5 1h",
        "REFUND app:a 1",
        "ALL app:a TOKEN 5 1h AND app:b FIXED 5 1h",
        "INSPECT app:a",
    ];
    let has_category = run(&mut connection, "ACL CAT premier").is_ok();
    for rule in [by_category, by_name, almost_all] {
        if rule == by_category && !has_category {
            continue;
        }
        for line in ["ACL DELUSER app", rule] {
            run(&mut connection, line).expect("the server accepts the rule");
        }
        for limit in limits {
            assert!(may(&mut connection, &format!("PREMIER.{limit}")), "{rule}: {limit}");
            let of_others = limit.replace("app:a", "other:a");
            assert!(!may(&mut connection, &format!("PREMIER.{of_others}")), "{rule}: {of_others}");
        }
        for call in ["PING", "HELLO 3", "CLIENT SETINFO lib-name x", "SELECT 0", "COMMAND", "READONLY", "ASKING"] {
            assert!(may(&mut connection, call) || call.contains("SETINFO"), "{rule}: {call}");
        }
        for call in ["PREM app:a x", "PREMIER.TOP", "CONFIG SET maxmemory 1", "FLUSHALL", "KEYS *", "CLIENT KILL x"] {
            assert!(!may(&mut connection, call), "{rule}: {call}");
        }
        assert_eq!(may(&mut connection, "SET app:a 1"), rule == almost_all, "{rule}");
        run(&mut connection, of_clusters).expect("the server accepts the rule");
        assert!(may(&mut connection, "CLUSTER SLOTS"), "{rule}");
        assert!(!may(&mut connection, "CLUSTER FORGET x"), "{rule}");
    }
}

#[test]
fn the_github_workflow_runs_what_ci_runs() {
    let (ci, workflow) = (read(".ci/run"), read(".github/workflows/ci.yml"));
    let steps = ci.split('"').filter_map(|step| step.strip_prefix("make "));
    let is_target = |word: &&str| word.starts_with(|first: char| first.is_ascii_lowercase());
    let targets: Vec<&str> = steps.flat_map(|words| words.split(' ').filter(is_target)).collect();
    assert!(!targets.is_empty());
    for target in targets {
        assert!(workflow.contains(&format!("- {target}\n")), "the workflow lacks make {target}");
    }
}
