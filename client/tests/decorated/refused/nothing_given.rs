use premier_client::*;

#[fixed_window]
fn f() -> Result<(), Error> {
    Ok(())
}

fn main() {}
