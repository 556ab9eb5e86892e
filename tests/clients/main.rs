//! The programs of `examples/clients`, which docs/clients.md shows, keep what that page promises:
//! each with the client of Redis that it is written for, on a server and on a cluster of three
//! masters with a replica each. Prints a table. `make test-clients` runs this.
//!
//! `clients redis-py go-redis` tries only these two. A client that scripts/runtimes cannot get is
//! skipped, unless there is a program `target/clients/NAME/run`, which runs a command in a copy of
//! `examples/clients`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use premier_test_server::{Cluster, Proxy, Server};
use redis::{Connection, Value, cmd};

/// How many requests a user may make in a minute. The programs send this limit.
const QUOTA: u64 = 5;
const LIMIT: [&str; 3] = ["TOKEN", "5", "1m"];

const MASTERS: usize = 3;

/// How much longer a request may take while the server does not answer. The programs wait for
/// 250 ms, some of them once for a connection and once for the reply.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// How long a program and its compiler may take before they count as hanging.
const PATIENCE: Duration = Duration::from_secs(30);
const LONGEST_BUILD: Duration = Duration::from_secs(300);

/// A client of Redis, and the programs that use it. All of them take a user and a cost.
struct Client {
    name: &'static str,
    /// Prints its version.
    version: &'static str,
    /// Compiles the programs.
    build: Option<&'static str>,
    server: &'static str,
    /// The program for clusters, or why there is none.
    cluster: Result<&'static str, &'static str>,
    peek: Peek,
    source: Source,
}

/// Which nodes of a cluster a program sends PREMIER.PEEK to.
#[derive(PartialEq, Eq)]
enum Peek {
    Replicas,
    /// The master of the key and its replica, at random.
    Both,
}

/// Where a client comes from.
#[derive(PartialEq, Eq)]
enum Source {
    /// What scripts/runtimes gets.
    Runtimes,
    /// The registry of its language.
    Registry(&'static str),
}

const CLIENTS: [Client; 12] = [
    Client {
        name: "redis-py",
        version: "python3 -P -c 'import redis; print(redis.__version__)'",
        build: None,
        server: "python3 -B redis-py/server.py",
        cluster: Ok("python3 -B redis-py/cluster.py"),
        peek: Peek::Replicas,
        source: Source::Runtimes,
    },
    Client {
        name: "redis-py-asyncio",
        version: "python3 -P -c 'import redis; print(redis.__version__)'",
        build: None,
        server: "python3 -B redis-py/server_asyncio.py",
        cluster: Err("not tried"),
        peek: Peek::Replicas,
        source: Source::Runtimes,
    },
    Client {
        name: "node-redis",
        version: "node -p 'require(\"/node_modules/redis/package.json\").version'",
        build: None,
        server: "node node-redis/server.mjs",
        cluster: Ok("node node-redis/cluster.mjs"),
        peek: Peek::Both,
        source: Source::Runtimes,
    },
    Client {
        name: "ioredis",
        version: "node -p 'require(\"ioredis/package.json\").version'",
        build: None,
        server: "node ioredis/server.mjs",
        cluster: Ok("node ioredis/cluster.mjs"),
        peek: Peek::Replicas,
        source: Source::Registry("npm"),
    },
    Client {
        name: "go-redis",
        version: "sed -n 's/.*return \"\\(.*\\)\"/\\1/p' $GOPATH/src/github.com/redis/go-redis/version.go",
        build: Some("go build -o /tmp/go-redis/ example/server example/cluster"),
        server: "/tmp/go-redis/server",
        cluster: Ok("/tmp/go-redis/cluster"),
        peek: Peek::Replicas,
        source: Source::Runtimes,
    },
    Client {
        name: "jedis",
        version: "cat version",
        build: Some("javac -d classes jedis/Limiter.java jedis/Server.java jedis/Cluster.java"),
        server: "java Server",
        cluster: Ok("java Cluster"),
        peek: Peek::Replicas,
        source: Source::Registry("Maven"),
    },
    Client {
        name: "lettuce",
        version: "cat version",
        build: Some("javac -d classes lettuce/Limiter.java lettuce/Server.java lettuce/Cluster.java"),
        server: "java Server",
        cluster: Ok("java Cluster"),
        peek: Peek::Replicas,
        source: Source::Registry("Maven"),
    },
    Client {
        name: "redis-rb",
        version: "ruby -r redis -e 'puts Redis::VERSION'",
        build: None,
        server: "ruby redis-rb/server.rb",
        cluster: Ok("ruby redis-rb/cluster.rb"),
        peek: Peek::Replicas,
        source: Source::Runtimes,
    },
    Client {
        name: "phpredis",
        version: "php -r 'echo phpversion(\"redis\");'",
        build: None,
        server: "php phpredis/server.php",
        cluster: Ok("php phpredis/cluster.php"),
        peek: Peek::Replicas,
        source: Source::Runtimes,
    },
    Client {
        name: "predis",
        version: "php -r 'require \"vendor/autoload.php\"; echo Predis\\Client::VERSION;'",
        build: None,
        server: "php predis/server.php",
        cluster: Ok("php predis/cluster.php"),
        peek: Peek::Replicas,
        source: Source::Runtimes,
    },
    Client {
        name: "hiredis",
        version: "sed -n 's/^Version: //p' /usr/lib/*/pkgconfig/hiredis.pc",
        build: Some("gcc -Wall -Wextra -Werror hiredis/server.c -lhiredis -o /tmp/hiredis-server"),
        server: "/tmp/hiredis-server",
        cluster: Err("not supported"),
        peek: Peek::Replicas,
        source: Source::Runtimes,
    },
    Client {
        name: "stackexchange-redis",
        version: "cat version",
        build: Some("dotnet build stackexchange-redis"),
        server: "dotnet run --no-build --project stackexchange-redis --",
        cluster: Ok("dotnet run --no-build --project stackexchange-redis --"),
        peek: Peek::Replicas,
        source: Source::Registry("NuGet"),
    },
];

/// How a command ended.
struct Ended {
    succeeded: bool,
    output: String,
    errors: String,
    time: Duration,
}

impl Ended {
    /// Returns the first line of a program, which is the HTTP response.
    fn response(&self) -> &str {
        self.output.lines().next().unwrap_or_default().trim_end()
    }

    /// Returns all that was printed. PHP prints errors among the output.
    fn printed(&self) -> String {
        format!("{}{}", self.output, self.errors)
    }
}

/// Runs a command of the shell to its end.
fn run(launcher: &Path, command: &str, url: &str, patience: Duration) -> Result<Ended, String> {
    let started = Instant::now();
    let mut child = Command::new(launcher)
        .args(["sh", "-c", command])
        .env("EXAMPLES", repository().join("examples/clients"))
        .env("REDIS_URL", url)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", launcher.display()))?;
    // They print less than a pipe holds.
    while child.try_wait().expect("it is our own").is_none() {
        if started.elapsed() > patience {
            child.kill().expect("it is our own");
            child.wait().expect("it is our own");
            return Err(format!("{command} hangs"));
        }
        sleep(Duration::from_millis(2));
    }
    let time = started.elapsed();
    let ended = child.wait_with_output().expect("it is our own");
    Ok(Ended {
        succeeded: ended.status.success(),
        output: String::from_utf8_lossy(&ended.stdout).into_owned(),
        errors: String::from_utf8_lossy(&ended.stderr).into_owned(),
        time,
    })
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

/// A program, and the server or cluster that it calls.
struct Program<'a> {
    launcher: &'a Path,
    command: &'a str,
    url: String,
}

impl Program<'_> {
    /// Sends a request of a user.
    fn run(&self, user: &str, cost: u64) -> Result<Ended, String> {
        run(self.launcher, &format!("{} {user} {cost}", self.command), &self.url, PATIENCE)
    }

    /// Sends a request, and checks the response.
    fn expect(&self, what: &str, user: &str, cost: u64, expected: &str) -> Result<Ended, String> {
        let ended = self.run(user, cost)?;
        if ended.response() == expected {
            Ok(ended)
        } else {
            Err(format!("{what}: expected {expected}, got\n{}", ended.printed()))
        }
    }

    /// Sends a request of a limited user, and checks that the response says for how long to wait.
    fn expect_limited(&self, user: &str, connection: &mut Connection) -> Result<Ended, String> {
        let longest = seconds_to_wait(connection, user);
        let ended = self.run(user, 1)?;
        let shortest = seconds_to_wait(connection, user);
        match ended.response().strip_prefix("429 Retry-After: ").map(str::parse) {
            Some(Ok(seconds)) if (shortest..=longest).contains(&seconds) => Ok(ended),
            _ => Err(format!("limited: expected 429 and {shortest} to {longest} s, got\n{}", ended.printed())),
        }
    }
}

fn key(user: &str) -> String {
    format!("user:{user}")
}

/// Returns the seconds until a request of a limited user would be admitted, rounded up.
fn seconds_to_wait(connection: &mut Connection, user: &str) -> u64 {
    let [_, _, _, wait, _]: [u64; 5] =
        cmd("PREMIER.PEEK").arg(key(user)).arg(&LIMIT).query(connection).expect("PREMIER.PEEK");
    wait.div_ceil(1_000)
}

/// Charges a user twice the quota, so that even slow programs come while the user is limited.
fn use_up(connection: &mut Connection, user: &str) {
    let mut call = cmd("PREMIER.TOKEN");
    call.arg(key(user)).arg(&LIMIT[1..]).arg("COST").arg(2 * QUOTA).arg("FORCE");
    call.exec(connection).expect("PREMIER.TOKEN");
}

/// Returns how many units of a user are used.
fn used(connection: &mut Connection, user: &str) -> u64 {
    let fields: Option<Vec<Value>> = cmd("PREMIER.INSPECT").arg(key(user)).query(connection).expect("PREMIER.INSPECT");
    match fields.as_deref() {
        None => 0,
        Some([_, _, _, Value::Int(units), ..]) => units.unsigned_abs(),
        Some(other) => panic!("unexpected fields: {other:?}"),
    }
}

/// Checks the responses of a program on a server.
fn check_server(program: &Program, user: &str, server: &mut Server) -> Result<(), String> {
    let mut connection = server.connection();
    let usual = program.expect("admitted", user, 1, "200")?.time;
    use_up(&mut connection, user);
    program.expect_limited(user, &mut connection)?;
    program.expect("more than the limit", user, QUOTA + 1, "429")?;

    let other = format!("{user}-outage");
    Program { url: url(1), ..*program }.expect("nobody listens", &other, 1, "200")?;

    for (replicas, is_outage) in [(1, true), (0, false)] {
        let mut setting = cmd("CONFIG");
        setting.arg("SET").arg("min-replicas-to-write").arg(replicas).exec(&mut connection).expect("CONFIG SET");
        let ended = program.expect("replicas are missing, and then are not", &other, 1, "200")?;
        if ended.printed().contains("NOREPLICAS") != is_outage {
            return Err(format!("NOREPLICAS is not reported as it happens:\n{}", ended.printed()));
        }
    }

    server.suspend();
    let suspended = program.expect("the server hangs", &other, 1, "200");
    server.resume();
    let time = suspended?.time;
    if time > usual + LONGEST_WAIT {
        return Err(format!("a request takes {time:?} while the server hangs"));
    }

    let wrong = format!("{user}-wrong");
    cmd("SET").arg(key(&wrong)).arg("text").exec(&mut connection).expect("SET");
    let ended = program.run(&wrong, 1)?;
    if ended.succeeded || !ended.printed().contains("WRONGTYPE") {
        return Err(format!("WRONGTYPE is ignored:\n{}", ended.printed()));
    }
    Ok(())
}

/// Returns how often a request is charged whose reply is lost by the proxy of this server.
fn charges_of_a_lost_reply(program: &Program, user: &str, proxy: &Proxy, server: &Server) -> Result<u64, String> {
    proxy.lose_next_reply();
    program.expect("the reply is lost", user, 1, "200")?;
    proxy.wait_until_lost();
    Ok(used(&mut server.connection(), user))
}

/// A cluster whose masters are reached through proxies.
struct Proxied {
    cluster: Cluster,
    proxies: Vec<Proxy>,
}

impl Proxied {
    fn start() -> Self {
        // Nodes ping each other twice in this time, and so learn the ports of the proxies.
        let cluster = Cluster::start_with_replicas(MASTERS, &[("cluster-node-timeout", "5000")]);
        let masters = &cluster.nodes()[..MASTERS];
        let proxies: Vec<Proxy> = masters.iter().map(|node| Proxy::start(node.port())).collect();
        for (node, proxy) in proxies.iter().enumerate() {
            cluster.announce_port(node, proxy.port());
        }
        Self { cluster, proxies }
    }

    /// Returns a user whose key this master has.
    fn user(&self, client: &Client, master: usize) -> String {
        let users = (0..).map(|number| format!("{}-{number}", client.name));
        users.into_iter().find(|user| self.cluster.locate(&key(user)).1 == master).expect("there are many users")
    }

    /// Returns how often these nodes have answered PREMIER.PEEK.
    fn peeks(nodes: &[Server]) -> u64 {
        nodes.iter().map(|node| node.calls_of("PREMIER.PEEK")).sum()
    }
}

/// Checks the responses of a program on a cluster, and which nodes it asks.
fn check_cluster(program: &Program, client: &Client, proxied: &Proxied) -> Result<(), String> {
    let (masters, replicas) = proxied.cluster.nodes().split_at(MASTERS);
    let peeks = [masters, replicas].map(Proxied::peeks);
    let users: Vec<String> = (0..MASTERS).map(|master| proxied.user(client, master)).collect();
    for (user, master) in users.iter().zip(masters) {
        let mut connection = master.connection();
        cmd("PREMIER.TOP").arg("RESET").exec(&mut connection).expect("PREMIER.TOP");
        let ended = program.expect("admitted", user, 1, "200")?;
        // A replica may be a moment behind.
        if !ended.output.lines().any(|line| ["remaining 4", "remaining 5"].contains(&line)) {
            return Err(format!("peeked: expected remaining 4, got\n{}", ended.printed()));
        }
        use_up(&mut connection, user);
    }
    let mut output = String::new();
    for (user, master) in users.iter().zip(masters) {
        output = program.expect_limited(user, &mut master.connection())?.output;
    }
    if let Some(user) = users.iter().find(|user| !output.lines().any(|line| line == format!("{} 1", key(user)))) {
        return Err(format!("the keys that are limited most lack {}:\n{output}", key(user)));
    }

    let programs_ran = 2 * MASTERS as u64;
    // Masters were also asked for the seconds to wait, twice for each user.
    let by_masters = Proxied::peeks(masters) - peeks[0] - 2 * MASTERS as u64;
    let by_replicas = Proxied::peeks(replicas) - peeks[1];
    if by_masters + by_replicas != programs_ran || (client.peek == Peek::Replicas && by_masters > 0) {
        return Err(format!("PEEK was answered {by_replicas} times by replicas, {by_masters} times by masters"));
    }
    Ok(())
}

/// Returns what runs the programs of a client, and its version, or why it is skipped.
fn launcher(client: &Client, runtimes: &Path) -> Result<(PathBuf, String), String> {
    let own = repository().join("target/clients").join(client.name).join("run");
    let launcher = match client.source {
        _ if own.exists() => own,
        Source::Runtimes => runtimes.to_owned(),
        Source::Registry(registry) => return Err(format!("neither Debian nor PyPI has it, only {registry}")),
    };
    match run(&launcher, client.version, "", PATIENCE)? {
        // Debian keeps only the newest build of a package, and none of some.
        Ended { output, .. } if output.trim().is_empty() => Err("scripts/runtimes could not get it".to_owned()),
        Ended { output, .. } => Ok((launcher, output.trim().to_owned())),
    }
}

/// Gets the runtimes, and returns what runs a command in them.
fn runtimes() -> Result<PathBuf, String> {
    let mut script = Command::new(repository().join("scripts/runtimes"));
    let printed = script.stderr(Stdio::inherit()).output().map_err(|error| error.to_string())?;
    if !printed.status.success() {
        return Err(printed.status.to_string());
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&printed.stdout).trim()))
}

/// A row of the table.
struct Row {
    client: &'static str,
    cluster: &'static str,
    /// How often a request is charged whose reply is lost, on a server and on a cluster.
    charges: String,
}

/// Tries the programs of a client.
fn check(launcher: &Path, client: &Client, server: &mut Server, proxied: &Proxied) -> Result<Row, String> {
    if let Some(build) = client.build {
        let built = run(launcher, build, "", LONGEST_BUILD)?;
        if !built.succeeded {
            return Err(format!("{build} fails:\n{}", built.printed()));
        }
    }
    let lost = format!("{}-lost", client.name);
    check_server(&Program { launcher, command: client.server, url: url(server.port()) }, client.name, server)?;
    let proxy = Proxy::start(server.port());
    let program = Program { launcher, command: client.server, url: url(proxy.port()) };
    let mut charges = vec![charges_of_a_lost_reply(&program, &lost, &proxy, server)?];
    if let Ok(command) = client.cluster {
        let program = Program { launcher, command, url: url(proxied.proxies[0].port()) };
        check_cluster(&program, client, proxied)?;
        let (_, node) = proxied.cluster.locate(&key(&lost));
        let master = &proxied.cluster.nodes()[node];
        charges.push(charges_of_a_lost_reply(&program, &lost, &proxied.proxies[node], master)?);
    }
    if charges.iter().any(|charges| *charges != 1) {
        return Err(format!("a request whose reply is lost is charged {charges:?} times"));
    }
    Ok(Row {
        client: client.name,
        cluster: client.cluster.map_or_else(|reason| reason, |_| "passed"),
        charges: charges.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
    })
}

fn main() -> ExitCode {
    let names: Vec<String> = env::args().skip(1).collect();
    if let Some(unknown) = names.iter().find(|name| !CLIENTS.iter().any(|client| client.name == **name)) {
        eprintln!("unknown client {unknown}: expected one of {}", CLIENTS.map(|client| client.name).join(" "));
        return ExitCode::FAILURE;
    }
    let runtimes = match runtimes() {
        Ok(launcher) => launcher,
        Err(error) => {
            eprintln!("scripts/runtimes fails: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut server = Server::start();
    let proxied = Proxied::start();
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    println!("{:20} {:10} {:8} {:18} lost reply (charges)", "client", "version", "server", "cluster");
    for client in CLIENTS.iter().filter(|client| names.is_empty() || names.iter().any(|name| name == client.name)) {
        let (launcher, version) = match launcher(client, &runtimes) {
            Ok(found) => found,
            Err(reason) => {
                println!("{:20} skipped: {reason}", client.name);
                skipped += 1;
                continue;
            }
        };
        match check(&launcher, client, &mut server, &proxied) {
            Ok(Row { client, cluster, charges }) => {
                println!("{client:20} {version:10} {:8} {cluster:18} {charges}", "passed");
                passed += 1;
            }
            Err(error) => {
                println!("{:20} FAILED: {error}", client.name);
                failed += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
