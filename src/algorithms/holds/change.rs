//! The change that a call makes, and how states and changes are encoded. Numbers are little-endian.
//!
//! | bytes | a state |
//! | --- | --- |
//! | 1 | 0 |
//! | 25 + id, each | a holder: `since`, lease and units in 8 bytes each, the length of the id in one, the id |
//!
//! Holders are sorted by the end of their leases, then by id.
//!
//! | bytes | a change |
//! | --- | --- |
//! | 1 | 1 puts a holder, 2 takes one away; 2 more if leases are dated first |
//! | 8 | the moment |
//! | 16, if dated | since when no lease has arrived from the future; by how much they were ahead at least |
//! | 16, if put | lease and units |
//! | the rest | the id |
//!
//! Times are in microseconds, moments since the Unix epoch.

use super::{Hold, Holder, Holds, MAX_HOLDERS, Slot};
use crate::clock::Dating;
use crate::{Cost, Detail, HolderId, LimitDuration, Now, Relocate, Span, State, Timestamp};

const ALL: u8 = 0;
const PUT: u8 = 1;
const TAKE: u8 = 2;
const DATED: u8 = 2;

/// The bytes of a holder before its id.
const HEADER_LEN: usize = 25;

/// The change that an admitted call or a release makes to [`Holds`]: it drops the leases that have
/// ended, and puts a holder or takes one away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldChange<'call> {
    at: Timestamp,
    /// How leases that began in the future are dated. `None` if there are none.
    dating: Option<Dating>,
    /// `None` for a call that is only previewed: it changes nothing.
    holder: Option<HolderId<'call>>,
    /// The lease and the units. `None` takes the holder away.
    held: Option<(LimitDuration, Cost)>,
}

/// What an effect says: the change of a call, or a whole state.
#[derive(Debug, Clone, PartialEq)]
pub enum HoldEffect<'bytes> {
    /// The change of a call.
    Change(HoldChange<'bytes>),
    /// The whole state, from a rewritten AOF.
    All(Holds),
}

impl<'call> HoldChange<'call> {
    pub(crate) fn put(now: Now, holder: Option<HolderId<'call>>, lease: LimitDuration, units: Cost) -> Self {
        Self { at: now.at(), dating: None, holder, held: Some((lease, units)) }
    }

    pub(crate) fn take(now: Now, holder: HolderId<'call>) -> Self {
        Self { at: now.at(), dating: None, holder: Some(holder), held: None }
    }

    /// Returns the change of a state that must be dated first.
    pub(crate) fn dated(self, now: Now) -> Self {
        Self { dating: Some(now.dating()), ..self }
    }
}

impl State for Holds {
    type Change<'call> = HoldChange<'call>;
    type Effect<'bytes> = HoldEffect<'bytes>;

    fn apply(&mut self, change: &HoldChange<'_>) {
        let HoldChange { at, dating, holder, held } = *change;
        let Some(holder) = holder else { return };
        if let Some(dating) = dating {
            self.date(dating, at);
        }
        self.drop_ended(at);
        let id = holder.get();
        match held {
            Some((lease, units)) => self.put(Hold { id, since: at, lease: lease.get(), units: units.get() }),
            None => {
                if let Some(slot) = self.find(id) {
                    self.remove(slot);
                }
            }
        }
    }

    fn apply_effect(&mut self, effect: HoldEffect<'_>) {
        match effect {
            HoldEffect::Change(change) => self.apply(&change),
            HoldEffect::All(state) => *self = state,
        }
    }

    /// A holder may be taken away from a key that has no other, or none at all.
    fn is_fresh(&self) -> bool {
        self.is_empty()
    }

    fn encode_effect(&self, change: &HoldChange<'_>, mut write: impl FnMut(&[u8])) {
        let HoldChange { at, dating, holder, held } = *change;
        let kind = if held.is_some() { PUT } else { TAKE };
        write(&[kind + if dating.is_some() { DATED } else { 0 }]);
        write(&at.as_micros().to_le_bytes());
        if let Some(Dating { steady_since, least_lead }) = dating {
            write([steady_since.as_micros(), least_lead.as_micros()].map(u64::to_le_bytes).as_flattened());
        }
        if let Some((lease, units)) = held {
            write([lease.get().as_micros(), units.get()].map(u64::to_le_bytes).as_flattened());
        }
        if let Some(holder) = holder {
            write(holder.get());
        }
    }

    fn decode_effect(bytes: &[u8]) -> Option<HoldEffect<'_>> {
        const PUT_DATED: u8 = PUT + DATED;
        const TAKE_DATED: u8 = TAKE + DATED;
        let mut rest = Reader(bytes);
        let (is_put, is_dated) = match rest.byte()? {
            ALL => return Self::decode(bytes).map(HoldEffect::All),
            PUT => (true, false),
            TAKE => (false, false),
            PUT_DATED => (true, true),
            TAKE_DATED => (false, true),
            _ => return None,
        };
        let at = rest.moment()?;
        let dating = if is_dated { Some(rest.dating(at)?) } else { None };
        let held = if is_put { Some(rest.held()?) } else { None };
        let holder = Some(HolderId::new(rest.0).ok()?);
        Some(HoldEffect::Change(HoldChange { at, dating, holder, held }))
    }

    fn used(&self, now: Now, _: Span) -> u64 {
        self.live(now).map(|(_, units)| units).sum()
    }

    fn detail(&self, now: Now, _: Span) -> Option<Detail> {
        Some(Detail::Holders(self.live(now).count()))
    }

    fn heap_size(&self) -> usize {
        let ids: usize = self.holders.0.iter().map(|holder| holder.id.len()).sum();
        self.holders.0.capacity() * size_of::<Holder>() + self.buckets.capacity() * size_of::<Slot>() + ids
    }

    fn relocate(&mut self, moved: usize, by: &impl Relocate) -> Option<usize> {
        if moved == 0 {
            by.vec(&mut self.holders.0);
            by.vec(&mut self.buckets);
        }
        let mut ids = (1..).zip(self.holders.0.iter_mut().map(|holder| &mut holder.id)).skip(moved);
        ids.find_map(|(number, id)| {
            by.boxed_slice(id);
            by.is_interrupted().then_some(number)
        })
    }

    fn latest_stamp(&self) -> Timestamp {
        self.latest
    }

    fn encode(&self, mut write: impl FnMut(&[u8])) {
        write(&[ALL]);
        for hold in self.in_order() {
            let mut header = [0; HEADER_LEN];
            let numbers = [hold.since.as_micros(), hold.lease.as_micros(), hold.units];
            header.as_chunks_mut().0.copy_from_slice(&numbers.map(u64::to_le_bytes));
            #[expect(clippy::cast_possible_truncation, reason = "an id is at most 128 bytes long")]
            let len = hold.id.len() as u8;
            header[HEADER_LEN - 1] = len;
            write(&header);
            write(hold.id);
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = Reader(bytes);
        if rest.byte()? != ALL {
            return None;
        }
        let mut state = Self::default();
        let mut before = None;
        while !rest.0.is_empty() {
            let since = rest.moment()?;
            let (lease, units) = rest.held()?;
            let id = rest.id()?.get();
            let hold = Hold { id, since, lease: lease.get(), units: units.get() };
            let place = Some((hold.end(), id));
            if place <= before || state.len() == MAX_HOLDERS || state.find(id).is_some() {
                return None;
            }
            state.put(hold);
            before = place;
        }
        (!state.is_empty()).then_some(state)
    }
}

/// Bytes from anywhere, read from the front.
struct Reader<'bytes>(&'bytes [u8]);

impl<'bytes> Reader<'bytes> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn number(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    fn moment(&mut self) -> Option<Timestamp> {
        self.number().filter(|micros| *micros <= Timestamp::MAX.as_micros()).map(Timestamp::from_micros)
    }

    fn dating(&mut self, now: Timestamp) -> Option<Dating> {
        let steady_since = self.moment().filter(|moment| *moment <= now)?;
        Some(Dating { steady_since, least_lead: Span::from_micros(self.number()?) })
    }

    fn id(&mut self) -> Option<HolderId<'bytes>> {
        let len = self.byte()?;
        let (id, rest) = self.0.split_at_checked(len.into())?;
        self.0 = rest;
        HolderId::new(id).ok()
    }

    fn held(&mut self) -> Option<(LimitDuration, Cost)> {
        let lease = LimitDuration::new(Span::from_micros(self.number()?)).ok()?;
        Some((lease, Cost::new(self.number()?).ok()?))
    }
}
