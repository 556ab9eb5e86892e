//! A tokio service that answers lines over TCP and limits each client by its address. Its throttler
//! shares the connection to Redis with its other commands.
//!
//! ```sh
//! # In one terminal.
//! make run
//! # In another terminal; REDIS_URL=redis://… for another server.
//! cargo run -p premier-client --example service -- --stay
//! # In a third terminal.
//! nc 127.0.0.1 7878
//! ```

use std::env;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use premier_client::{AsyncThrottler, Decision, Limit, OnError, RetryAfter, Token, key};
use redis::aio::ConnectionManager;
use redis::{AsyncCommands, Client};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Two lines a second, with bursts of eight.
const LINES: Limit<Token> = Limit::token_bucket(2, Duration::from_secs(1)).capacity(8);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1/".to_owned());
    let manager = ConnectionManager::new(Client::open(url)?).await?;
    // A line too many is better than no service.
    let throttler = AsyncThrottler::builder(manager.clone()).on_error(OnError::Admit).build();

    let stays = env::args().any(|argument| argument == "--stay");
    let listener = TcpListener::bind(("127.0.0.1", if stays { 7878 } else { 0 })).await?;
    let address = listener.local_addr()?;
    println!("listening on {address}");
    let service = tokio::spawn(serve(listener, throttler, manager));
    if stays { Ok(service.await?) } else { talk_to(address).await }
}

async fn serve(listener: TcpListener, throttler: AsyncThrottler, manager: ConnectionManager) {
    while let Ok((client, address)) = listener.accept().await {
        let (throttler, manager) = (throttler.clone(), manager.clone());
        tokio::spawn(async move {
            if let Err(error) = answer(client, address, &throttler, manager).await {
                eprintln!("{address}: {error}");
            }
        });
    }
}

async fn answer(
    mut client: TcpStream,
    address: SocketAddr,
    throttler: &AsyncThrottler,
    mut manager: ConnectionManager,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (receive, mut send) = client.split();
    let mut lines = BufReader::new(receive).lines();
    while let Some(line) = lines.next_line().await? {
        let decision = throttler.check(&key!("answer", address.ip()), LINES).await?;
        let answer = match retry_after(&decision) {
            None => {
                let lines: u64 = manager.incr("service:lines", 1).await?;
                format!("{lines} lines so far, the last one is {line}\n")
            }
            Some(wait) => format!("slow down, come back in {wait:?}\n"),
        };
        send.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

fn retry_after(decision: &Decision) -> Option<Duration> {
    decision.retry_after().map(|retry| match retry {
        RetryAfter::After(wait) => wait,
        RetryAfter::Never => Duration::MAX,
    })
}

/// Acts as a client that talks too fast.
async fn talk_to(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let mut service = TcpStream::connect(address).await?;
    let (receive, mut send) = service.split();
    let mut answers = BufReader::new(receive).lines();
    for line in 1..=10 {
        send.write_all(format!("line {line}\n").as_bytes()).await?;
        println!("{}", answers.next_line().await?.unwrap_or_default());
    }
    Ok(())
}
