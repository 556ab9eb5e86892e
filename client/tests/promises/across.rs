//! Calls with several limits in several slots of a cluster.

use std::time::Duration;

use premier_client::{AnyLimit, ErrorKind, Key, Limit, RetryAfter, key};
use premier_test_server::{Cluster, Server};

use crate::stores::{Setup, Subject};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn with_each(try_it: impl Fn(&Subject, usize)) {
    let (server, cluster) = (Server::start(), Cluster::start(3));
    let setup = Setup::default();
    let mut subjects = setup.on_server(server.port());
    subjects.truncate(2);
    subjects.extend(setup.on_cluster(&cluster.urls()));
    subjects.extend(setup.in_memory());
    subjects.iter().enumerate().for_each(|(index, subject)| try_it(subject, index));
}

/// Makes limits whose keys are in several slots, one of which admits less.
fn several(index: usize) -> [(Key<'static>, AnyLimit); 4] {
    [
        (key!("one", index), Limit::sliding_window(9, HOUR).into()),
        (key!("other", index), Limit::token_bucket(9, HOUR).into()),
        (key!("narrow", index), Limit::fixed_window(2, HOUR).into()),
        (key!("last", index), Limit::fixed_window(9, HOUR).into()),
    ]
}

#[test]
fn limits_in_several_slots_are_charged_or_given_back() {
    with_each(|subject, index| {
        let limits = several(index);
        for call in 1..=4_u64 {
            let answer = subject.check_all_across(&limits).expect("the store answers");
            let context = format!("{subject}, call {call}: {answer:?}");
            assert_eq!(answer.is_admitted(), call <= 2, "{context}");
            assert_eq!((answer.binding(), answer.each().len()), (2, 4), "{context}");
            let remaining: Vec<_> = answer.each().iter().map(premier_client::Decision::remaining).collect();
            let used = call.min(3);
            assert_eq!(remaining, [9 - used, 9 - used, 2 - call.min(2), 9 - used], "{context}");
            for (key, limit) in &limits {
                let left = subject.peek(key, *limit).expect("the store answers").remaining();
                let quota = limit.terms().quota();
                assert_eq!(left, (quota - call.min(2)).saturating_sub(1), "{context}: {key:?}");
            }
        }
    });
}

#[test]
fn a_refused_slot_gives_the_others_back() {
    with_each(|subject, index| {
        let limits = several(index);
        let others = Key::exact(format!("string {index}"));
        let of_another_algorithm = [(others.clone(), Limit::sliding_window(9, HOUR).into())];
        let _ = subject.check(&others, Limit::token_bucket(9, HOUR)).expect("the store answers");
        let [one, other, ..] = &limits;
        let limits = [one.clone(), other.clone(), of_another_algorithm[0].clone()];
        let error = subject.check_all_across(&limits).expect_err("another algorithm uses the key");
        assert_eq!(error.kind(), ErrorKind::Refused, "{subject}: {error}");
        for (key, limit) in &limits[..2] {
            assert_eq!(subject.peek(key, *limit).expect("the store answers").remaining(), 8, "{subject}: {key:?}");
        }
    });
}

#[test]
fn limits_across_slots_have_the_bounds_of_others() {
    with_each(|subject, index| {
        let none = subject.check_all_across(&[]).expect_err("there is no limit");
        assert_eq!(none.kind(), ErrorKind::Configuration, "{subject}");
        let [(key, limit), ..] = several(index);
        let twice = subject.check_all_across(&[(key.clone(), limit), (key, limit)]).expect_err("a key is named twice");
        assert_eq!(twice.kind(), ErrorKind::Configuration, "{subject}");
        let [(key, _), ..] = several(index + 100);
        let blocked = subject.check_all_across(&[(key, Limit::fixed_window(0, HOUR).into())]).expect("an answer");
        assert_eq!(blocked.decision().retry_after(), Some(RetryAfter::Never), "{subject}");
    });
}
