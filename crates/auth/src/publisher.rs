//! Who publishes: a key, which is bound to a system, or the bearer of a token, who names one.

use std::sync::Arc;

use catalog::Snapshot;
use http::HeaderMap;
use model::{Clock, CustomerId, Micros, SystemId, resource::Tenant};
use relations::{Kind, Permission, Verb};

use crate::{AuthError, Authority, Caller, Snapshots, Tokens, Who, scopes, tokens::Bearer};

/// Where the bearer of a token says which system sends; in gRPC it is metadata.
pub const SYSTEM_HEADER: &str = "eventrunner-system";

/// What publishing takes.
const PUBLISH: Permission = Permission::new(Verb::Publish, Kind::Event);

/// How long a caller that may publish by a binding only is let go on without a question: what is taken back counts within
/// a second.
const BELIEVED_US: Micros = 500_000;

/// Lets in who may publish. The holder of a key with the scope `publish` costs it a look at the snapshot and nothing else.
#[derive(Debug, Clone)]
pub struct Publishers {
    tokens: Arc<Tokens>,
    authority: Authority,
}

/// Somebody at a door, known.
#[derive(Debug, Clone)]
pub struct Publisher {
    /// Whose it is.
    pub tenant: Arc<Tenant>,
    /// The system its key is bound to, also if it comes by a token for that; people have none.
    pub system: Option<SystemId>,
    /// The tenant's customer on whose behalf its key is used, if it is used on one's.
    pub customer: Option<CustomerId>,
    /// When it must be asked for again who it is, even if the catalog has not changed.
    pub until: Option<Micros>,
    caller: Caller,
}

impl Publishers {
    /// Those with keys, those with tokens that are believed, and those whom this authority lets publish.
    #[must_use]
    pub fn new(tokens: Arc<Tokens>, authority: Authority) -> Self {
        Self { tokens, authority }
    }

    /// Those with keys, and by bindings of the catalog; no token is believed.
    #[must_use]
    pub fn with_keys(snapshots: Snapshots) -> Self {
        Self::new(Arc::default(), Authority::embedded(snapshots))
    }

    /// Who presents that.
    ///
    /// # Errors
    /// If nobody does ([`Tokens::caller`]), or somebody who is at home in no tenant.
    pub async fn identify(&self, snapshot: &Arc<Snapshot>, presented: &str) -> Result<Publisher, AuthError> {
        let Bearer { caller, system, customer, until } =
            self.tokens.bearer(presented, || Arc::clone(snapshot)).await?;
        if caller.tenant.id.is_fleet() {
            return Err(AuthError::NoTenant);
        }
        Ok(Publisher { tenant: Arc::clone(&caller.tenant), system, customer, until, caller })
    }

    /// Insists that it may publish.
    ///
    /// # Errors
    /// What it lacks, or that nobody can say.
    pub async fn admit(&self, publisher: &mut Publisher, clock: &dyn Clock) -> Result<(), AuthError> {
        let caller = &publisher.caller;
        if let Who::Key { scopes, .. } = &caller.who
            && scopes.iter().any(|scope| scopes::allows(*scope, PUBLISH))
        {
            return Ok(());
        }
        let home = caller.home();
        if !caller.brings(PUBLISH, &home) {
            // A session that is ended is a change of the catalog, after which whoever publishes is asked who it is anyway.
            self.authority.require(caller, &[PUBLISH], &home).await?;
            let until = clock.now().saturating_add(BELIEVED_US);
            publisher.until = Some(publisher.until.map_or(until, |expires| expires.min(until)));
        }
        Ok(())
    }
}

/// Why there is no system to publish as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSystem {
    /// It is not named.
    #[error("is required with a token: the id of the system that sends")]
    NotNamed,
    /// There is none of that id.
    #[error("there is no system {0:?}")]
    Unknown(String),
}

impl Publisher {
    /// The system that sends: the key's, or, of the bearer of a token, the one that the header
    /// [`SYSTEM_HEADER`] names. Whoever may publish in a tenant may publish as any of its systems; a key's header is not looked at.
    ///
    /// # Errors
    /// If there is none.
    pub fn system(&self, snapshot: &Snapshot, headers: &HeaderMap) -> Result<SystemId, NoSystem> {
        if let Some(system) = &self.system {
            return Ok(system.clone());
        }
        let named = headers.get(SYSTEM_HEADER).ok_or(NoSystem::NotNamed)?;
        let named = String::from_utf8_lossy(named.as_bytes());
        let unknown = || NoSystem::Unknown(named.chars().take(63).collect());
        let system: SystemId = named.parse().map_err(|_| unknown())?;
        snapshot.system(&self.tenant.id, &system).map(|system| system.id.clone()).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use identity::{AccessOptions, AccessTokens, Grant, Holder, Purpose, SigningKeys};
    use model::{
        SystemClock,
        resource::{RoleBinding, Scope, System},
    };
    use secrecy::ExposeSecret as _;
    use serde_json::json;

    use super::*;
    use crate::{NewKey, generate};

    struct At(Micros);

    impl Clock for At {
        fn now(&self) -> Micros {
            self.0
        }
    }

    #[tokio::test]
    async fn a_clients_token_publishes_as_its_key_until_it_expires() {
        let tenant: Tenant = serde_json::from_value(json!({"id": "acme"})).unwrap();
        let key: model::resource::ApiKey = serde_json::from_value(json!({
            "tenant": "acme", "system": "till", "id": "k1", "hash": "", "scopes": ["publish"], "customer": "jane",
        }))
        .unwrap();
        let there = Arc::new(Snapshot::default().with(tenant.clone()).with(key));
        let tokens = AccessTokens::new(AccessOptions::new("us", "us"), SigningKeys::generate());
        let token = |scopes: &[&str]| {
            let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
            let (subject, holder, purpose) = ("k1".to_owned(), Holder::Client, Purpose::All);
            let grant = Grant { subject, holder, purpose, tenant: None, scopes };
            let (token, access) = tokens.issue(&mut rand::rng(), grant, SystemClock.now());
            (token.expose_secret().to_owned(), access.expires_at)
        };
        let ((sends, expires_at), (idle, _)) = (token(&["publish"]), token(&["read"]));
        let snapshots = there.clone();
        let authority = Authority::embedded(Arc::new(move || snapshots.clone()));
        let publishers = Publishers::new(Arc::new(Tokens::default().with_own(Arc::new(tokens))), authority);
        let mut publisher = publishers.identify(&there, &sends).await.unwrap();
        publishers.admit(&mut publisher, &At(7)).await.unwrap();
        assert_eq!(publisher.until, Some(expires_at));
        assert_eq!(publisher.system(&there, &HeaderMap::new()).unwrap().as_str(), "till", "its key's own");
        assert_eq!(publisher.customer.as_deref(), Some("jane"));
        let mut publisher = publishers.identify(&there, &idle).await.unwrap();
        assert!(publishers.admit(&mut publisher, &At(7)).await.is_err(), "it was not given for that");
        let without = Arc::new(Snapshot::default().with(tenant));
        assert!(publishers.identify(&without, &sends).await.is_err(), "its key was taken away");
    }

    #[tokio::test]
    async fn who_may_publish_by_a_scope_a_role_or_a_binding() {
        let read = |value| serde_json::from_value::<Tenant>(value).unwrap();
        let system: System = serde_json::from_value(json!({"tenant": "acme", "id": "shop"})).unwrap();
        let snapshot = Snapshot::default().with(read(json!({"id": "acme"}))).with(system);
        let tenant = snapshot.tenant(&"acme".parse().unwrap()).unwrap().clone();
        let key = |scope| {
            let new = NewKey {
                tenant: tenant.id.clone(),
                system: "till".parse().unwrap(),
                name: String::new(),
                scopes: vec![scope],
                created_at: String::new(),
            };
            let (key, shown) = generate(&mut rand::rng(), new);
            (key, shown.expose_secret().to_owned())
        };
        let ((sends, sender), (reads, reader), (given, gifted)) =
            (key(Scope::Publish), key(Scope::Read), key(Scope::Read));
        let binding = json!({
            "tenant": "acme", "id": "b", "actor": format!("key:{}", given.id), "role": "event_publisher",
        });
        let binding: RoleBinding = serde_json::from_value(binding).unwrap();
        let snapshot = Arc::new(snapshot.with(sends).with(reads).with(given).with(binding));
        let publishers = Publishers::with_keys({
            let snapshot = snapshot.clone();
            Arc::new(move || snapshot.clone())
        });
        for (presented, expected) in [
            (&sender, Ok(None)),
            (&reader, Err(AuthError::ScopeNeeded(Scope::Publish))),
            (&gifted, Ok(Some(BELIEVED_US + 7))),
        ] {
            let mut publisher = publishers.identify(&snapshot, presented).await.unwrap();
            let admitted = publishers.admit(&mut publisher, &At(7)).await;
            assert_eq!(admitted.map(|()| publisher.until), expected);
            let mut headers = HeaderMap::new();
            headers.insert(SYSTEM_HEADER, "shop".parse().unwrap());
            assert_eq!(publisher.system(&snapshot, &headers).unwrap().as_str(), "till", "the key's own");
        }
        for nobody in ["", "er_x", "e30.e30.e30"] {
            assert_eq!(publishers.identify(&snapshot, nobody).await.unwrap_err(), AuthError::Unknown);
        }

        let who = |roles: Vec<relations::Role>| {
            let (issuer, subject) = ("https://issuer.example".to_owned(), "alice".to_owned());
            Who::User { issuer, subject, roles, fleet_wide: false, expires_at: 9, access: None }
        };
        let bearer = |roles| Publisher {
            tenant: tenant.clone(),
            system: None,
            customer: None,
            until: Some(9),
            caller: Caller::new(tenant.clone(), who(roles)),
        };
        let mut alice = bearer(vec![relations::Role::EventPublisher]);
        assert_eq!(publishers.admit(&mut alice, &At(7)).await.map(|()| alice.until), Ok(Some(9)));
        assert!(publishers.admit(&mut bearer(vec![relations::Role::Viewer]), &At(7)).await.is_err());
        let named = |name: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.extend(name.map(|n| (http::HeaderName::from_static(SYSTEM_HEADER), n.parse().unwrap())));
            alice.system(&snapshot, &headers).map(|system| system.to_string())
        };
        assert_eq!(named(Some("shop")), Ok("shop".to_owned()));
        assert_eq!(named(None), Err(NoSystem::NotNamed));
        for none in ["till", "", "a b", "SHOP"] {
            assert_eq!(named(Some(none)), Err(NoSystem::Unknown(none.to_owned())));
        }
    }
}
