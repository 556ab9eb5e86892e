use premier_client::{Error, retry};

#[retry(jitter = "1s")]
fn f() -> Result<(), Error> {
    Ok(())
}

fn main() {}
