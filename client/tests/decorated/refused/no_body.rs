use premier_client::*;

trait Service {
    #[fixed_window(quota = 3, duration = "5s")]
    fn f(&self) -> Result<(), Error>;
}

fn main() {}
