use premier_client::{Error, retry};

#[retry(max = 3)]
fn f(mut count: u8) -> Result<u8, Error> {
    count += 1;
    Ok(count)
}

fn main() {}
