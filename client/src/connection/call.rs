//! What is sent to a store: a command, or a script.

use redis::Cmd;
#[cfg(feature = "script")]
use redis::{ServerErrorKind, ToSingleRedisArg, Value};

use super::request::Replies;
#[cfg(feature = "script")]
use crate::script::Text;

/// A command, or a call of a script by its hash.
pub(crate) struct Call {
    command: Cmd,
    #[cfg(feature = "script")]
    script: Option<&'static Text>,
}

impl From<Cmd> for Call {
    fn from(command: Cmd) -> Self {
        Self {
            command,
            #[cfg(feature = "script")]
            script: None,
        }
    }
}

impl Call {
    /// Returns the command to send first.
    pub(super) fn command(&self) -> &Cmd {
        &self.command
    }

    /// Returns the command with the text of its script, if these replies say that the server does
    /// not know its hash. A server that says so has executed nothing.
    #[cfg(feature = "script")]
    #[inline]
    pub(super) fn by_text(&self, replies: &Replies) -> Option<Cmd> {
        let is_unknown = matches!(
            replies.last(),
            Some(Value::ServerError(error)) if error.kind() == Some(ServerErrorKind::NoScript)
        );
        self.script.filter(|_| is_unknown).map(|script| script.call_by_text(&self.command))
    }

    /// Returns nothing, as a command is never sent in another form.
    #[cfg(not(feature = "script"))]
    #[expect(clippy::unused_self, reason = "only a script has a text")]
    pub(super) fn by_text(&self, _: &Replies) -> Option<Cmd> {
        None
    }
}

#[cfg(feature = "script")]
impl Call {
    /// Makes a call of the script that this command calls by its hash.
    pub(crate) fn of_script(command: Cmd, script: &'static Text) -> Self {
        Self { command, script: Some(script) }
    }

    /// Adds an argument.
    pub(crate) fn arg(&mut self, argument: impl ToSingleRedisArg) {
        self.command.arg(argument);
    }
}
