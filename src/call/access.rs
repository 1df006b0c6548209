//! The token of one call, while it lasts.

use crate::{
    credentials::{Credential, Grant},
    failure::Failure,
};

/// The token for the next try.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) grant: Grant,
    /// Whether it was renewed because Graph had refused the one before.
    renewed: bool,
}

// === impl Access ===

impl Access {
    pub(super) fn new(grant: Grant) -> Self {
        Self {
            grant,
            renewed: false,
        }
    }

    /// Whether another one can be had, should Graph refuse it.
    pub(super) fn may_renew(&self, credential: &Credential) -> bool {
        credential.is_renewable() && !self.renewed
    }

    /// The token as it is now: the last one may have expired meanwhile, or another call has
    /// found it refused and renewed it.
    pub(super) async fn freshen(&mut self, credential: &Credential) -> Result<(), Failure> {
        self.grant = credential.grant().await?;
        Ok(())
    }

    /// Another token in place of the one that Graph has refused, or why there is none.
    pub(super) async fn renew(
        &mut self,
        credential: &Credential,
        refused: &Failure,
    ) -> Result<(), Failure> {
        let claims = refused.claims.as_deref();
        let renewed = credential.renew(&self.grant, claims).await?;
        self.grant = renewed.ok_or_else(|| refused.clone())?;
        self.renewed = true;
        Ok(())
    }
}
