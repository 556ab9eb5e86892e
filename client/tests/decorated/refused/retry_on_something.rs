use premier_client::{Error, retry};

#[retry(on = QuotaExceeded)]
fn f() -> Result<(), Error> {
    Ok(())
}

fn main() {}
