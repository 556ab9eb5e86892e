use premier_client::{Error, retry};

#[retry(max = 0)]
fn f() -> Result<(), Error> {
    Ok(())
}

fn main() {}
