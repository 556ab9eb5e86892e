use premier_client::*;

#[fixed_window(quota = 3, duration = "5")]
fn f() -> Result<(), Error> {
    Ok(())
}

fn main() {}
