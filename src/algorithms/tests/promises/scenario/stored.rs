//! A key as a server stores it: with the moment at which it expires.

use premier_algorithms::{Refund, Span};

use super::{Key, Kind, Subject};
use crate::model::{Limits, Reply};

#[derive(Debug)]
pub(crate) struct Stored<A: Subject> {
    key: Key<A>,
    expiry: u64,
    /// The expiry is rounded up to a multiple of this.
    grain: u64,
}

impl<A: Subject> Clone for Stored<A> {
    fn clone(&self) -> Self {
        Self { key: self.key.clone(), ..*self }
    }
}

impl<A: Subject> Stored<A> {
    pub(crate) fn fresh(grain: u64) -> Self {
        Self { key: Key::fresh(), expiry: 0, grain }
    }

    /// Returns the key, expired or not.
    pub(crate) fn key(&self) -> &Key<A> {
        &self.key
    }

    /// Returns whether the key has not expired.
    pub(crate) fn is_there(&self, now: u64) -> bool {
        now < self.expiry
    }

    /// Makes a call of this kind, limited or forced.
    pub(crate) fn call(&mut self, now: u64, limits: &Limits, kind: Kind, cost: u64) -> Reply {
        if !self.is_there(now) {
            self.key = Key { clock: self.key.clock, ..Key::fresh() };
        }
        let reply = self.key.make(now, limits, kind, cost);
        if reply.is_admitted() {
            self.expire_after(now, reply.reset);
        }
        reply
    }

    /// Returns the reply that a limited call would get.
    pub(crate) fn ask(&self, now: u64, limits: &Limits, cost: u64) -> Reply {
        self.clone().call(now, limits, Kind::Limited, cost)
    }

    pub(crate) fn refund(&mut self, now: u64, units: u64) -> Refund {
        if !self.is_there(now) {
            return Refund { units: 0, reset: Span::ZERO };
        }
        let refund = self.key.refund(now, self.expiry - now, units);
        if refund.reset == Span::ZERO {
            self.expiry = 0;
        } else {
            self.expire_after(now, refund.reset.as_micros());
        }
        refund
    }

    fn expire_after(&mut self, now: u64, reset: u64) {
        self.expiry = (now + reset).next_multiple_of(self.grain);
    }
}
