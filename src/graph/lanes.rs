//! As many connections to Graph as the calls need.
//!
//! An HTTP/2 server admits a limited number of streams on a connection
//! (`SETTINGS_MAX_CONCURRENT_STREAMS`, RFC 9113, section 5.1.2), and a client that speaks
//! HTTP/2 has one connection: further requests would wait in it, and by then it is too late for them to
//! take another. So there are several clients, each with a connection of its own, and a
//! request takes the first one that has room. Few calls share one connection.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use arc_swap::ArcSwap;
use reqwest::Client;

/// Makes another client, the same as the others.
type Build = Box<dyn Fn() -> reqwest::Result<Client> + Send + Sync>;

/// The clients that there are so far.
pub(super) struct Lanes {
    all: ArcSwap<Vec<Arc<Lane>>>,
    /// The most requests that one client has.
    width: usize,
    /// Whoever finds all clients full makes another one, one at a time.
    build: Mutex<Build>,
}

#[derive(Debug)]
struct Lane {
    client: Client,
    taken: AtomicUsize,
}

/// A request's room in a client, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Arc<Lane>);

// === impl Lanes ===

impl Lanes {
    /// One client to begin with. Each has `width` requests in flight at most.
    pub(super) fn new(
        width: usize,
        build: impl Fn() -> reqwest::Result<Client> + Send + Sync + 'static,
    ) -> reqwest::Result<Self> {
        let first = Lane::new(build()?);
        Ok(Self {
            all: ArcSwap::from_pointee(vec![Arc::new(first)]),
            width,
            build: Mutex::new(Box::new(build)),
        })
    }

    /// Room in a client. Where all are full there is a further one from now on.
    pub(super) fn enter(&self) -> Turn {
        self.free().unwrap_or_else(|| self.widen())
    }

    fn free(&self) -> Option<Turn> {
        let lanes = self.all.load();
        lanes.iter().find_map(|lane| lane.enter(self.width))
    }

    fn widen(&self) -> Turn {
        let build = self.build.lock().unwrap_or_else(PoisonError::into_inner);
        // Another request may have made one meanwhile.
        if let Some(turn) = self.free() {
            return turn;
        }
        let mut lanes = Vec::clone(&self.all.load());
        match build() {
            Ok(client) => {
                let lane = Arc::new(Lane::new(client));
                lane.taken.store(1, Ordering::Release);
                lanes.push(Arc::clone(&lane));
                self.all.store(Arc::new(lanes));
                Turn(lane)
            }
            // The first one could be built, so this does not happen.
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    "no further client could be made, and calls wait for a stream"
                );
                Turn::beyond(&lanes[0])
            }
        }
    }
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lanes")
            .field("all", &self.all)
            .field("width", &self.width)
            .finish_non_exhaustive()
    }
}

// === impl Lane ===

impl Lane {
    fn new(client: Client) -> Self {
        Self {
            client,
            taken: AtomicUsize::new(0),
        }
    }

    fn enter(self: &Arc<Self>, width: usize) -> Option<Turn> {
        let one_more = |taken| (taken < width).then_some(taken + 1);
        self.taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more)
            .is_ok()
            .then(|| Turn(Arc::clone(self)))
    }
}

// === impl Turn ===

impl Turn {
    fn beyond(lane: &Arc<Lane>) -> Self {
        lane.taken.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(lane))
    }

    /// The client with the room.
    pub(super) fn client(&self) -> &Client {
        &self.0.client
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(lanes: &Lanes) -> Vec<usize> {
        let lanes = lanes.all.load();
        let taken = lanes.iter().map(|lane| lane.taken.load(Ordering::Acquire));
        taken.collect()
    }

    #[test]
    fn a_request_takes_the_first_client_with_room_and_there_are_as_many_as_needed() {
        let lanes = Lanes::new(2, || Client::builder().tls_certs_only([]).build()).unwrap();
        let mut turns: Vec<_> = (0..5).map(|_| lanes.enter()).collect();
        assert_eq!(taken(&lanes), [2, 2, 1]);
        turns.remove(0);
        assert_eq!(taken(&lanes), [1, 2, 1]);
        turns.push(lanes.enter());
        assert_eq!(taken(&lanes), [2, 2, 1]);
        drop(turns);
        assert_eq!(taken(&lanes), [0, 0, 0]);
        let again = lanes.enter();
        assert_eq!(taken(&lanes), [1, 0, 0]);
        drop(again);
    }
}
