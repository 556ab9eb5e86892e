#![allow(unused_variables)]

use premier_client::*;

#[fixed_window(quota = 3, duration = "5s", key = |user| user)]
fn f(user: u64, cents: u64) -> Result<(), Error> {
    Ok(())
}

fn main() {}
