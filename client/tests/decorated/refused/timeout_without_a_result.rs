use premier_client::timeout;

#[timeout("60s")]
async fn f() {}

fn main() {}
