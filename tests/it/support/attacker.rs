//! A peer that writes HTTP/2 frames as no library would let it, and reads whatever comes.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, WriteHalf},
    net::TcpStream,
    sync::watch,
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    frames::frame,
    valve::{Frame, SETTINGS, frames},
    within,
};

/// RFC 9113, section 3.4.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection whose every byte is the test's.
pub(crate) struct Attacker {
    writer: WriteHalf<Box<dyn Stream>>,
    heard: watch::Receiver<Arc<Vec<u8>>>,
    /// Ends with the attacker, so that nothing holds the connection.
    reading: AbortOnDropHandle<()>,
}

// === impl Attacker ===

impl Attacker {
    /// Connects and says nothing.
    pub(crate) async fn silent(addr: SocketAddr) -> Self {
        Self::on(within(TcpStream::connect(addr)).await.unwrap())
    }

    /// Speaks on any stream.
    pub(crate) fn on(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (mut reader, writer) = tokio::io::split(Box::new(stream) as Box<dyn Stream>);
        let (told, heard) = watch::channel(Arc::new(Vec::new()));
        let reading = tokio::spawn(async move {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(read @ 1..) = reader.read(&mut buffer).await {
                told.send_modify(|heard| Arc::make_mut(heard).extend_from_slice(&buffer[..read]));
            }
        });
        Self {
            writer,
            heard,
            reading: AbortOnDropHandle::new(reading),
        }
    }

    /// Connects and says hello, with these settings (RFC 9113, section 6.5.1).
    pub(crate) async fn connect_with(addr: SocketAddr, settings: &[u8]) -> Self {
        let mut attacker = Self::silent(addr).await;
        let hello = [PREFACE, &frame(SETTINGS, 0, 0, settings)].concat();
        assert!(attacker.say(&hello).await);
        attacker
    }

    /// Connects and says hello.
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self::connect_with(addr, &[]).await
    }

    /// Writes; `false` once the peer has closed.
    pub(crate) async fn say(&mut self, bytes: &[u8]) -> bool {
        within(self.writer.write_all(bytes)).await.is_ok()
    }

    /// Whether the peer has closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.reading.is_finished()
    }

    /// Waits for a frame; nothing if the connection ends without it.
    pub(crate) async fn hears(&self, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        let mut heard = self.heard.clone();
        within(async {
            loop {
                let now = Arc::clone(&heard.borrow_and_update());
                if let Some(found) = frames(&now).into_iter().find(&wanted) {
                    return Some(found);
                }
                heard.changed().await.ok()?;
            }
        })
        .await
    }

    /// Waits until the peer has closed the connection; all that it has said.
    pub(crate) async fn closed(self) -> Vec<Frame> {
        // The writer stays, so the end is the peer's wish and not ours.
        let _writer = self.writer;
        within(self.reading).await.unwrap();
        let heard = self.heard.borrow().clone();
        frames(&heard)
    }
}

/// A header block: RFC 7541, section 6.2.2, each field literal, without a table and
/// without Huffman's code. Nothing is checked.
pub(crate) fn fields<'a>(fields: impl IntoIterator<Item = (&'a str, impl AsRef<[u8]>)>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        text(&mut block, name.as_bytes());
        text(&mut block, value.as_ref());
    }
    block
}

/// RFC 7541, sections 5.1 and 5.2.
fn text(block: &mut Vec<u8>, bytes: &[u8]) {
    const PREFIX: u8 = 0x7f;
    match u8::try_from(bytes.len()) {
        Ok(length) if length < PREFIX => block.push(length),
        _ => {
            block.push(PREFIX);
            let mut rest = bytes.len() - usize::from(PREFIX);
            while rest >= 0x80 {
                block.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
                rest >>= 7;
            }
            block.push(u8::try_from(rest).unwrap());
        }
    }
    block.extend_from_slice(bytes);
}
