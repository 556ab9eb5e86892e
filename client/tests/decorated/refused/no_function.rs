use premier_client::*;

#[fixed_window(quota = 3, duration = "5s")]
struct F;

fn main() {}
