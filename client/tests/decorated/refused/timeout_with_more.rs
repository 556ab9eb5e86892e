use premier_client::{Error, timeout};

#[timeout("60s", 3)]
async fn f() -> Result<(), Error> {
    Ok(())
}

fn main() {}
