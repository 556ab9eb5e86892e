use premier_client::*;

#[fixed_window(quota = 3, duration = "5s", quota = 4)]
fn f() -> Result<(), Error> {
    Ok(())
}

fn main() {}
