use crate::{Decision, Outcome, Span};

/// What several limits answer to one call that is charged to all of them or to none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joint {
    /// The answer of the binding limit, with the longest wait of all.
    pub decision: Decision<()>,
    /// Which limit that is. Of several the first one.
    pub binding: usize,
}

impl Joint {
    /// The answer to a call, from what each limit would answer it alone; `None` if there is no limit.
    ///
    /// The call is admitted if each limit admits it; the binding limit is then the one that leaves the least, and the call waits
    /// until it is its turn by all. Otherwise it is the one that limits for longest.
    #[must_use]
    pub fn new(alone: &[Decision<()>]) -> Option<Self> {
        let limiting = alone.iter().enumerate().filter_map(|(index, decision)| match decision.outcome {
            Outcome::Limited { retry } => Some((index, retry)),
            Outcome::Admitted { .. } => None,
        });
        // Of several that are the greatest the last one is found, so from the end.
        if let Some((binding, _)) = limiting.rev().max_by_key(|(_, retry)| *retry) {
            return Some(Self { decision: alone[binding].clone(), binding });
        }
        let (binding, least) = alone.iter().enumerate().min_by_key(|(_, decision)| decision.remaining)?;
        let wait = alone.iter().filter_map(Decision::wait).max().unwrap_or(Span::ZERO);
        let outcome = Outcome::Admitted { wait, change: () };
        Some(Self { decision: Decision { outcome, ..least.clone() }, binding })
    }
}

impl<Change> Decision<Change> {
    /// The answer alone, without what it changes.
    #[must_use]
    pub fn answer(&self) -> Decision<()> {
        let outcome = match self.outcome {
            Outcome::Admitted { wait, .. } => Outcome::Admitted { wait, change: () },
            Outcome::Limited { retry } => Outcome::Limited { retry },
        };
        Decision { outcome, limit: self.limit, remaining: self.remaining, reset: self.reset }
    }

    /// How long an admitted call has to wait before it goes ahead.
    fn wait(&self) -> Option<Span> {
        match self.outcome {
            Outcome::Admitted { wait, .. } => Some(wait),
            Outcome::Limited { .. } => None,
        }
    }
}
