//! What the four algorithms are to this crate. Public in private, so that nobody else implements it.

use std::fmt;

use premier_algorithms::{BucketLimit, Fixed, FixedLimit, Leaky, Sliding, SlidingLimit, Token, WindowStart};
use redis::Cmd;

/// An algorithm that has a command.
pub trait Limiter: premier_algorithms::Algorithm<Limit: Arguments> {
    const COMMAND: &'static str;

    /// As commands that take any algorithm call it.
    const WORD: &'static str;
}

/// The arguments of a limit, as a command takes them.
pub trait Arguments: Copy + fmt::Debug {
    fn write_to(&self, command: &mut Cmd);
}

impl Limiter for Fixed {
    const COMMAND: &'static str = "PREMIER.FIXED";
    const WORD: &'static str = "FIXED";
}

impl Limiter for Sliding {
    const COMMAND: &'static str = "PREMIER.SLIDING";
    const WORD: &'static str = "SLIDING";
}

impl Limiter for Token {
    const COMMAND: &'static str = "PREMIER.TOKEN";
    const WORD: &'static str = "TOKEN";
}

impl Limiter for Leaky {
    const COMMAND: &'static str = "PREMIER.LEAKY";
    const WORD: &'static str = "LEAKY";
}

impl Arguments for FixedLimit {
    fn write_to(&self, command: &mut Cmd) {
        SlidingLimit { quota: self.quota, duration: self.duration }.write_to(command);
        if self.start == WindowStart::Aligned {
            command.arg(premier_algorithms::ALIGNED.name);
        }
    }
}

impl Arguments for SlidingLimit {
    fn write_to(&self, command: &mut Cmd) {
        command.arg(self.quota.get()).arg(self.duration.get().to_string());
    }
}

impl Arguments for BucketLimit {
    fn write_to(&self, command: &mut Cmd) {
        command.arg(self.quota.get()).arg(self.duration.get().to_string());
        if let Some(capacity) = self.capacity {
            command.arg(premier_algorithms::CAPACITY.name).arg(capacity.get());
        }
        if let Some(max_wait) = self.max_wait {
            command.arg(premier_algorithms::MAX_WAIT.name).arg(max_wait.get().to_string());
        }
    }
}
