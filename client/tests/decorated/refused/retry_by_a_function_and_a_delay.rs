use premier_client::{Error, retry};

#[retry(strategy = |failed| std::time::Duration::from_secs(failed.into()), delay = "1s")]
fn f() -> Result<(), Error> {
    Ok(())
}

fn main() {}
