//! Settings: through CONFIG, in the configuration file of the server, and as arguments of the
//! module.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use premier_test_server::{Server, module_path};
use redis::{Connection, RedisResult, Value};

use crate::tools::call::{command, error, run};

fn settings(connection: &mut Connection) -> HashMap<String, String> {
    run(connection, "CONFIG GET premier.*")
}

fn top_keys(server: &Server) -> String {
    settings(&mut server.connection())["premier.top-keys"].clone()
}

#[test]
fn config_get_lists_the_documented_settings() {
    let server = Server::start();
    let settings = settings(&mut server.connection());
    assert_eq!(settings.len(), 2, "{settings:?}");
    let read = |file| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("the file is there");
    let (page, file) = (read("docs/configuration.md"), read("redis.conf"));
    for (name, default) in settings {
        let row = format!("| `{name}` | `{default}` |");
        assert!(page.contains(&row), "docs/configuration.md lacks: {row}");
        let line = format!("\n# {name} {default}\n");
        assert!(file.contains(&line), "redis.conf lacks: {line}");
    }
}

#[test]
fn config_set_accepts_only_values_in_bounds() {
    let server = Server::start();
    let mut connection = server.connection();
    for value in ["0", "1", "256"] {
        let () = run(&mut connection, &format!("CONFIG SET premier.top-keys {value}"));
        assert_eq!(top_keys(&server), value);
    }
    for value in ["-1", "257", "many", ""] {
        let line = error(&mut connection, &command(&format!("CONFIG SET premier.top-keys {value}")));
        assert!(line.contains("premier.top-keys"), "{line}");
        assert_eq!(top_keys(&server), "256", "after {value}");
    }
}

#[test]
fn cell_compat_cannot_change_after_the_start() {
    let server = Server::start();
    let mut connection = server.connection();
    let line = error(&mut connection, &command("CONFIG SET premier.cell-compat yes"));
    assert!(line.contains("immutable"), "{line}");
    assert_eq!(settings(&mut connection)["premier.cell-compat"], "no");
}

#[test]
fn settings_in_the_servers_file_override_module_arguments() {
    let server = Server::builder().module_arguments("TOP-KEYS 7 cell-compat yes").start();
    let expected = [("premier.top-keys", "7"), ("premier.cell-compat", "yes")];
    assert_eq!(settings(&mut server.connection()), expected.map(|(name, value)| (name.into(), value.into())).into());

    let server = Server::builder().config("premier.top-keys", "9").config("premier.cell-compat", "yes").start();
    let expected = [("premier.top-keys", "9"), ("premier.cell-compat", "yes")];
    assert_eq!(settings(&mut server.connection()), expected.map(|(name, value)| (name.into(), value.into())).into());

    let server = Server::builder().module_arguments("cell-compat no top-keys 6 top-keys 7").start();
    let expected = [("premier.top-keys", "7"), ("premier.cell-compat", "no")];
    assert_eq!(settings(&mut server.connection()), expected.map(|(name, value)| (name.into(), value.into())).into());

    let server = Server::builder().module_arguments("top-keys 7").config("premier.top-keys", "9").start();
    assert_eq!(top_keys(&server), "9");
}

#[test]
fn a_rewritten_setting_survives_a_restart() {
    let mut server = Server::builder().module_arguments("top-keys 7").start();
    let () = run(&mut server.connection(), "CONFIG SET premier.top-keys 9");
    let () = run(&mut server.connection(), "CONFIG REWRITE");
    server.restart();
    assert_eq!(top_keys(&server), "9");
}

/// The log says which values are allowed.
#[test]
fn an_invalid_setting_prevents_loading_and_is_logged() {
    let server = Server::builder().without_module().config("enable-module-command", "yes").start();
    let mut connection = server.connection();
    let path = module_path();
    let path = path.to_str().expect("the path is UTF-8");
    let number = "top-keys must be an integer from 0 to 256";
    let wrong = [
        ("ARGS top-keys ten", number),
        ("ARGS top-keys 257", number),
        ("ARGS top-keys -1", number),
        ("ARGS top-keys +5", number),
        ("ARGS top-keys", number),
        ("ARGS cell-compat maybe", "cell-compat must be yes or no"),
        ("ARGS speed 9", "unknown setting 'speed': expected cell-compat or top-keys"),
        ("CONFIG premier.top-keys 257", "one of its settings is invalid"),
    ];
    for (index, (arguments, sentence)) in wrong.into_iter().enumerate() {
        let answer: RedisResult<Value> = command(&format!("MODULE LOADEX {path} {arguments}")).query(&mut connection);
        assert!(answer.is_err(), "{arguments}: {answer:?}");
        let log = server.log();
        let logged: Vec<_> = log.lines().filter(|line| line.contains("premier cannot be loaded")).collect();
        assert_eq!(logged.len(), index + 1, "{arguments}: {log}");
        assert!(logged[index].contains(sentence), "{arguments}: {}", logged[index]);
        let modules: Vec<HashMap<String, Value>> = run(&mut connection, "MODULE LIST");
        assert!(!modules.iter().any(|module| module["name"] == Value::BulkString(b"premier".into())), "{arguments}");
    }
    let right = format!("MODULE LOADEX {path} CONFIG premier.cell-compat yes ARGS top-keys 5");
    let () = run(&mut connection, &right);
    assert_eq!(top_keys(&server), "5");
    assert_eq!(settings(&mut connection)["premier.cell-compat"], "yes");
}
