//! One configuration serves all functions that name no throttler. It is for the whole program, so
//! this test is a program of its own.

use premier_client::{
    Algorithm, AsyncBackend, Backend, Error, ErrorKind, Keyspace, configure, leaky_bucket, sliding_window, throttle,
};
use premier_test_server::Server;
use redis::Commands;

#[throttle(quota = 3, duration = "1h")]
fn sync_call() -> Result<(), Error> {
    Ok(())
}

#[throttle(quota = 3, duration = "1h", cost = 2)]
async fn async_call() -> Result<(), Error> {
    Ok(())
}

#[throttle(quota = 3, duration = "1h", algorithm = Algorithm::SlidingWindow, keyspace = "elsewhere")]
fn by_another_algorithm() -> Result<(), Error> {
    Ok(())
}

#[sliding_window(quota = quota, duration = hours * 2, cost = cost, key = |_, _, cost| cost)]
fn computed(quota: u64, hours: std::time::Duration, cost: u64) -> Result<(), Error> {
    Ok(())
}

#[leaky_bucket(quota = 1, duration = "1h", capacity = 2, on_limit = wait("1s"))]
fn impatient() -> Result<(), Error> {
    Ok(())
}

const HOUR: std::time::Duration = std::time::Duration::from_secs(60 * 60);

#[tokio::test]
async fn one_configuration_serves_all_functions() {
    let server = Server::start();
    let address = ("127.0.0.1", server.port());
    let install = || {
        configure()
            .backend(Backend::redis(address)?)
            .async_backend(AsyncBackend::redis(address)?)
            .algorithm(Algorithm::TokenBucket)
            .keyspace(Keyspace::from_static("shop"))
            .deadline(std::time::Duration::from_secs(10))
            .install()
    };
    install().expect("nothing is configured yet");
    assert_eq!(install().map_err(|error| error.kind()), Err(ErrorKind::Configuration), "it is configured already");

    sync_call().expect("the first");
    async_call().await.expect("the first");
    let error = async_call().await.expect_err("there is one unit left");
    assert_eq!(error.key(), Some("shop:configured:async_call:token"));
    by_another_algorithm().expect("the first");

    computed(2, HOUR, 2).expect("the first");
    assert_eq!(computed(2, HOUR, 2).map_err(|error| error.kind()), Err(ErrorKind::QuotaExceeded));
    computed(4, HOUR, 2).expect("the quota has grown");
    let error = computed(2, HOUR, 0).expect_err("a cost of 0 is invalid");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.to_string(), "a cost must be 1 to 1000000000000 units, not 0");

    impatient().expect("the first");
    assert_eq!(impatient().map_err(|error| error.kind()), Err(ErrorKind::QuotaExceeded));

    let mut keys: Vec<String> = server.connection().keys("*").expect("the server answers");
    keys.sort();
    let expected = [
        "elsewhere:configured:by_another_algorithm:sliding",
        "shop:configured:async_call:token",
        "shop:configured:computed:sliding:2",
        "shop:configured:impatient:leaky",
        "shop:configured:sync_call:token",
    ];
    assert_eq!(keys, expected);
}
