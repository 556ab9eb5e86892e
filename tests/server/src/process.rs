//! The operating system's side of a server: a child process that cannot outlive its test.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, absolute};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::running::Running;
use crate::{Mode, config_file, log_file};

#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    /// Runs redis-server in `dir` with the configuration that lies there.
    pub(crate) fn spawn(wrapper: &[String], dir: &Path, mode: Mode) -> Self {
        // By way of the output, not `logfile`: what the server says before it has read its
        // configuration counts too.
        let log =
            File::options().create(true).append(true).open(log_file(dir)).expect("the server's folder is writable");
        let mut words: Vec<OsString> = DIE_WITH_THIS_THREAD.iter().map(OsString::from).collect();
        words.extend(wrapper.iter().map(OsString::from));
        words.push(redis_server());
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .arg(config_file(dir))
            .args(mode.argument())
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file handle can be cloned"))
            .stderr(log);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {words:?}: {error}; `make setup` installs redis-server"));
        Self(child)
    }

    fn signal(&mut self, signal: Signal) {
        // An ended process is not signalled: by now its id may belong to another one.
        if self.is_running() {
            let id = Pid::from_raw(self.0.id().try_into().expect("a process id fits its type"));
            kill(id, signal).expect("a running child can be signalled");
        }
    }
}

impl Running for Process {
    fn is_running(&mut self) -> bool {
        self.0.try_wait().expect("a child can be waited for").is_none()
    }

    fn terminate(&mut self) {
        self.signal(Signal::SIGTERM);
    }

    fn suspend(&mut self) {
        self.signal(Signal::SIGSTOP);
    }

    fn resume(&mut self) {
        self.signal(Signal::SIGCONT);
    }

    fn kill(&mut self) {
        // Both fail only when the process has already ended, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A path is made absolute, as the server runs in another folder; a bare name is left to the
/// `PATH`.
fn redis_server() -> OsString {
    let Some(server) = env::var_os("PREMIER_REDIS_SERVER") else {
        return "redis-server".into();
    };
    if Path::new(&server).components().count() == 1 {
        return server;
    }
    absolute(server).expect("PREMIER_REDIS_SERVER is a path").into()
}

/// Put before a command line: runs it so that it is killed when the thread that started it ends. It
/// becomes the command by `exec`, so the process id stays the same.
#[cfg(target_os = "linux")]
const DIE_WITH_THIS_THREAD: &[&str] = &["setpriv", "--pdeathsig", "KILL", "--"];

/// Other systems have no such signal: there only dropping the server ends it.
#[cfg(not(target_os = "linux"))]
const DIE_WITH_THIS_THREAD: &[&str] = &[];
