//! A running server, as a process or in a container.

use std::env;
use std::fmt::Debug;
use std::path::Path;

use crate::Mode;
#[cfg(feature = "containers")]
use crate::container::Container;
use crate::process::Process;

/// A running server. Dropping it kills it.
pub(crate) trait Running: Debug + Send + Sync {
    fn is_running(&mut self) -> bool;

    /// Asks it to end, as an operator would.
    fn terminate(&mut self);

    /// Stops it where it is, as a machine that hangs.
    fn suspend(&mut self);

    /// Lets it go on after [`Running::suspend`].
    fn resume(&mut self);

    /// Ends it as a crash would, and waits for the end.
    fn kill(&mut self);
}

/// Runs a server in `dir`, with the configuration and the log file there: in a container of
/// `PREMIER_TEST_IMAGE` if that is set.
pub(crate) fn run(wrapper: &[String], dir: &Path, mode: Mode, module: Option<&Path>) -> Box<dyn Running> {
    match env::var("PREMIER_TEST_IMAGE") {
        #[cfg(feature = "containers")]
        Ok(image) => {
            assert!(wrapper.is_empty(), "{wrapper:?} is not in the image");
            Box::new(Container::start(&image, dir, mode, module))
        }
        #[cfg(not(feature = "containers"))]
        Ok(image) => panic!("no {module:?} in a container of {image}: this was built without the feature `containers`"),
        Err(_) => Box::new(Process::spawn(wrapper, dir, mode)),
    }
}
