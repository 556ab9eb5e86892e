//! Calls with several limits, whose keys are in several slots of a cluster.

use premier_blocking::also_blocking;

#[cfg(feature = "tokio")]
use super::AsyncThrottler;
use super::Throttler;
use super::observe::Asked;
use crate::backend::{All, Check, Peek};
use crate::decision::JointLimits;
use crate::{AnyLimit, Decision, Error, JointDecision, Key, Receipt};

/// The limits of a call that are in the same slot, by their indices.
struct Group {
    slot: usize,
    members: Vec<usize>,
}

/// The answers that limits have given so far.
struct Answers<'a> {
    limits: &'a [(String, AnyLimit)],
    each: Vec<Option<Decision>>,
    /// How many replicas have confirmed each slot, at least.
    confirmed_by: Option<u32>,
}

#[also_blocking]
impl AsyncThrottler {
    /// [`check_all`](Self::check_all) for limits whose keys are in several slots of a cluster:
    /// charges one slot after the other, in the order of the limits. If one slot limits the call,
    /// the slots before it get back what they were charged.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use premier_client::{AnyLimit, AsyncBackend, AsyncThrottler, Limit, key};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), premier_client::Error> {
    /// let throttler = AsyncThrottler::builder(AsyncBackend::memory()).build();
    /// let a_user: AnyLimit = Limit::token_bucket(5, Duration::from_secs(1)).into();
    /// let all_users: AnyLimit = Limit::sliding_window(1_000, Duration::from_secs(60)).into();
    ///
    /// // In a cluster, each user is in a slot of their own.
    /// let limits = [(key!("api", "ada"), a_user), (key!("api"), all_users)];
    /// let receipt = throttler.check_all_across(&limits).await?;
    /// assert!(receipt.is_admitted());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// It is **not atomic**: until a limited call has given its units back, other calls may be
    /// limited although there would be room for them. No limit admits more than it would otherwise,
    /// as all are charged before the call goes ahead, and units are given back by a
    /// [refund](Self::refund). If the caller is dropped, the process dies or a reply is lost
    /// between two slots, the slots before stay charged. Put the limit first that limits most
    /// often: then most limited calls are charged nothing.
    ///
    /// Limits in the same slot are charged atomically, so on a single server and in memory this is
    /// [`check_all`](Self::check_all).
    ///
    /// # Errors
    /// As for [`check_all`](Self::check_all). What was charged by then is given back.
    pub async fn check_all_across(&self, limits: &[(Key<'_>, AnyLimit)]) -> Result<Receipt<JointDecision>, Error> {
        let (named, limits) = (limits, self.settings.stored(limits)?);
        let _are_valid = JointLimits::new(&limits)?;
        let decision = self.decide_across(&limits).await;
        let asked = named.iter().zip(&limits).map(|((named, _), (key, limit))| Asked::rate(named, key, limit));
        let decision = self.settings.conclude_together(asked, decision)?;
        Ok(Receipt::joint(self.settings.number, decision, limits))
    }

    async fn decide_across(&self, limits: &[(String, AnyLimit)]) -> Result<JointDecision, Error> {
        let mut answers = Answers { limits, each: vec![None; limits.len()], confirmed_by: None };
        let mut charged = Vec::new();
        for Group { members, .. } in self.groups(limits) {
            let of_group = answers.limits_of(&members);
            let answer = self.ask(&All(JointLimits::new(&of_group)?)).await;
            if let Ok(joint) = &answer {
                answers.learn(&members, joint);
                if joint.is_admitted() {
                    charged.push(Receipt::joint(self.settings.number, joint.clone(), of_group));
                    continue;
                }
            }
            for receipt in charged {
                // If this fails, the slot stays charged.
                let _ = self.give_back(receipt.into(), None).await;
            }
            let joint = answer?;
            let binding = members[joint.binding()];
            let each = self.fill(answers).await?;
            return Ok(JointDecision { decision: joint.decision(), binding, each });
        }
        let confirmed_by = answers.confirmed_by;
        let joint = JointDecision::admitted(self.fill(answers).await?);
        Ok(match confirmed_by {
            Some(replicas) => joint.confirmed(replicas),
            None => joint,
        })
    }

    fn groups(&self, limits: &[(String, AnyLimit)]) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for (index, (key, _)) in limits.iter().enumerate() {
            let slot = self.backend.slot(key);
            match groups.iter_mut().find(|group| group.slot == slot) {
                Some(group) => group.members.push(index),
                None => groups.push(Group { slot, members: vec![index] }),
            }
        }
        groups
    }

    /// Previews the limits that the call has not reached.
    async fn fill(&self, answers: Answers<'_>) -> Result<Vec<Decision>, Error> {
        let mut each = Vec::with_capacity(answers.each.len());
        for ((key, limit), answer) in answers.limits.iter().zip(answers.each) {
            each.push(match answer {
                Some(decision) => decision,
                None => self.ask(&Peek(Check { key, limit })).await?,
            });
        }
        Ok(each)
    }
}

impl Answers<'_> {
    fn limits_of(&self, members: &[usize]) -> Vec<(String, AnyLimit)> {
        members.iter().map(|&member| self.limits[member].clone()).collect()
    }

    fn learn(&mut self, members: &[usize], joint: &JointDecision) {
        for (&member, decision) in members.iter().zip(joint.each()) {
            self.each[member] = Some(*decision);
        }
        if let Some(replicas) = joint.decision().confirmed_by() {
            self.confirmed_by = Some(self.confirmed_by.map_or(replicas, |fewest| fewest.min(replicas)));
        }
    }
}
