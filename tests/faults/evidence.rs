//! What could be known of a call, read from what Graph really answered: independent of what
//! the gateway decided.

use std::collections::HashMap;

use incidentgate::sandbox::{Answer, Entry};

use crate::{
    hit::{Hit, Http, Look, Says},
    plan::{Ground, Plan},
};

/// The requests for one task with what the plan made of them.
struct Evidence<'a> {
    plan: &'a Plan,
    ground: Ground,
    posts: Vec<&'a Entry>,
    looks: Vec<&'a Entry>,
    ended: &'a Ended,
}

/// The requests that ended a connection, over HTTP/2 under all others on it.
#[derive(Debug, Default)]
pub(crate) struct Ended(HashMap<u64, Vec<u64>>);

// === impl Ended ===

impl Ended {
    pub(crate) fn of(journal: &[Entry]) -> Self {
        let mut ended = Self::default();
        for entry in journal {
            if let Some(Answer::Reset | Answer::Close | Answer::Garbage | Answer::GoAway) =
                entry.answer
            {
                ended.0.entry(entry.connection).or_default().push(entry.seq);
            }
        }
        ended
    }

    /// Whether the connection of this request was ended by another one.
    fn is_under(&self, entry: &Entry) -> bool {
        let by = self.0.get(&entry.connection);
        by.is_some_and(|by| by.iter().any(|seq| *seq != entry.seq))
    }
}

/// Why a caller who has waited could have been told more than "unknown", if so. `requests`:
/// all of one task, in order.
pub(crate) fn was_knowable(
    plan: &Plan,
    ground: Ground,
    requests: &[&Entry],
    ended: &Ended,
) -> Option<&'static str> {
    let (posts, looks): (Vec<_>, Vec<_>) = requests.iter().partition(|entry| entry.is_post());
    let evidence = Evidence {
        plan,
        ground,
        posts,
        looks,
        ended,
    };
    // On a slow machine any POST may have taken too long where the time is short.
    if ground.hangs {
        return None;
    }
    // What a neighbour has broken, others may have lost on the way, and the journal
    // cannot tell.
    if evidence.is_disturbed() {
        return None;
    }
    evidence.points_at()
}

// === impl Evidence ===

impl Evidence<'_> {
    fn is_disturbed(&self) -> bool {
        let mut entries = self.posts.iter().chain(&self.looks);
        // What never came was lost with its connection, or found none.
        let is_missing = self.ground.is_shaky && (self.posts.is_empty() || self.looks.is_empty());
        is_missing || entries.any(|entry| self.ended.is_under(entry))
    }

    fn points_at(&self) -> Option<&'static str> {
        let says: Vec<Says> = (0..self.posts.len()).map(|n| self.hit(n).says()).collect();
        if says.contains(&Says::Started) {
            return Some("Graph answered that the action is started");
        }
        // Where connections end under others, a POST may be lost before Graph has seen it,
        // and a GOAWAY may have to count a stream in.
        if !self.ground.is_shaky && says.iter().all(|says| *says == Says::NotStarted) {
            return Some("Graph refused every POST");
        }
        if self.ground.mode == "off" {
            return None;
        }
        let Some(last) = self.looks.last() else {
            return Some("nobody looked at the task");
        };
        let started = self.posts.iter().find(|entry| entry.committed);
        match self.look(self.looks.len() - 1) {
            Look::Works if started.is_some_and(|post| post.seq < last.seq) => {
                Some("the task shows that its action is started")
            }
            // Over HTTP/2 a neighbour can cost a try before anything leaves, which no journal
            // shows.
            Look::Works | Look::Stale
                if self.ground.mode == "resend"
                    && self.ground.http == Http::One
                    && self.posts.len() < self.ground.attempts
                    && self.looks.len() == 1 =>
            {
                Some("the POST was not sent again")
            }
            Look::Works | Look::Stale | Look::Fails(_) => None,
        }
    }

    fn hit(&self, n: usize) -> Hit {
        self.plan.posts.get(n).map_or(Hit::Usual, |post| post.hit)
    }

    fn look(&self, n: usize) -> Look {
        self.plan.looks.get(n).copied().unwrap_or(Look::Works)
    }
}
