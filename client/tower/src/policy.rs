use std::borrow::Cow;
use std::fmt::{self, Write as _};

use premier_client::{AnyLimit, Decision, InvalidArgument, Key};

/// A named limit that a request is charged.
///
/// The name is the name of the key in the store, and the name of the policy in the response's
/// headers. Requests with the same name and the same [parts](Self::by) are counted together.
#[derive(Debug, Clone)]
pub struct Policy {
    name: Cow<'static, str>,
    limit: AnyLimit,
    /// The custom part of the key: all parts, as [`Key::custom_parts`] joins them.
    parts: Option<String>,
    is_shadow: bool,
}

impl Policy {
    /// Makes a policy of this name that counts all requests together.
    pub fn new(name: impl Into<Cow<'static, str>>, limit: impl Into<AnyLimit>) -> Self {
        Self { name: name.into(), limit: limit.into(), parts: None, is_shadow: false }
    }

    /// Counts requests with this part apart from others: a user, an address. It may be called
    /// several times.
    #[must_use]
    pub fn by(mut self, part: impl fmt::Display) -> Self {
        let _infallible = write!(Escaped(self.next_part()), "{part}");
        self
    }

    /// Counts requests without a part together, apart from those with any. No part is written like
    /// this: in those, a backslash is followed by a colon or another one.
    pub(crate) fn by_none(mut self) -> Self {
        self.next_part().push_str(r"\-");
        self
    }

    /// Begins another part.
    fn next_part(&mut self) -> &mut String {
        const USUAL_LEN: usize = 24;
        match &mut self.parts {
            Some(parts) => {
                parts.push(':');
                parts
            }
            none => none.insert(String::with_capacity(USUAL_LEN)),
        }
    }

    /// Sets the units that the request takes, 1 to 10¹².
    ///
    /// # Errors
    /// If the cost is out of bounds.
    pub fn try_cost(self, cost: u64) -> Result<Self, InvalidArgument> {
        Ok(Self { limit: self.limit.try_cost(cost)?, ..self })
    }

    /// Charges the request, but never limits it: see [`Rule::shadow`](crate::Rule::shadow).
    #[must_use]
    pub fn shadow(self) -> Self {
        Self { is_shadow: true, ..self }
    }

    pub(crate) fn is_shadow(&self) -> bool {
        self.is_shadow
    }

    pub(crate) fn limit(&self) -> AnyLimit {
        self.limit
    }

    pub(crate) fn key(&self) -> Key<'_> {
        let key = Key::named(&self.name);
        match &self.parts {
            Some(parts) => key.custom(parts),
            None => key,
        }
    }

    pub(crate) fn decided(self, decision: Decision, is_charged: bool) -> PolicyDecision {
        PolicyDecision { name: self.name, limit: self.limit, is_shadow: self.is_shadow, decision, is_charged }
    }
}

/// Writes a part of a key as [`Key::custom_parts`] does.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if !part.contains([':', '\\']) {
            self.0.push_str(part);
            return Ok(());
        }
        for piece in part.split_inclusive([':', '\\']) {
            match piece.strip_suffix([':', '\\']) {
                Some(before) => {
                    self.0.push_str(before);
                    self.0.push('\\');
                    self.0.push_str(&piece[before.len()..]);
                }
                None => self.0.push_str(piece),
            }
        }
        Ok(())
    }
}

/// The decision of a policy on a request.
#[derive(Debug, Clone)]
pub struct PolicyDecision {
    name: Cow<'static, str>,
    limit: AnyLimit,
    is_shadow: bool,
    decision: Decision,
    is_charged: bool,
}

impl PolicyDecision {
    /// Returns the name of the policy.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the limit of the policy.
    #[must_use]
    pub const fn limit(&self) -> AnyLimit {
        self.limit
    }

    /// Returns what the policy alone decides.
    pub const fn decision(&self) -> Decision {
        self.decision
    }

    /// Returns the units that are left now: after the request, or as before if it was limited by
    /// another policy.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        let uncharged = self.decision.is_admitted() && !self.is_charged;
        self.decision.remaining() + if uncharged { self.limit.terms().cost() } else { 0 }
    }

    /// Returns whether the policy never limits a request.
    #[must_use]
    pub const fn is_shadow(&self) -> bool {
        self.is_shadow
    }

    /// Returns whether the request violates the policy, in shadow or not.
    #[must_use]
    pub const fn is_violated(&self) -> bool {
        !self.decision.is_admitted()
    }
}
