use premier_client::*;

#[fixed_window(quota = 3, duration = "5s", keyspace = api)]
fn f() -> Result<(), Error> {
    Ok(())
}

fn main() {}
