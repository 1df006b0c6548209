//! A process that says where it listens, and ends when it is told to.

use std::{io, process::Stdio};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, copy_buf, sink},
    net::unix::pipe,
    process::{Child, Command},
};

/// Killed where it is dropped.
pub(crate) struct Process(Child);

impl Process {
    /// Also what stands between these two in the first line that has both.
    pub(crate) async fn start(
        command: &mut Command,
        before: &str,
        after: &str,
    ) -> anyhow::Result<(Self, String)> {
        let (said, into) = io::pipe()?;
        command
            .stdin(Stdio::null())
            .stdout(into.try_clone()?)
            .stderr(into)
            .kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("{command:?}"))?;
        // The command keeps the pipe's other end open until it is told of another.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut said = BufReader::new(pipe::Receiver::from_owned_fd(said.into())?);
        let mut all = String::new();
        loop {
            let start = all.len();
            if said.read_line(&mut all).await? == 0 {
                anyhow::bail!("ended before it listened:\n{all}");
            }
            let rest = all[start..].split_once(before);
            if let Some((found, _)) = rest.and_then(|(_, rest)| rest.split_once(after)) {
                let found = found.to_owned();
                // A full pipe would stop it.
                tokio::spawn(async move { copy_buf(&mut said, &mut sink()).await });
                return Ok((Self(child), found));
            }
        }
    }

    /// Lets it end by itself: only so it writes down what it has counted.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.0.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        kill_process(pid.context("has ended before")?, Signal::TERM)?;
        let status = self.0.wait().await?;
        anyhow::ensure!(status.success(), "{status}");
        Ok(())
    }
}
