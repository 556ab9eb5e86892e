use std::error::Error;
use std::ffi::CStr;
use std::fmt;

/// Why the module cannot be loaded.
#[derive(Debug)]
pub enum LoadError {
    /// The server is too old: it lacks this function of the interface.
    Interface(&'static str),
    /// The server refuses a data type.
    DataType(&'static CStr),
    /// The server refuses a command.
    Command(&'static CStr),
    /// The server does not let the module subscribe to its events.
    Events,
    /// The server refuses the section of INFO.
    Report,
    /// The server refuses a setting.
    Setting(&'static CStr),
    /// A setting in the server's configuration is invalid. The server logs which.
    Settings,
    /// An argument of `loadmodule` is invalid. The sentence says what is allowed.
    Argument(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(name) => write!(f, "this server is too old: it lacks {name}"),
            Self::DataType(name) => write!(f, "the server refuses the data type {}", name.to_string_lossy()),
            Self::Events => f.write_str("the server refuses the subscription to its events"),
            Self::Report => f.write_str("the server refuses the module's section of INFO"),
            Self::Setting(name) => write!(f, "the server refuses the setting {}", name.to_string_lossy()),
            Self::Settings => f.write_str("one of its settings is invalid; the line above says which"),
            Self::Argument(sentence) => f.write_str(sentence),
            Self::Command(name) => {
                write!(
                    f,
                    "the server refuses the command {}: has another module registered it?",
                    name.to_string_lossy()
                )
            }
        }
    }
}

impl Error for LoadError {}
