//! Holding and releasing units.

use redis::{Cmd, Connection, ConnectionLike, Value};

use super::call::{Reply, run};

/// Returns a call of PREMIER.HOLD with this quota and lease by a holder whose id may be any bytes.
pub(crate) fn hold(key: &str, limit: [&str; 2], id: &[u8]) -> Cmd {
    let mut command = redis::cmd("PREMIER.HOLD");
    command.arg(key).arg(&limit).arg("ID").arg(id);
    command
}

/// Frees what a holder holds, and returns the units.
#[track_caller]
pub(crate) fn release(connection: &mut dyn ConnectionLike, key: &str, id: &[u8]) -> i64 {
    redis::cmd("PREMIER.RELEASE").arg(key).arg(id).query(connection).expect("PREMIER.RELEASE")
}

/// Returns the units that a holder holds.
#[track_caller]
pub(crate) fn held(connection: &mut dyn ConnectionLike, key: &str, id: &[u8]) -> i64 {
    let look = |id: &[&[u8]]| {
        let mut command = redis::cmd("PREMIER.PEEK");
        command.arg(key).arg(&["HOLD", "1000000000000", "1h", "COST", "0"]).arg(id);
        command
    };
    let mut pair = redis::pipe();
    pair.atomic().add_command(look(&[])).add_command(look(&[b"ID", id]));
    let [all, beside]: [Reply; 2] = pair.query(connection).expect("PREMIER.PEEK");
    beside.remaining - all.remaining
}

/// Returns the number of holders and their units.
#[track_caller]
pub(crate) fn holders(connection: &mut Connection, key: &str) -> (i64, i64) {
    let fields: Vec<Value> = run(connection, &format!("PREMIER.INSPECT {key}"));
    let [_, algorithm, _, used, _, _, _, holders] = &fields[..] else { panic!("HOLD has four fields: {fields:?}") };
    assert_eq!(*algorithm, Value::BulkString(b"HOLD".to_vec()));
    let [used, holders] = [used, holders].map(|value| redis::from_redis_value(value.clone()).expect("an integer"));
    (holders, used)
}

/// Sends commands in pipelines that are not too long, and returns the replies.
#[track_caller]
pub(crate) fn send_all(connection: &mut Connection, commands: &[Cmd]) -> Vec<Value> {
    let mut replies = Vec::new();
    for commands in commands.chunks(1_000) {
        let mut pipeline = redis::pipe();
        for command in commands {
            pipeline.add_command(command.clone());
        }
        let answers: Vec<Value> = pipeline.query(connection).expect("the server answers a pipeline");
        replies.extend(answers);
    }
    replies
}

/// Makes a key with this many holders of one unit each, for 3650 days. Their ids have 16 bytes.
#[track_caller]
pub(crate) fn fill_with(connection: &mut Connection, key: &str, number: usize) {
    let calls: Vec<Cmd> = (0..number).map(|index| hold(key, ["1000000", "3650d"], &id(index))).collect();
    let replies = send_all(connection, &calls);
    assert!(replies.iter().all(|reply| matches!(reply, Value::Array(fields) if fields[0] == Value::Int(0))));
}

/// Returns the id of one of the holders of [`fill_with`].
pub(crate) fn id(index: usize) -> Vec<u8> {
    format!("holder:{index:09}").into_bytes()
}

/// Makes a key with holders that came, went, renewed, and whose leases have ended: a few of each
/// for every ten of `number`.
#[track_caller]
pub(crate) fn play(connection: &mut Connection, key: &str, number: usize) {
    let mut commands = Vec::new();
    for index in 0..number {
        // Every tenth lease ends at once; the next call drops it.
        let lease = if index % 10 == 3 { "1ms".to_owned() } else { format!("{}s", 3_600 + index * 7 % 101) };
        let mut call = hold(key, ["1000000", &lease], &id(index));
        call.arg("COST").arg(1 + index % 3);
        commands.push(call);
        if index % 5 == 4 {
            let mut renewal = hold(key, ["1000000", "2h"], &id(index - 4));
            renewal.arg("COST").arg(7);
            commands.push(renewal);
            commands.push(redis::cmd("PREMIER.RELEASE").arg(key).arg(id(index - 2)).to_owned());
            commands.push(redis::cmd("PREMIER.RELEASE").arg(key).arg("nobody").to_owned());
        }
    }
    send_all(connection, &commands);
    // The last one ends, and no later change drops it.
    let () = hold(key, ["1000000", "1ms"], b"ended").query::<Value>(connection).map(drop).expect("PREMIER.HOLD");
}
