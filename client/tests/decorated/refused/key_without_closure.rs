#![allow(unused_variables)]

use premier_client::*;

#[fixed_window(quota = 3, duration = "5s", key = user)]
fn f(user: u64) -> Result<(), Error> {
    Ok(())
}

fn main() {}
