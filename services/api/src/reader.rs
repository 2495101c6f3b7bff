//! A caller that reads for long: a stream may outlive its key, its token, or what was given to it.

use std::time::{Duration, Instant};

use auth::{Caller, Who};

use crate::app::{App, READ_EVENTS};

/// How long an answer of the authorizer is believed while events pass: what is taken back counts within a second.
const BELIEVED: Duration = Duration::from_millis(500);

/// A caller that was admitted to read, and when it was last asked whether it still would be.
pub(crate) struct Reader {
    pub(crate) caller: Caller,
    given: Option<(Instant, bool)>,
}

impl Reader {
    pub(crate) fn new(caller: Caller) -> Self {
        Self { caller, given: None }
    }

    /// Whether it would still be admitted. Costs a look at the snapshot, unless it may read by a binding only.
    pub(crate) async fn is_admitted(&mut self, app: &App) -> bool {
        match self.brings(app) {
            Brings::Nothing => false,
            Brings::Enough => true,
            Brings::ItsName => self.is_given(app).await,
        }
    }

    fn brings(&self, app: &App) -> Brings {
        let snapshot = app.catalog.snapshot();
        if let Who::User { access: Some(access), .. } = &self.caller.who
            && auth::people::may_act(&snapshot, access).is_err()
        {
            return Brings::Nothing;
        }
        let Some(tenant) = snapshot.tenant(&self.caller.tenant.id).filter(|tenant| !tenant.disabled) else {
            return Brings::Nothing;
        };
        let enough = match &self.caller.who {
            Who::Key { id, .. } => {
                let Some(key) = snapshot.key(id).filter(|key| key.tenant == tenant.id) else {
                    return Brings::Nothing;
                };
                // As they are now, whatever they were when it began.
                key.scopes.iter().any(|scope| auth::scopes::allows(*scope, READ_EVENTS))
            }
            Who::User { expires_at, .. } if app.clock.now() >= *expires_at => return Brings::Nothing,
            Who::User { .. } => self.caller.brings(READ_EVENTS, &self.caller.home()),
        };
        if enough { Brings::Enough } else { Brings::ItsName }
    }

    async fn is_given(&mut self, app: &App) -> bool {
        if let Some((at, given)) = self.given
            && at.elapsed() < BELIEVED
        {
            return given;
        }
        // Whether it may is not known while the authorizer is away, and that is no "yes".
        let given = app.authority.given(&self.caller, READ_EVENTS).await.unwrap_or(false);
        self.given = Some((Instant::now(), given));
        given
    }
}

/// What a caller has by itself.
enum Brings {
    /// No key or token that is good.
    Nothing,
    /// A good one, which does not say that it may read.
    ItsName,
    Enough,
}
