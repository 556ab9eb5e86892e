//! A key of `Hold` with a clock of its own, and what may happen to it.

use premier_algorithms::{
    Algorithm, Clock, Cost, Detail, Hold, HoldChange, HoldLimit, HolderId, Holds, LimitDuration, Now,
    Outcome as Answer, Quota, Span, State, Timestamp,
};
use proptest::collection;
use proptest::prelude::*;

use super::key::reply_of;
use super::limits::{MAX_UNITS, any_quota, duration};
use crate::model::{Outcome, Reply};

/// How many holders there are in a scenario.
const HOLDERS: usize = 8;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) pause: Pause,
    pub(crate) action: Action,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    /// A call of this holder that costs so many units or this many 64ths of the quota.
    Call { holder: usize, cost: Load },
    /// A release by this holder.
    Release { holder: usize },
}

/// The time between two steps.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pause {
    Micros(u64),
    /// The wait of the last reply, give or take a microsecond.
    Wait(i64),
    /// The time until the last lease ends, give or take a microsecond.
    Reset(i64),
    /// This many 64ths of a lease.
    Share(u64),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    Units(u64),
    Share(u64),
    TooMuch(u64),
}

/// A quota and a lease.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    pub(crate) quota: u64,
    pub(crate) lease: u64,
}

impl Places {
    pub(crate) fn limit<'call>(&self, holder: Option<&'call [u8]>) -> HoldLimit<'call> {
        HoldLimit {
            quota: Quota::new(self.quota).unwrap(),
            lease: LimitDuration::new(Span::from_micros(self.lease)).unwrap(),
            holder: holder.map(|id| HolderId::new(id).unwrap()),
        }
    }
}

impl Load {
    pub(crate) fn of(self, quota: u64) -> u64 {
        let units = match self {
            Self::Units(units) => units,
            Self::Share(share) => quota * share / 64,
            Self::TooMuch(more) => quota + more,
        };
        units.clamp(1, MAX_UNITS)
    }
}

impl Pause {
    /// Returns how long the pause after a reply is.
    pub(crate) fn after(self, last: Option<&Reply>, lease: u64) -> u64 {
        let nearly = |micros: u64, more: i64| micros.saturating_add_signed(more);
        match self {
            Self::Micros(micros) => micros,
            Self::Wait(more) => last.and_then(Reply::retry).map_or(0, |retry| nearly(retry, more)),
            Self::Reset(more) => last.map_or(0, |last| nearly(last.reset, more)),
            Self::Share(share) => lease / 64 * share,
        }
    }
}

fn pause() -> impl Strategy<Value = Pause> {
    prop_oneof![
        40 => Just(Pause::Micros(0)),
        20 => (1..=3_u64).prop_map(Pause::Micros),
        30 => (-1..=1_i64).prop_map(Pause::Wait),
        10 => (-1..=1_i64).prop_map(Pause::Reset),
        30 => (0..=40_u64).prop_map(Pause::Share),
    ]
}

fn load() -> impl Strategy<Value = Load> {
    prop_oneof![
        20 => Just(Load::Units(1)),
        10 => (1..=5_u64).prop_map(Load::Units),
        20 => (1..=64_u64).prop_map(Load::Share),
        2 => (1..=2_u64).prop_map(Load::TooMuch),
        2 => (1..=MAX_UNITS).prop_map(Load::Units),
    ]
}

pub(crate) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let action = prop_oneof![
        5 => (0..HOLDERS, load()).prop_map(|(holder, cost)| Action::Call { holder, cost }),
        1 => (0..HOLDERS).prop_map(|holder| Action::Release { holder }),
    ];
    let step = (pause(), action).prop_map(|(pause, action)| Step { pause, action });
    collection::vec(step, 1..=most)
}

/// Different ids, one for each holder.
pub(crate) fn ids() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let id = prop_oneof![
        2 => collection::vec(any::<u8>(), 1..=2),
        1 => collection::vec(any::<u8>(), 16),
        1 => collection::vec(any::<u8>(), 1..=128),
        1 => collection::vec(Just(0), 1..=128),
    ];
    collection::btree_set(id, HOLDERS).prop_map(|ids| ids.into_iter().collect()).prop_shuffle()
}

pub(crate) fn places() -> impl Strategy<Value = Places> {
    (any_quota(), duration()).prop_map(|(quota, lease)| Places { quota, lease })
}

/// A key and the clock that serves it.
#[derive(Debug, Clone)]
pub(crate) struct HoldKey {
    pub(crate) state: Holds,
    pub(crate) clock: Clock,
}

impl HoldKey {
    pub(crate) fn fresh() -> Self {
        Self { state: Holds::default(), clock: Clock::new() }
    }

    fn at(&mut self, reading: u64) -> Now {
        self.clock.read(Timestamp::from_micros(reading))
    }

    /// Makes a call at this reading of the clock, and returns the change if it is admitted.
    pub(crate) fn call_with_change<'call>(
        &mut self,
        reading: u64,
        places: &Places,
        holder: &'call [u8],
        cost: u64,
    ) -> (Reply, Option<HoldChange<'call>>) {
        let now = self.at(reading);
        let decision = Hold::decide(&self.state, now, &places.limit(Some(holder)), Cost::new(cost).unwrap());
        let reply = reply_of(&decision);
        match decision.outcome {
            Answer::Admitted { change, .. } => {
                self.state.apply(&change);
                (reply, Some(change))
            }
            Answer::Limited { .. } => (reply, None),
        }
    }

    pub(crate) fn call(&mut self, reading: u64, places: &Places, holder: &[u8], cost: u64) -> Reply {
        self.call_with_change(reading, places, holder, cost).0
    }

    /// Returns the reply that a call of this holder, or of a new one, would get. A call of cost 0
    /// only looks.
    pub(crate) fn ask(&self, reading: u64, places: &Places, holder: Option<&[u8]>, cost: u64) -> Reply {
        let (now, limit) = ({ self.clock }.read(Timestamp::from_micros(reading)), places.limit(holder));
        match Cost::new(cost) {
            Ok(cost) => reply_of(&Hold::decide(&self.state, now, &limit, cost)),
            Err(_) => reply_of(&Hold::look(&self.state, now, &limit)),
        }
    }

    /// Releases what a holder holds. Returns the units and the time until the key is fully reset,
    /// and the change.
    pub(crate) fn release<'call>(
        &mut self,
        reading: u64,
        holder: &'call [u8],
    ) -> Option<(u64, u64, HoldChange<'call>)> {
        let now = self.at(reading);
        let release = Hold::release(&self.state, now, HolderId::new(holder).unwrap())?;
        self.state.apply(&release.change);
        Some((release.units, release.reset.as_micros(), release.change))
    }

    /// Returns how many holders there are.
    pub(crate) fn count(&self, reading: u64) -> usize {
        match self.state.detail({ self.clock }.read(Timestamp::from_micros(reading)), Span::ZERO) {
            Some(Detail::Holders(count)) => count,
            other => panic!("{other:?}"),
        }
    }

    /// Returns how many units are held.
    pub(crate) fn used(&self, reading: u64) -> u64 {
        self.state.used({ self.clock }.read(Timestamp::from_micros(reading)), Span::ZERO)
    }

    /// Restarts the server, whose clock then has this reading.
    pub(crate) fn restart(&mut self, reading: u64) {
        self.clock = Clock::new();
        self.clock.see(self.state.latest_stamp());
        self.at(reading);
    }

    /// Returns the wait of a limited call, 0 of an admitted one.
    pub(crate) fn wait(&self, reading: u64, places: &Places, holder: Option<&[u8]>, cost: u64) -> Option<u64> {
        match self.ask(reading, places, holder, cost).outcome {
            Outcome::Admitted { wait } => Some(wait),
            Outcome::Limited { retry } => retry,
        }
    }
}

/// Encodes holders: since when, for how long, how many units, and the id.
pub(crate) fn bytes_of(holders: impl IntoIterator<Item = (u64, u64, u64, impl AsRef<[u8]>)>) -> Vec<u8> {
    let mut bytes = vec![0];
    for (since, lease, units, id) in holders {
        let id = id.as_ref();
        bytes.extend([since, lease, units].map(u64::to_le_bytes).as_flattened());
        bytes.push(u8::try_from(id.len()).unwrap());
        bytes.extend(id);
    }
    bytes
}
