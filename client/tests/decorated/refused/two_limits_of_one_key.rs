use premier_client::{Error, fixed_window};

#[fixed_window(quota = 3, duration = "1s")]
#[fixed_window(quota = 100, duration = "1h")]
fn f() -> Result<(), Error> {
    Ok(())
}

fn main() {}
