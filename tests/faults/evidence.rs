//! What could be known of a call, read from what Graph really answered: independent of what
//! the gateway decided.

use std::collections::HashMap;

use incidentgate::sandbox::{Answer, Entry};

use crate::{
    hit::{Hit, Look, Says},
    plan::{Ground, Plan},
};

/// The requests for one task with what the plan made of them.
struct Evidence<'a> {
    plan: &'a Plan,
    ground: Ground,
    posts: Vec<&'a Entry>,
    looks: Vec<&'a Entry>,
    broken: &'a Broken,
}

/// Which connections were ended by one request, over HTTP/2 under all others: by whose.
#[derive(Debug, Default)]
pub(crate) struct Broken(HashMap<u64, Vec<u64>>);

// === impl Broken ===

impl Broken {
    pub(crate) fn of(journal: &[Entry]) -> Self {
        let mut broken = Self::default();
        for entry in journal {
            if let Some(Answer::Reset | Answer::Close | Answer::Garbage | Answer::GoAway) =
                entry.answer
            {
                let by = broken.0.entry(entry.connection).or_default();
                by.push(entry.seq);
            }
        }
        broken
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
    broken: &Broken,
) -> Option<&'static str> {
    let (posts, looks): (Vec<_>, Vec<_>) = requests.iter().partition(|entry| entry.is_post());
    let evidence = Evidence {
        plan,
        ground,
        posts,
        looks,
        broken,
    };
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
        is_missing || entries.any(|entry| self.broken.is_under(entry))
    }

    fn points_at(&self) -> Option<&'static str> {
        let hits: Vec<Hit> = (0..self.posts.len()).map(|n| self.hit(n)).collect();
        if hits.iter().any(|hit| hit.says() == Says::Started) {
            return Some("Graph answered that the action is started");
        }
        if hits.iter().all(|hit| hit.says() == Says::NotStarted) {
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
            Look::Works | Look::Stale
                if self.ground.mode == "resend"
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
