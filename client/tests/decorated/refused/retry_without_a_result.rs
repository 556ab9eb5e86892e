use premier_client::retry;

#[retry(max = 3)]
fn f() {}

fn main() {}
