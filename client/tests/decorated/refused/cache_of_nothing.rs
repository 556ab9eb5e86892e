use premier_client::cache;

#[cache(ttl = "30s")]
fn f() {}

fn main() {}
