use premier_client::{Error, timeout};

#[timeout]
async fn f() -> Result<(), Error> {
    Ok(())
}

fn main() {}
