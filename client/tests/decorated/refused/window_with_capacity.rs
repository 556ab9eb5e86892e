use premier_client::*;

#[sliding_window(quota = 3, duration = "5s", capacity = 2)]
fn f() -> Result<(), Error> {
    Ok(())
}

fn main() {}
