#![allow(unused_variables)]

use premier_client::*;

#[fixed_window(quota = 3, duration = "5s", key = |pair| pair.0)]
fn f((user, cents): (u64, u64)) -> Result<(), Error> {
    Ok(())
}

fn main() {}
