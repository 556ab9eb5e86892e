//! A server in a container, on the host's network and in the server's folder on the host: a test
//! sees no difference to a process.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use testcontainers::core::Mount;
use testcontainers::runners::SyncRunner;
use testcontainers::{ContainerRequest, GenericImage, ImageExt};

use crate::running::Running;
use crate::{Mode, PATIENCE, config_file, log_file, module_path};

/// The program of the server in the image.
const SERVER: &str = "$(command -v redis-server || command -v valkey-server)";

/// `None` after it was killed.
#[derive(Debug)]
pub(crate) struct Container(Option<testcontainers::Container<GenericImage>>);

impl Container {
    pub(crate) fn start(image: &str, dir: &Path, mode: Mode, module: Option<&Path>) -> Self {
        // Into a file, as the log of a process: the engine's log would go with the container.
        let (config, log) = (config_file(dir), log_file(dir));
        let argument = mode.argument().unwrap_or_default();
        let command = format!("exec {SERVER} '{}' {argument} >> '{}' 2>&1", config.display(), log.display());
        let owner = dir.metadata().expect("the server's folder is there");
        let request = generic_image(image)
            .with_entrypoint("sh")
            .with_cmd(["-c", &command])
            .with_network("host")
            .with_user(format!("{}:{}", owner.uid(), owner.gid()))
            .with_working_dir(dir.display().to_string());
        // A test may load a module later into a server that starts without one.
        let module = module.map_or_else(module_path, Path::to_path_buf);
        let container = [dir, &module]
            .into_iter()
            .fold(request, mounted)
            .start()
            .unwrap_or_else(|error| panic!("cannot run a container of {image}: {error}"));
        Self(Some(container))
    }
}

impl Running for Container {
    fn is_running(&mut self) -> bool {
        self.0.as_ref().is_some_and(|container| container.is_running().expect("the engine answers"))
    }

    fn terminate(&mut self) {
        let Some(container) = &self.0 else { return };
        let patience = i32::try_from(PATIENCE.as_secs()).expect("a few seconds");
        container.stop_with_timeout(Some(patience)).expect("the engine answers");
        let exit_code = container.exit_code().expect("the engine answers");
        assert_eq!(exit_code, Some(0), "the server did not end by itself");
    }

    fn suspend(&mut self) {
        if let Some(container) = &self.0 {
            at_once(container.pause()).expect("a running container can be paused");
        }
    }

    fn resume(&mut self) {
        if let Some(container) = &self.0 {
            at_once(container.unpause()).expect("a paused container can go on");
        }
    }

    fn kill(&mut self) {
        if let Some(container) = self.0.take() {
            container.rm().expect("a container can be removed");
        }
    }
}

/// Returns the result of a function that is declared async, but blocks.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => unreachable!("it has blocked until the end"),
    }
}

/// Returns the image of `name` or `name:tag`.
fn generic_image(image: &str) -> GenericImage {
    match image.rsplit_once(':') {
        // Behind a slash it is a tag, before one the port of a registry.
        Some((name, tag)) if !tag.contains('/') => GenericImage::new(name, tag),
        _ => GenericImage::new(image, "latest"),
    }
}

fn mounted(request: ContainerRequest<GenericImage>, path: &Path) -> ContainerRequest<GenericImage> {
    let path = path.display().to_string();
    request.with_mount(Mount::bind_mount(&path, &path))
}
