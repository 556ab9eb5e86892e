//! The client under another name.

use std::path::PathBuf;
use std::{env, fs};

use crate::compiler::{Package, errors_in};

/// Makes a package with these dependencies.
fn package(name: &'static str, dependencies: &str) -> Package {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("package-{name}"));
    fs::create_dir_all(&folder).expect("a folder can be made");
    let manifest = format!("[package]\nname = \"package\"\n\n[dependencies]\n{dependencies}\n");
    fs::write(folder.join("Cargo.toml"), manifest).expect("the folder can be written to");
    Package { name, folder }
}

#[test]
fn a_client_renamed_in_cargo_toml_is_found() {
    let package = package("limiter", r#"limiter = { package = "premier-client", version = "0.1" }"#);
    let source = r#"
        #[limiter::cache(ttl = "30s", key = |user| user)]
        #[limiter::retry(on = [QuotaExceeded])]
        #[limiter::timeout("60s")]
        #[limiter::token_bucket(quota = 3, duration = "5s", key = |user| user, keyspace = "api", on_limit = wait("1s"))]
        #[limiter::throttle(quota = quota(), duration = "5s", throttler = limiter::decorate::async_throttler())]
        pub async fn f(user: u8) -> Result<u8, limiter::Error> { Ok(user) }

        fn quota() -> u64 { 3 }
    "#;
    assert_eq!(errors_in(&package, source), []);
}

#[test]
fn a_client_that_another_crate_exports_is_named() {
    let package = package("exported", "");
    let source = r#"
        pub mod limits {
            pub use exported as client;

            #[macro_export]
            macro_rules! limited {
                ($function:item) => {
                    #[$crate::limits::client::fixed_window(quota = 3, duration = "5s", crate = $crate::limits::client)]
                    $function
                };
            }
        }

        use limits::client as _;

        #[limits::client::cache(crate = crate::limits::client, ttl = "30s")]
        #[limits::client::retry(max = 3, crate = crate::limits::client,)]
        #[limits::client::timeout("60s", crate = crate::limits::client)]
        #[limits::client::fixed_window(quota = 3, crate = limits::client, duration = "5s")]
        pub async fn f() -> Result<u8, limits::client::Error> { Ok(1) }

        limited! { pub fn g() -> Result<u8, limits::client::Error> { Ok(1) } }
    "#;
    assert_eq!(errors_in(&package, source), []);

    let source = r#"
        #[exported::fixed_window(quota = 3, duration = "5s")]
        pub fn f() -> Result<u8, exported::Error> { Ok(1) }
    "#;
    let text = "premier-client is not a dependency of this package: add it, or say which crate exports it, like crate = \
                other::premier_client";
    let line = r#"        «#[exported::fixed_window(quota = 3, duration = "5s")]»"#;
    assert_eq!(errors_in(&package, source).first(), Some(&(text.to_owned(), line.to_owned())));
}
