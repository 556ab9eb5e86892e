use premier_client::{Error, token_bucket};

#[token_bucket(quota = 1_000_000_000_001, duration = "1s")]
fn f() -> Result<(), Error> {
    Ok(())
}

fn main() {}
