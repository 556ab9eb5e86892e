use premier_client::cache;

struct Shop {
    prices: Vec<u64>,
}

impl Shop {
    #[cache(ttl = "30s")]
    fn price(&self, product: usize) -> u64 {
        self.prices[product]
    }
}

fn main() {}
