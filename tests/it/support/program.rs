//! The real binary as a child process. Whatever a test does, its children end with it.

use std::{
    cell::RefCell,
    env, fs,
    io::{BufRead as _, BufReader, Read, Write as _},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use serde_json::Value;
use tokio::time::Instant;

use super::PATIENCE;

/// A running `incidentgate`, killed when dropped.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

/// What a program prints, line by line.
#[derive(Debug)]
struct Lines {
    coming: Receiver<String>,
    seen: RefCell<String>,
}

/// How a program ended, and all that it has printed.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A gateway in a process of its own.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) program: Program,
    pub(crate) addr: SocketAddr,
}

// === impl Program ===

impl Program {
    /// Starts `incidentgate` with these arguments and nothing on stdin.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[], "")
    }

    /// The same with variables, and a text on stdin.
    pub(crate) fn start_with(arguments: &[&str], variables: &[(&str, &str)], stdin: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_incidentgate"));
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            let is_proxy = text.to_ascii_lowercase().ends_with("_proxy");
            if is_proxy || text.starts_with("INCIDENTGATE_") || text.starts_with("OTEL_") {
                command.env_remove(&name);
            }
        }
        let mut child = command
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input: ChildStdin = child.stdin.take().unwrap();
        // A child that does not want it may have closed it.
        input.write_all(stdin.as_bytes()).ok();
        let stdout = Lines::of(child.stdout.take().unwrap());
        let stderr = Lines::of(child.stderr.take().unwrap());
        Self {
            child,
            stdout,
            stderr,
        }
    }

    /// The next line on stderr that `wanted` likes.
    #[track_caller]
    pub(crate) fn log_line<T>(&self, wanted: impl Fn(&str) -> Option<T>) -> T {
        self.stderr.next(wanted)
    }

    /// The next line on stdout that `wanted` likes.
    #[track_caller]
    pub(crate) fn output_line<T>(&self, wanted: impl Fn(&str) -> Option<T>) -> T {
        self.stdout.next(wanted)
    }

    /// The memory that is in use, in KiB (`VmRSS` of proc(5)).
    pub(crate) fn resident_kib(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = value.unwrap().trim().strip_suffix(" kB").unwrap();
        kib.parse().unwrap()
    }

    /// Sends a signal, as in `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(status.success(), "{kill}");
    }

    /// kill -9, at this moment: [`signal`](Self::signal) takes longer than what it is to hit.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn ended(mut self) -> Ended {
        let stdout = self.stdout.all();
        let stderr = self.stderr.all();
        // Both outputs are closed, so the end is near.
        let code = self.child.wait().unwrap().code();
        Ended {
            code,
            stdout,
            stderr,
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs `incidentgate` to its end.
#[track_caller]
pub(crate) fn run(arguments: &[&str]) -> Ended {
    Program::start(arguments).ended()
}

// === impl Lines ===

impl Lines {
    fn of(output: impl Read + Send + 'static) -> Self {
        let (sender, coming) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let Ok(line) = line else { break };
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            coming,
            seen: RefCell::default(),
        }
    }

    /// Reads until `wanted` likes a line, or, without one, to the end.
    #[track_caller]
    fn read<T>(&self, wanted: impl Fn(&str) -> Option<T>) -> Option<T> {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.coming.recv_timeout(left) {
                Ok(line) => {
                    let found = wanted(&line);
                    self.seen.borrow_mut().push_str(&(line + "\n"));
                    if found.is_some() {
                        return found;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("not within {PATIENCE:?}, only\n{}", self.seen.borrow())
                }
            }
        }
    }

    #[track_caller]
    fn next<T>(&self, wanted: impl Fn(&str) -> Option<T>) -> T {
        let Some(found) = self.read(wanted) else {
            panic!("the line did not come, only\n{}", self.seen.borrow());
        };
        found
    }

    #[track_caller]
    fn all(&self) -> String {
        self.read(|_| None::<()>);
        self.seen.take()
    }
}

// === impl Server ===

impl Server {
    /// `serve --sandbox`, and all else as by default.
    pub(crate) fn with_sandbox() -> Self {
        Self::with_variables(&[])
    }

    /// The same with variables.
    pub(crate) fn with_variables(variables: &[(&str, &str)]) -> Self {
        Self::start(
            &["serve", "--sandbox", "--listen", "127.0.0.1:0"],
            variables,
        )
    }

    /// In front of a stand-alone sandbox, with a drain that does not wait for load
    /// balancers.
    pub(crate) fn before(sandbox: &Simulator) -> Self {
        Self::before_graph(&format!("http://{}/beta", sandbox.addr), &[])
    }

    /// The same in front of any Graph, with variables.
    pub(crate) fn before_graph(url: &str, variables: &[(&str, &str)]) -> Self {
        let no_delay = ("INCIDENTGATE_DRAIN__DELAY", "0s");
        Self::start(
            &["serve", "--listen", "127.0.0.1:0", "--graph-url", url],
            &[&[no_delay], variables].concat(),
        )
    }

    fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let program = Program::start_with(arguments, variables, "");
        let addr = program.log_line(|line| address(line, "listen"));
        Self { program, addr }
    }

    /// As `--endpoint` takes it.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Runs `execute` with more arguments against this gateway.
    #[track_caller]
    pub(crate) fn execute(&self, arguments: &[&str]) -> Ended {
        let endpoint = self.endpoint();
        run(&[&["execute", "--endpoint", &endpoint], arguments].concat())
    }
}

/// The address in a field of a JSON log line.
fn address(line: &str, field: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    line.get(field)?.as_str()?.parse().ok()
}

/// `incidentgate sandbox` in a process of its own.
#[derive(Debug)]
pub(crate) struct Simulator {
    pub(crate) addr: SocketAddr,
    _program: Program,
}

// === impl Simulator ===

impl Simulator {
    pub(crate) fn start() -> Self {
        let program = Program::start(&["sandbox", "--listen", "127.0.0.1:0"]);
        let addr = program.output_line(|line| {
            let (_, url) = line.split_once(" at http://")?;
            url.strip_suffix("/beta")?.parse().ok()
        });
        Self {
            addr,
            _program: program,
        }
    }

    /// The next call for the task is held until it is released.
    pub(crate) fn hold(&self, task: &str) {
        let path = format!("/sandbox/tasks/{task}/faults");
        control(self.addr, "POST", &path, r#"[{"hold": true}]"#);
    }

    pub(crate) fn release(&self, task: &str) {
        control(
            self.addr,
            "POST",
            &format!("/sandbox/tasks/{task}/release"),
            "",
        );
    }

    /// What was received so far.
    pub(crate) fn journal(&self) -> Vec<Value> {
        let journal = control(self.addr, "GET", "/sandbox/journal", "");
        serde_json::from_str(&journal).unwrap()
    }

    /// Returns once a request has arrived.
    #[track_caller]
    pub(crate) fn wait_for_a_request(&self) {
        let end = Instant::now() + PATIENCE;
        while self.journal().is_empty() {
            assert!(Instant::now() < end, "no request within {PATIENCE:?}");
            thread::yield_now();
        }
    }
}

/// One request to the control API; the answer's body.
#[track_caller]
fn control(sandbox: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let mut socket = TcpStream::connect(sandbox).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let length = body.len();
    write!(
        socket,
        "{method} {path} HTTP/1.1\r\nhost: {sandbox}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 2"), "{answer}");
    body.to_owned()
}

/// A file that is removed when the test ends.
#[derive(Debug)]
pub(crate) struct TempFile(PathBuf);

// === impl TempFile ===

impl TempFile {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let path = env::temp_dir().join(format!("incidentgate-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}
