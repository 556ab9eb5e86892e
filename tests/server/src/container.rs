//! A server in a container, on the host's network and in the server's folder on the host: a test
//! sees no difference to a process.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;

use crate::process::Process;
use crate::running::Running;
use crate::{POLL_INTERVAL, config_file, log_file, module_path};

/// The program of the server in the image.
const SERVER: &str = "$(command -v redis-server || command -v valkey-server)";

#[derive(Debug)]
pub(crate) struct Container {
    name: String,
    /// `docker run`. It passes signals on, and ends when the container is removed.
    client: Process,
}

impl Container {
    pub(crate) fn start(image: &str, dir: &Path, module: Option<&Path>) -> Self {
        // Unique, as is the folder's.
        let name = dir.file_name().expect("the server's folder has a name").display().to_string();
        let owner = dir.metadata().expect("the server's folder is there");
        let mount = |path: &Path| format!("--mount=type=bind,source={0},target={0}", path.display());
        // A test may load a module later into a server that starts without one.
        let module = module.map_or_else(module_path, Path::to_path_buf);
        // Into a file, as the log of a process: the engine's log would go with the container.
        let command = format!("exec {SERVER} '{}' >> '{}' 2>&1", config_file(dir).display(), log_file(dir).display());
        let words = [
            "docker",
            "run",
            "--rm",
            "--network=host",
            &format!("--name={name}"),
            &format!("--user={}:{}", owner.uid(), owner.gid()),
            &format!("--workdir={}", dir.display()),
            &mount(dir),
            &mount(&module),
            "--entrypoint=sh",
            image,
            "-c",
            &command,
        ];
        let client = Process::run("TERM", words.map(Into::into).into(), dir);
        Self { name, client }
    }
}

impl Running for Container {
    fn is_running(&mut self) -> bool {
        self.client.is_running()
    }

    fn terminate(&mut self) {
        self.client.terminate();
    }

    fn kill(&mut self) {
        while self.is_running() {
            // Fails before the container has started, and after it has ended.
            let _ = Command::new("docker").args(["kill", &self.name]).output();
            sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.kill();
    }
}
