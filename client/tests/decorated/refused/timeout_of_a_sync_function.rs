use premier_client::{Error, timeout};

#[timeout("60s")]
fn f() -> Result<(), Error> {
    Ok(())
}

fn main() {}
