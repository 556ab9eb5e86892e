use premier_client::{Error, throttle};

#[throttle(quota = 1, duration = "10s", capacity = 3)]
fn f() -> Result<(), Error> {
    Ok(())
}

fn main() {}
