use premier_client::*;

#[fixed_window(quota = 3, duration = "5s", on_limit = wait())]
fn f() {}

fn main() {}
