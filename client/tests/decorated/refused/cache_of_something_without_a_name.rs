use premier_client::cache;

#[cache(ttl = "30s")]
fn f() -> impl std::fmt::Display {
    "no type"
}

fn main() {}
