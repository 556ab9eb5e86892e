use premier_client::cache;

#[cache(ttl = "30s")]
fn parse<T: std::str::FromStr + Clone + Send + Sync + 'static>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn main() {}
