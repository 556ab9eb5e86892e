use premier_client::{Error, cache};

#[cache]
fn f() -> Result<(), Error> {
    Ok(())
}

fn main() {}
