use premier_client::{Error, token_bucket};

#[token_bucket(quota = 1, duration = "10us")]
fn f() -> Result<(), Error> {
    Ok(())
}

fn main() {}
