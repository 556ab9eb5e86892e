//! The typed commands, on each kind of connection.

use std::collections::HashMap;
use std::time::Duration;

use premier_client::{
    AnyLimit, AsyncPremierCommands, CellDecision, Decision, JointDecision, Limit, LimitedKey, MemoryBackend,
    PremierCommands, PremierPipelineCommands, RetryAfter,
};
use premier_test_server::{Cluster, Server};
use redis::cluster::{ClusterClient, cluster_pipe};
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use redis::{Client, ErrorKind, ServerErrorKind};

use crate::stores::limits;

const HOUR: Duration = Duration::from_secs(60 * 60);

fn sync_commands(connection: &mut impl PremierCommands, key: &str) {
    let limited = |decision: Decision| (decision.is_admitted(), decision.limit(), decision.remaining());
    let fixed = connection.premier_fixed(format!("{key}:fixed"), Limit::fixed_window(5, HOUR).cost(2));
    assert_eq!(fixed.map(limited), Ok((true, 5, 3)));
    let sliding = connection.premier_sliding(format!("{key}:sliding"), Limit::sliding_window(5, HOUR));
    assert_eq!(sliding.map(limited), Ok((true, 5, 4)));
    let token = connection.premier_token(format!("{key}:token"), Limit::token_bucket(5, HOUR).capacity(7).cost(7));
    assert_eq!(token.map(limited), Ok((true, 7, 0)));
    // Admitted on borrowed tokens, with a wait.
    let lends = Limit::token_bucket(5, HOUR).capacity(7).max_wait(HOUR);
    let borrowed = connection.premier_token(format!("{key}:token"), lends).expect("the bucket lends");
    assert!(borrowed.wait().is_some_and(|wait| wait > HOUR / 6 && wait <= HOUR / 5), "{borrowed:?}");
    let leaky = Limit::leaky_bucket(5, HOUR).capacity(2).max_wait(Duration::from_micros(1_500));
    assert_eq!(connection.premier_leaky(format!("{key}:leaky"), leaky).map(limited), Ok((true, 2, 0)));
    let second = connection.premier_leaky(format!("{key}:leaky"), leaky).expect("the server answers");
    assert!(!second.is_admitted(), "its turn comes after more than 1.5 ms");
    let forced = connection.premier_sliding(format!("{key}:sliding"), Limit::sliding_window(5, HOUR).cost(9).forced());
    assert_eq!(forced.map(limited), Ok((true, 5, 0)));
    let aligned = Limit::fixed_window(5, 24 * HOUR).aligned().cost(2).forced();
    assert_eq!(connection.premier_fixed(format!("{key}:aligned"), aligned).map(limited), Ok((true, 5, 3)));
    let peeked = connection.premier_peek(format!("{key}:fixed"), Limit::fixed_window(5, HOUR).cost(3));
    assert_eq!(peeked.map(limited), Ok((true, 5, 0)));
    for limit in limits(5, HOUR) {
        let peeked = connection.premier_peek(format!("{key}:none"), limit);
        assert_eq!(peeked.map(limited), Ok((true, 5, 4)), "{limit:?}");
    }
    assert_eq!(connection.premier_refund(format!("{key}:fixed"), 1), Ok(1));
    assert_eq!(connection.premier_refund(format!("{key}:none"), 1), Ok(0));
    // All in one slot, as a cluster needs.
    let together = limits(3, HOUR).map(|limit| (format!("{{{key}}}:{}", limit.algorithm().name()), limit));
    let all = connection.premier_all(&together).expect("the server answers");
    assert_eq!((limited(all.decision()), all.binding(), all.each().len()), ((true, 3, 2), 0, 4));
    let blocked = connection.premier_fixed("blocked", Limit::fixed_window(0, HOUR)).expect("the server answers");
    assert_eq!(blocked.retry_after(), Some(RetryAfter::Never));
}

async fn async_commands(connection: &mut impl AsyncPremierCommands, key: &str) {
    let remaining = |decision: Decision| decision.remaining();
    let fixed = connection.premier_fixed(format!("{key}:fixed"), Limit::fixed_window(5, HOUR)).await;
    assert_eq!(fixed.map(remaining), Ok(4));
    let sliding = connection.premier_sliding(format!("{key}:sliding"), Limit::sliding_window(6, HOUR)).await;
    assert_eq!(sliding.map(remaining), Ok(5));
    let token = connection.premier_token(format!("{key}:token"), Limit::token_bucket(7, HOUR)).await;
    assert_eq!(token.map(remaining), Ok(6));
    let leaky = connection.premier_leaky(format!("{key}:leaky"), Limit::leaky_bucket(8, HOUR)).await;
    assert_eq!(leaky.map(remaining), Ok(7));
    let peeked = connection.premier_peek(format!("{key}:leaky"), Limit::leaky_bucket(8, HOUR)).await;
    assert_eq!(peeked.map(remaining), Ok(6));
    assert_eq!(connection.premier_refund(format!("{key}:leaky"), 5).await, Ok(1));
    let together = limits(3, HOUR).map(|limit| (format!("{{{key}}}:{}", limit.algorithm().name()), limit));
    let all = connection.premier_all(&together).await.expect("the server answers");
    assert_eq!((remaining(all.decision()), all.binding(), all.each().len()), (2, 0, 4));
}

const MINUTE: Duration = Duration::from_secs(60);

/// Bytes that are no text in any encoding.
const BINARY: &[u8] = b"\0\xFF\r\n";

fn client(server: &Server, protocol: &str) -> Client {
    Client::open(format!("redis://127.0.0.1:{}/?protocol={protocol}", server.port())).expect("a valid address")
}

fn key_and_count(limited: &LimitedKey) -> (&[u8], u64) {
    (limited.key(), limited.count())
}

/// Whether the call is admitted, the limit, what remains, and the retry-after and reset in minutes,
/// as seconds may pass during the test.
type CellFields = (bool, u64, u64, Option<u64>, u64);

fn fields(decision: CellDecision) -> CellFields {
    let minutes = |time: Duration| time.as_secs().div_ceil(60);
    let retry_after = decision.retry_after().map(minutes);
    (decision.is_admitted(), decision.limit(), decision.remaining(), retry_after, minutes(decision.reset_after()))
}

/// The quantities of calls in a row by a limit of three units, one an hour, and the answers.
const CELL: [(u64, CellFields); 5] = [
    (1, (true, 3, 2, None, 60)),
    (0, (true, 3, 2, None, 60)),
    (2, (true, 3, 0, None, 180)),
    (1, (false, 3, 0, Some(60), 180)),
    (4, (false, 3, 0, None, 180)),
];

#[test]
fn sync_connections_list_the_keys_limited_most() {
    let server = Server::start();
    for protocol in ["resp2", "resp3"] {
        let mut connection = client(&server, protocol).get_connection().expect("the server answers");
        assert_eq!(connection.premier_top(None), Ok(Vec::new()));
        for key in [BINARY, b"key", BINARY] {
            let limited = connection.premier_fixed(key, Limit::fixed_window(0, HOUR)).expect("the server answers");
            assert!(!limited.is_admitted());
        }
        let top = connection.premier_top(None).expect("the server answers");
        assert_eq!(top.iter().map(key_and_count).collect::<Vec<_>>(), [(BINARY, 2), (b"key", 1)]);
        let first = connection.premier_top(Some(1)).expect("the server answers");
        assert_eq!(first, top[..1]);
        assert_eq!(connection.premier_top_reset(), Ok(()));
        assert_eq!(connection.premier_top(Some(256)), Ok(Vec::new()));
    }
}

#[tokio::test]
async fn async_connections_list_the_keys_limited_most() {
    let server = Server::start();
    for protocol in ["resp2", "resp3"] {
        let connection = client(&server, protocol).get_multiplexed_async_connection().await;
        let mut connection = connection.expect("the server answers");
        assert_eq!(connection.premier_top(None).await, Ok(Vec::new()));
        for key in [BINARY, b"key", BINARY] {
            let limited = connection.premier_fixed(key, Limit::fixed_window(0, HOUR)).await;
            assert!(!limited.expect("the server answers").is_admitted());
        }
        let top = connection.premier_top(None).await.expect("the server answers");
        assert_eq!(top.iter().map(key_and_count).collect::<Vec<_>>(), [(BINARY, 2), (b"key", 1)]);
        let first = connection.premier_top(Some(1)).await.expect("the server answers");
        assert_eq!(first, top[..1]);
        assert_eq!(connection.premier_top_reset().await, Ok(()));
        assert_eq!(connection.premier_top(Some(256)).await, Ok(Vec::new()));
    }
}

#[test]
fn sync_connections_call_cl_throttle() {
    let server = Server::builder().module_arguments("cell-compat yes").start();
    for protocol in ["resp2", "resp3"] {
        let mut connection = client(&server, protocol).get_connection().expect("the server answers");
        let key = [BINARY, protocol.as_bytes()].concat();
        for (quantity, expected) in CELL {
            let decision = connection.cl_throttle(key.as_slice(), 2, 1, HOUR, quantity);
            assert_eq!(decision.map(fields), Ok(expected));
        }
        let kind = redis::cmd("TYPE").arg(key).query::<String>(&mut connection);
        assert_eq!(kind.as_deref(), Ok("premtoken"));
    }
}

#[tokio::test]
async fn async_connections_call_cl_throttle() {
    let server = Server::builder().module_arguments("cell-compat yes").start();
    for protocol in ["resp2", "resp3"] {
        let connection = client(&server, protocol).get_multiplexed_async_connection().await;
        let mut connection = connection.expect("the server answers");
        let key = [BINARY, protocol.as_bytes()].concat();
        for (quantity, expected) in CELL {
            let decision = connection.cl_throttle(key.as_slice(), 2, 1, HOUR, quantity).await;
            assert_eq!(decision.map(fields), Ok(expected));
        }
    }
}

/// redis-cell knows no shorter unit.
#[test]
fn cl_throttle_rounds_its_period_up_to_seconds() {
    let server = Server::builder().module_arguments("cell-compat yes").start();
    let connection = &mut server.connection();
    let more_than_a_second = Duration::from_secs(1) + Duration::from_nanos(1);
    for (period, secs) in [(MINUTE, 60), (more_than_a_second, 2), (Duration::from_nanos(1), 1)] {
        let decision = connection.cl_throttle(format!("{secs}"), 0, 1, period, 1).expect("the server answers");
        assert_eq!(decision.reset_after(), Duration::from_secs(secs));
    }
}

#[tokio::test]
async fn cl_throttle_is_unknown_without_cell_compat() {
    let server = Server::start();
    let mut connection = server.connection();
    let sync_error = connection.cl_throttle("key", 15, 30, MINUTE, 1).expect_err("it is off");
    let mut connection = client(&server, "resp3").get_multiplexed_async_connection().await.expect("it answers");
    let async_error = connection.cl_throttle("key", 15, 30, MINUTE, 1).await.expect_err("it is off");
    for error in [sync_error, async_error] {
        assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::ResponseError));
        assert!(error.detail().is_some_and(|detail| detail.starts_with("unknown command")), "{error}");
    }
}

#[test]
fn sync_connections_call_all_commands() {
    let server = Server::start();
    for protocol in ["resp2", "resp3"] {
        let client = Client::open(format!("redis://127.0.0.1:{}/?protocol={protocol}", server.port()));
        let mut connection = client.and_then(|client| client.get_connection()).expect("the server answers");
        sync_commands(&mut connection, protocol);
        for (algorithm, state) in
            [("fixed", "premfixed"), ("sliding", "premslide"), ("token", "premtoken"), ("leaky", "premleaky")]
        {
            let kind = redis::cmd("TYPE").arg(format!("{protocol}:{algorithm}")).query::<String>(&mut connection);
            assert_eq!(kind.as_deref(), Ok(state), "of the other algorithm's command");
        }
    }
}

#[tokio::test]
async fn async_connections_call_all_commands() {
    let server = Server::start();
    for protocol in ["resp2", "resp3"] {
        let client = Client::open(format!("redis://127.0.0.1:{}/?protocol={protocol}", server.port()));
        let client = client.expect("a valid address");
        let mut multiplexed = client.get_multiplexed_async_connection().await.expect("the server answers");
        async_commands(&mut multiplexed, &format!("{protocol}:multiplexed")).await;
        let mut manager = client.get_connection_manager().await.expect("the server answers");
        async_commands(&mut manager, &format!("{protocol}:manager")).await;
    }
}

#[tokio::test]
async fn cluster_connections_call_all_commands() {
    let cluster = Cluster::start(3);
    let client = ClusterClient::new(cluster.urls()).expect("valid addresses");
    let mut connection = client.get_async_connection().await.expect("the cluster answers");
    async_commands(&mut connection, "async").await;
    let sync = tokio::task::spawn_blocking(move || {
        sync_commands(&mut client.get_connection().expect("the cluster answers"), "sync");
    });
    sync.await.expect("it does not panic");
}

#[tokio::test]
async fn pipelines_decide_by_each_algorithm() {
    let server = Server::start();
    let client = Client::open(("127.0.0.1", server.port())).expect("a valid address");
    let mut pipeline = redis::pipe();
    pipeline
        .atomic()
        .premier_fixed("a", Limit::fixed_window(1, HOUR))
        .premier_sliding("b", Limit::sliding_window(2, HOUR))
        .set("c", 1)
        .ignore()
        .premier_token("d", Limit::token_bucket(3, HOUR))
        .premier_leaky("e", Limit::leaky_bucket(4, HOUR));
    let expected = [(true, 0), (true, 1), (true, 2), (true, 3)];
    let read = |decisions: [Decision; 4]| decisions.map(|decision| (decision.is_admitted(), decision.remaining()));
    let mut connection = client.get_connection().expect("the server answers");
    assert_eq!(pipeline.query(&mut connection).map(read), Ok(expected));

    let again = [(false, 0), (true, 0), (true, 1), (true, 2)];
    let mut connection = client.get_multiplexed_async_connection().await.expect("the server answers");
    assert_eq!(pipeline.query_async(&mut connection).await.map(read), Ok(again));
}

#[test]
fn pipelines_answer_as_single_commands_do() {
    let server = Server::start();
    let limit: AnyLimit = Limit::sliding_window(4, HOUR).into();
    let answers = redis::pipe()
        .premier_all(&[("a", limit), ("b", limit.try_cost(3).expect("a valid cost"))])
        .premier_refund("b", 2)
        .premier_peek("b", limit)
        .query(&mut server.connection());
    let (all, refunded, peeked): (JointDecision, u64, Decision) = answers.expect("the server answers");
    assert_eq!((all.binding(), all.decision().remaining(), all.each()[0].remaining()), (1, 1, 3));
    assert_eq!((refunded, peeked.remaining()), (2, 2));
}

#[test]
fn pipelines_list_limited_keys_and_call_cl_throttle() {
    let server = Server::builder().module_arguments("cell-compat yes").start();
    let answers = redis::pipe()
        .cl_throttle(BINARY, 0, 1, MINUTE, 1)
        .cl_throttle(BINARY, 0, 1, MINUTE, 1)
        .premier_top(Some(1))
        .premier_top_reset()
        .premier_top(None)
        .query(&mut server.connection());
    let (first, second, top, (), reset): (_, _, Vec<_>, _, Vec<LimitedKey>) = answers.expect("the server answers");
    assert_eq!(fields(first), (true, 1, 0, None, 1));
    assert!(!fields(second).0);
    assert_eq!(top.iter().map(key_and_count).collect::<Vec<_>>(), [(BINARY, 1)]);
    assert_eq!(reset, []);
}

#[tokio::test]
async fn each_node_of_a_cluster_lists_its_own_limited_keys() {
    let cluster = Cluster::start_with(3, &[("premier.cell-compat", "yes")]);
    let client = ClusterClient::new(cluster.urls()).expect("valid addresses");
    let mut connection = client.get_async_connection().await.expect("the cluster answers");
    for user in 0..20 {
        let decision = connection.cl_throttle(format!("user:{user}"), 0, 1, MINUTE, 2).await;
        assert!(!decision.expect("the cluster answers").is_admitted());
    }
    let primaries = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
    let reply = connection.route_command(redis::cmd("PREMIER.TOP"), primaries.clone()).await;
    let by_address = redis::from_redis_value(reply.expect("each answers"));
    let by_address: HashMap<String, Vec<LimitedKey>> = by_address.expect("keys by address");
    assert_eq!((by_address.len(), by_address.values().map(Vec::len).sum::<usize>()), (3, 20));

    // With a count the same node replies each time.
    let of_one = connection.premier_top(Some(20)).await.expect("a node answers");
    assert!(by_address.values().any(|of_node| *of_node == of_one), "{of_one:?} of {by_address:?}");
    for _ in 0..5 {
        assert_eq!(connection.premier_top(Some(20)).await.as_ref(), Ok(&of_one));
    }
    // Without a count any node replies.
    let of_any = connection.premier_top(None).await.expect("a node answers");
    assert!(by_address.values().any(|of_node| *of_node == of_any), "{of_any:?} of {by_address:?}");

    let sync = tokio::task::spawn_blocking(move || {
        let mut connection = client.get_connection().expect("the cluster answers");
        assert_eq!(connection.premier_top(Some(20)), Ok(of_one));
        let reply = connection.route_command(redis::cmd("PREMIER.TOP").arg(20), primaries);
        assert_eq!(redis::from_redis_value(reply.expect("each answers")), Ok(by_address));
    });
    sync.await.expect("it does not panic");
}

#[test]
fn cluster_pipelines_decide_on_all_nodes() {
    let cluster = Cluster::start(3);
    let client = ClusterClient::new(cluster.urls()).expect("valid addresses");
    let mut pipeline = cluster_pipe();
    for user in 0..20 {
        pipeline.premier_token(format!("user:{user}"), Limit::token_bucket(3, HOUR));
        pipeline.premier_refund(format!("user:{user}"), 1).ignore();
        pipeline.premier_all(&[(format!("user:{user}"), Limit::token_bucket(4, HOUR).into())]).ignore();
    }
    let mut connection = client.get_connection().expect("the cluster answers");
    let decisions: Vec<Decision> = pipeline.query(&mut connection).expect("the cluster answers");
    assert!(decisions.len() == 20 && decisions.iter().all(|decision| decision.remaining() == 2), "{decisions:?}");
}

#[test]
fn keys_may_be_any_bytes() {
    let server = Server::start();
    let connection = &mut server.connection();
    for key in [b"", BINARY] {
        let decision = connection.premier_token(key, Limit::token_bucket(2, HOUR)).expect("the server answers");
        assert_eq!(decision.remaining(), 1, "{key:?}");
    }
}

#[test]
fn a_key_of_another_type_is_an_error() {
    let server = Server::start();
    let mut connection = server.connection();
    redis::cmd("SET").arg("taken").arg(1).exec(&mut connection).expect("the server answers");
    let error = connection.premier_token("taken", Limit::token_bucket(2, HOUR)).expect_err("it is a string");
    assert_eq!(error.code(), Some("WRONGTYPE"));
    assert_ne!(error.kind(), ErrorKind::Server(ServerErrorKind::ResponseError));
    let error = connection.premier_peek("taken", Limit::token_bucket(2, HOUR)).expect_err("it is a string");
    assert_eq!(error.code(), Some("WRONGTYPE"));
    assert_eq!(connection.premier_refund("taken", 1).expect_err("it is a string").code(), Some("WRONGTYPE"));
    let together = [("free", Limit::token_bucket(2, HOUR).into()), ("taken", Limit::token_bucket(2, HOUR).into())];
    assert_eq!(connection.premier_all(&together).expect_err("one is a string").code(), Some("WRONGTYPE"));
    assert_eq!(redis::cmd("EXISTS").arg("free").query(&mut connection), Ok(0), "the call was charged to one limit");
}

#[test]
fn arguments_that_the_server_refuses_are_errors() {
    let server = Server::start();
    let connection = &mut server.connection();
    let limit: AnyLimit = Limit::token_bucket(2, HOUR).into();
    assert!(connection.premier_refund("key", 0).is_err());
    for limits in [&[][..], &[("a", limit); 2], &[("a", limit); 17]] {
        let error = connection.premier_all(limits).expect_err("the limits are invalid");
        assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::ResponseError), "{error}");
    }
    for count in [0, 257] {
        let error = connection.premier_top(Some(count)).expect_err("the count is out of bounds");
        assert_eq!(error.detail(), Some("count must be an integer from 1 to 256, or RESET"));
    }
}

#[test]
fn arguments_that_cl_throttle_refuses_are_errors() {
    const MORE: u64 = 1_000_000_000_001;
    let server = Server::builder().module_arguments("cell-compat yes").start();
    let connection = &mut server.connection();
    for (max_burst, count, period, quantity, wrong) in [
        (MORE - 1, 1, MINUTE, 1, "max_burst"),
        (0, 0, MINUTE, 1, "count"),
        (0, MORE, MINUTE, 1, "count"),
        (0, 1, Duration::ZERO, 1, "period"),
        (0, 1, 24 * HOUR * 3650 + Duration::from_nanos(1), 1, "period"),
        (0, 1, Duration::MAX, 1, "period"),
        (0, 1, MINUTE, MORE, "quantity"),
    ] {
        let error = connection.cl_throttle("key", max_burst, count, period, quantity).expect_err("out of bounds");
        assert!(error.detail().is_some_and(|detail| detail.starts_with(wrong)), "{error}");
    }
    redis::cmd("SET").arg("taken").arg(1).exec(connection).expect("the server answers");
    let error = connection.cl_throttle("taken", 15, 30, MINUTE, 1).expect_err("it is a string");
    assert_eq!(error.code(), Some("WRONGTYPE"));
}

/// The error texts of the client are those of the server.
#[test]
fn invalid_joint_limits_are_refused_in_the_servers_words() {
    let server = Server::start();
    let limit: AnyLimit = Limit::token_bucket(2, HOUR).into();
    let many: Vec<_> = (0..17).map(|of| (of.to_string(), limit)).collect();
    let twice = [many[0].clone(), many[0].clone()];
    for limits in [&many[..], &twice] {
        let error = MemoryBackend::new().decide_all(limits).expect_err("they are invalid together");
        let refused = server.connection().premier_all(limits).expect_err("they are invalid together");
        assert_eq!(Some(error.to_string().as_str()), refused.detail());
    }
}

#[test]
fn unexpected_replies_are_errors() {
    let server = Server::start();
    let connection = &mut server.connection();
    for reply in ["return {0, 1, 2}", "return {0, 1, 2, -1, 0}", "return {2, 1, 1, 0, 0}", "return {0, -1, 1, 0, 0}"] {
        let decision = redis::cmd("EVAL").arg(reply).arg(0).query::<Decision>(connection);
        assert!(decision.is_err(), "{reply} was read as {decision:?}");
    }
    for reply in [
        "return {0, 1, 1, 0, 0}",
        "return {0, 1, 1, 0, 0, 1, {{0, 1, 1, 0, 0}}}",
        "return {0, 1, 1, 0, 0, -1, {{0, 1, 1, 0, 0}}}",
        "return {2, 1, 1, 0, 0, 0, {{0, 1, 1, 0, 0}}}",
        "return {0, 1, 1, 0, 0, 0, {{0, 1, 1, 0}}}",
        "return {0, 1, 1, 0, 0, 0, {}}",
    ] {
        let decision = redis::cmd("EVAL").arg(reply).arg(0).query::<JointDecision>(connection);
        assert!(decision.is_err(), "{reply} was read as {decision:?}");
    }
    for reply in [
        "return {0, 3, 2, -1}",
        "return {2, 3, 2, -1, 0}",
        "return {0, 3, 2, 0, 0}",
        "return {1, 3, 2, -2, 0}",
        "return {1, -1, 2, -1, 0}",
        "return {1, 3, -1, -1, 0}",
        "return {1, 3, 2, -1, -1}",
    ] {
        let decision = redis::cmd("EVAL").arg(reply).arg(0).query::<CellDecision>(connection);
        assert!(decision.is_err(), "{reply} was read as {decision:?}");
    }
    for reply in ["return 1", "return {'key', 1}", "return {{'key'}}", "return {{'key', -1}}", "return {{'key', 1, 1}}"]
    {
        let keys = redis::cmd("EVAL").arg(reply).arg(0).query::<Vec<LimitedKey>>(connection);
        assert!(keys.is_err(), "{reply} was read as {keys:?}");
    }
}
