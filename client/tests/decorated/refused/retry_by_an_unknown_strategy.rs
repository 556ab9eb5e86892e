use premier_client::{Error, retry};

#[retry(strategy = "fibonacci")]
fn f() -> Result<(), Error> {
    Ok(())
}

fn main() {}
