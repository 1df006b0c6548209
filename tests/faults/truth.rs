//! What nobody may ever say, whatever the plan was.

use crate::{claims::Claim, told::Told};

/// What really happened to one task, when nothing more can happen to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Real {
    pub(crate) posts: usize,
    pub(crate) commits: usize,
}

impl Real {
    /// What is untrue in what the caller was told and in what the log claims.
    pub(crate) fn contradiction(self, told: Told, claims: &[Claim]) -> Option<String> {
        if self.commits > 1 {
            return Some("started twice".to_owned());
        }
        let started = self.commits == 1;
        if told == Told::Yes && !started || told == Told::No && started {
            return Some("a caller was told what is not true".to_owned());
        }
        for claim in claims {
            let is_true = match claim {
                Claim::Ended(Some(outcome)) | Claim::Later(outcome) => match outcome.as_str() {
                    "STARTED" | "OBSERVED" | "ALREADY_STARTED" => started,
                    "NOT_STARTED" => !started,
                    "UNKNOWN" => true,
                    _ => false,
                },
                Claim::Left(departed) => departed != "never" || !started,
                Claim::Ended(None) | Claim::Aside => true,
            };
            if !is_true {
                return Some(format!("the log says what is not true: {claim:?}"));
            }
        }
        self.silence(told, claims)
    }

    /// What should have been said and was not.
    fn silence(self, told: Told, claims: &[Claim]) -> Option<String> {
        let ends = claims
            .iter()
            .filter(|claim| matches!(claim, Claim::Ended(_)));
        let laters = claims
            .iter()
            .filter(|claim| matches!(claim, Claim::Later(_)));
        let (ends, laters) = (ends.count(), laters.count());
        let departed = claims.contains(&Claim::Left("yes".to_owned()));
        if self.posts > 0 && ends != 1 {
            Some(format!("{ends} log lines on a call's end"))
        } else if laters > 1 || departed && laters != 1 {
            Some(format!("{laters} outcomes after the caller had left"))
        } else if told == Told::Nothing
            && self.posts > 0
            && laters == 0
            && !claims.iter().any(|claim| match claim {
                Claim::Ended(outcome) => outcome.is_some(),
                Claim::Left(departed) => departed != "yes",
                Claim::Later(_) => true,
                Claim::Aside => false,
            })
        {
            Some("nobody learns the outcome of a POST".to_owned())
        } else {
            None
        }
    }
}
