//! A unix socket as listener: its file, from bind to removal.

use std::{
    fs::{self, Metadata, Permissions},
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use tokio::{
    net::{UnixListener, UnixStream},
    time::timeout,
};

use super::listener::BACKLOG;

/// Owner and group may connect, which needs the right to write (unix(7)).
const MODE: u32 = 0o660;
/// A connection to a socket of this machine takes microseconds, unless its queue is full,
/// and then somebody is there.
const PROBE: Duration = Duration::from_secs(1);

/// A listener whose file is removed with it.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file: another process may have put its own in its place.
    identity: (u64, u64),
}

/// Why there is no such listener.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Whatever it is, it was not left behind by a gateway.
    #[error("{} exists and is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// Another process listens there.
    #[error("{} is in use: another process listens on it", .0.display())]
    InUse(PathBuf),
    /// Nobody could tell whether another process listens there.
    #[error("{} exists, and it cannot be told whether a process listens on it", .0.display())]
    Probe(PathBuf, #[source] io::Error),
    /// The socket could not be set up.
    #[error("{} cannot be listened on", .0.display())]
    Io(PathBuf, #[source] io::Error),
}

// === impl UnixSocket ===

impl UnixSocket {
    /// Listens on `path` with mode 0660. A socket that a dead process has left behind is
    /// replaced; anything else that exists is an error.
    ///
    /// The mode is set while the socket is bound and does not listen yet, so that nobody
    /// can connect before, whatever the umask. Two gateways that start on one path in the
    /// same moment can still take each other's socket for one left behind.
    pub async fn bind(path: &Path) -> Result<Self, BindError> {
        remove_stale(path).await?;
        let failed = |error| BindError::Io(path.to_owned(), error);
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
        socket
            .bind(&SockAddr::unix(path).map_err(failed)?)
            .map_err(failed)?;
        let identity = identity(&fs::symlink_metadata(path).map_err(failed)?);
        let listen = || {
            fs::set_permissions(path, Permissions::from_mode(MODE))?;
            socket.set_nonblocking(true)?;
            socket.listen(BACKLOG.into())?;
            UnixListener::from_std(socket.into())
        };
        match listen() {
            Ok(listener) => Ok(Self {
                listener,
                path: path.to_owned(),
                identity,
            }),
            Err(error) => {
                remove_own(path, identity);
                Err(failed(error))
            }
        }
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next connection. Cancel-safe.
    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }

    /// Nobody finds it any more; those who have connected are still there.
    pub(super) fn remove_file(&self) {
        remove_own(&self.path, self.identity);
    }

    /// The open socket.
    pub(super) fn listener(&self) -> SockRef<'_> {
        SockRef::from(&self.listener)
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // The open socket holds the file's identity: no other one can have it.
        self.remove_file();
    }
}

async fn remove_stale(path: &Path) -> Result<(), BindError> {
    let failed = |error| BindError::Io(path.to_owned(), error);
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(BindError::NotASocket(path.to_owned()));
    }
    match timeout(PROBE, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        // Its owner has just left and taken the file with it.
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // A full queue is EAGAIN (connect(2)): somebody listens and is busy.
        Ok(Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {
            Err(BindError::Probe(path.to_owned(), error))
        }
        Ok(_) | Err(_) => Err(BindError::InUse(path.to_owned())),
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Removes the file, unless another one has taken its place.
fn remove_own(path: &Path, own: (u64, u64)) {
    let is_own = fs::symlink_metadata(path).is_ok_and(|metadata| identity(&metadata) == own);
    if is_own && let Err(error) = fs::remove_file(path) {
        tracing::warn!(
            path = %path.display(),
            error = &error as &dyn std::error::Error,
            "the socket's file could not be removed"
        );
    }
}
