use premier_client::*;

#[fixed_window(quota = 3, duration = "5s")]
fn f() -> impl std::fmt::Display {
    1
}

fn main() {}
