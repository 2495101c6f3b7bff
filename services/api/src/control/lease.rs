//! Leases: who is at some work of a tenant's or of the fleet's that two must not do at once, until when.
//!
//! A lease is an agreement among those who ask for it; nothing is locked by it. Who holds one renews it by the revision it has;
//! if that fails, somebody else has it. One that is not renewed ends, so that whoever died keeps nobody out for long. They stand in
//! the bucket of what requests are known by: like those they are bounded, age, and go with their tenant.

use async_nats::jetstream::kv::{Operation, Store, UpdateErrorKind};
use bus::topology::IDEMPOTENCY;
use model::{ErrorCode, Micros, SystemId, format_rfc3339};
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Call, audit, precondition::Precondition};
use crate::error::{not_found, of_broker};

/// Longest text that says who holds one, in bytes.
const HOLDER_BYTES_MAX: usize = 256;
/// Longest time to the next renewal, in seconds.
const TTL_SECONDS_MAX: u32 = 300;
/// How often the bucket is looked at while others change the entry.
const ATTEMPTS: usize = 4;

/// What a caller says who wants one.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = LeaseRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    /// For people: who holds it then.
    holder: String,
    /// How long it lasts unless it is renewed, in seconds: 1 to 300.
    #[serde(default = "default_ttl")]
    ttl_seconds: u32,
}

fn default_ttl() -> u32 {
    30
}

/// A lease.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lease {
    /// For people: who holds it.
    pub(crate) holder: String,
    /// Since when, RFC 3339.
    pub(crate) since: String,
    /// Until when, unless it is renewed, RFC 3339.
    pub(crate) expires_at: String,
    /// What `If-Match` expects of who renews or ends it.
    pub(crate) revision: u64,
    /// The end as a number; not told.
    #[serde(skip)]
    expires_at_us: Micros,
}

/// As it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    holder: String,
    since: String,
    expires_at_us: Micros,
}

/// What is kept under one name.
pub(crate) struct Leases<'a> {
    call: &'a Call,
    store: Store,
    entry: String,
}

impl<'a> Leases<'a> {
    /// Those of the call's owner and name.
    ///
    /// # Errors
    /// If the name is impossible, or the broker does not answer.
    pub(crate) async fn open(call: &'a Call) -> Result<Self, Problem> {
        let name: SystemId = call.id().parse().map_err(|e: model::InvalidId| {
            Problem::new(ErrorCode::InvalidArgument, "no lease can have that name")
                .field("path:id", e.to_string())
        })?;
        let store = call.app.bus.jetstream().get_key_value(IDEMPOTENCY).await.map_err(of_broker)?;
        Ok(Self { call, store, entry: format!("{}.lease.{name}", call.tenant()?) })
    }

    /// What is there, whether it has ended or not, and at which revision the entry is.
    async fn read(&self) -> Result<(Option<Lease>, u64), Problem> {
        let entry = self.store.entry(self.entry.as_str()).await.map_err(of_broker)?;
        let Some(entry) = entry else { return Ok((None, 0)) };
        if entry.operation != Operation::Put {
            return Ok((None, entry.revision));
        }
        let Kept { holder, since, expires_at_us } =
            serde_json::from_slice(&entry.value).map_err(Problem::internal)?;
        let (expires_at, revision) = (format_rfc3339(expires_at_us), entry.revision);
        Ok((Some(Lease { holder, since, expires_at, revision, expires_at_us }), revision))
    }

    fn is_held(&self, lease: &Lease) -> bool {
        self.call.app.clock.now() < lease.expires_at_us
    }

    /// Who holds it.
    ///
    /// # Errors
    /// If nobody does.
    pub(crate) async fn get(&self) -> Result<Lease, Problem> {
        let (lease, _) = self.read().await?;
        lease.filter(|lease| self.is_held(lease)).ok_or_else(|| self.nobody())
    }

    fn nobody(&self) -> Problem {
        not_found(format!("nobody holds the lease {:?}", self.call.id()))
    }

    /// Takes it, or renews it if the caller names its revision.
    ///
    /// # Errors
    /// If somebody else holds it, or the wish is impossible.
    pub(crate) async fn take(&self, wish: Wish) -> Result<Lease, Problem> {
        check(&wish)?;
        let precondition = Precondition::read(&self.call.headers)?;
        for _ in 0..ATTEMPTS {
            let (old, revision) = self.read().await?;
            precondition.check(old.as_ref().map(|old| old.revision))?;
            let renews = precondition.names_revision();
            if let Some(old) = old.as_ref().filter(|old| !renews && self.is_held(old)) {
                return Err(self.held(old));
            }
            let now = self.call.app.clock.now();
            let since = old.filter(|_| renews).map_or_else(|| format_rfc3339(now), |old| old.since);
            let expires_at_us = now.saturating_add(Micros::from(wish.ttl_seconds) * 1_000_000);
            let lease = Lease {
                holder: wish.holder.clone(),
                since,
                expires_at: format_rfc3339(expires_at_us),
                revision,
                expires_at_us,
            };
            // A renewal changes nothing that anybody would look for.
            let written = if renews { self.write(&lease).await } else { self.write_recorded(&lease).await };
            match written? {
                Some(revision) => return Ok(Lease { revision, ..lease }),
                None if renews => precondition.check(None)?,
                None => {}
            }
        }
        Err(Problem::new(ErrorCode::Conflict, "others keep asking for the same lease; ask again"))
    }

    /// Writes it over the entry it was made from. None: somebody was faster.
    async fn write(&self, lease: &Lease) -> Result<Option<u64>, Problem> {
        let (holder, since, revision) = (lease.holder.clone(), lease.since.clone(), lease.revision);
        let kept = Kept { holder, since, expires_at_us: lease.expires_at_us };
        let bytes = serde_json::to_vec(&kept).map_err(Problem::internal)?;
        match self.store.update(&self.entry, bytes.into(), revision).await {
            Ok(revision) => Ok(Some(revision)),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(None),
            Err(error) => Err(of_broker(error)),
        }
    }

    async fn write_recorded(&self, lease: &Lease) -> Result<Option<u64>, Problem> {
        let (app, asked) = (&self.call.app, &self.call.asked);
        let after = serde_json::json!({"holder": lease.holder, "expires_at": lease.expires_at});
        let announced = audit::announce(app, asked, None, Some(after)).await?;
        match self.write(lease).await? {
            Some(revision) => {
                audit::done(app, asked, announced, revision).await;
                Ok(Some(revision))
            }
            None => Ok(None),
        }
    }

    fn held(&self, lease: &Lease) -> Problem {
        let detail = format!(
            "the lease {:?} is held by {} since {}, until {}",
            self.call.id(),
            lease.holder,
            lease.since,
            lease.expires_at
        );
        let left = lease.expires_at_us.saturating_sub(self.call.app.clock.now());
        let seconds = u32::try_from(left.max(0) / 1_000_000).unwrap_or(u32::MAX).saturating_add(1);
        Problem::new(ErrorCode::Conflict, detail).retry_after(seconds)
    }

    /// Ends it. Without `If-Match` whoever holds it.
    ///
    /// # Errors
    /// If nobody holds it, or somebody else does.
    pub(crate) async fn end(&self) -> Result<(), Problem> {
        let precondition = Precondition::read(&self.call.headers)?;
        let (lease, revision) = self.read().await?;
        let lease = lease.ok_or_else(|| self.nobody())?;
        precondition.check(Some(revision))?;
        let (app, asked) = (&self.call.app, &self.call.asked);
        let before = serde_json::json!({"holder": lease.holder, "expires_at": lease.expires_at});
        let announced = audit::announce(app, asked, Some(before), None).await?;
        match self.store.delete_expect_revision(&self.entry, Some(revision)).await {
            Ok(()) => {
                audit::done(app, asked, announced, revision).await;
                Ok(())
            }
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                let problem = Problem::new(ErrorCode::Conflict, "somebody else changed it; ask again");
                Err(self.call.refused(announced, problem).await)
            }
            Err(error) => Err(of_broker(error)),
        }
    }
}

fn check(wish: &Wish) -> Result<(), Problem> {
    let fault = |pointer: &str, detail: String| {
        Err(Problem::new(ErrorCode::InvalidArgument, "the body has an impossible value")
            .field(pointer, detail))
    };
    let plain = !wish.holder.chars().any(char::is_control);
    if !plain || !(1..=HOLDER_BYTES_MAX).contains(&wish.holder.len()) {
        return fault("/holder", format!("must be 1 to {HOLDER_BYTES_MAX} bytes long, on one line"));
    }
    if !(1..=TTL_SECONDS_MAX).contains(&wish.ttl_seconds) {
        return fault("/ttl_seconds", format!("must be 1 to {TTL_SECONDS_MAX}"));
    }
    Ok(())
}
