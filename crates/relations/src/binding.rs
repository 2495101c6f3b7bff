//! Roles given to somebody, as tuples; and the questions that the services ask.
//!
//! ```text
//! fleet:eventrunner#superuser@user:root                          a role fleet-wide
//! tenant:acme#viewer@key:k1                                      a role for a tenant
//! tenant:acme#parent@fleet:eventrunner                           fleet-wide roles count in the tenant
//! role:acme/auditor/acme#member@user:bob                         a custom role for a tenant
//! tenant:acme#read_audit@role:acme/auditor/acme#member           what it may do there
//! ```
//!
//! Whether somebody may do something is one question: `tenant:acme#read_audit@user:bob`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    Authorizer, Error, Permission, Role, Schema,
    tuple::{InvalidTuple, Object, Subject, SubjectSet, Tuple},
};

const FLEET: &str = "fleet";
const TENANT: &str = "tenant";
const ROLE: &str = "role";
const MEMBER: &str = "member";
const PARENT: &str = "parent";
/// The one object of the namespace `fleet`.
const THE_FLEET: &str = "eventrunner";
/// Stands for the fleet in the id of a custom role; no tenant can be called so.
const FLEET_WIDE: &str = "*";
/// What the name of a fleet's role begins with in a tenant's binding.
pub const FLEETS: &str = "fleet/";
/// The longest name of a custom role.
pub const ROLE_NAME_BYTES_MAX: usize = 63;

/// Who acts. Each kind has its own namespace, so that a key never answers to a user's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Actor {
    /// A person, by whatever id its identity has.
    User(String),
    /// An API key, by its public id.
    Key(String),
    /// An OAuth client, by its id.
    Client(String),
    /// A service of the fleet, by name.
    Service(String),
    /// Everybody who has a custom role in a place.
    Members {
        /// Whose role.
        owner: Scope,
        /// Its name.
        name: String,
        /// Where they have it.
        scope: Scope,
    },
}

impl Actor {
    const NAMESPACES: [&'static str; 4] = ["user", "key", "client", "service"];

    /// Whom a binding for that place names: `user:<id>`, `key:<id>`, `client:<id>`, `service:<name>`, or `role:<custom role>`
    /// for everybody who has that one there.
    ///
    /// # Errors
    /// If it names nobody.
    pub fn named(text: &str, place: &Scope) -> Result<Self, InvalidBinding> {
        let form = || InvalidBinding::Actor(text.chars().take(80).collect());
        let (namespace, id) = text.split_once(':').ok_or_else(form)?;
        let actor = match namespace {
            "user" => Self::User(id.to_owned()),
            "key" => Self::Key(id.to_owned()),
            "client" => Self::Client(id.to_owned()),
            "service" => Self::Service(id.to_owned()),
            ROLE => match RoleRef::named(id, place)? {
                RoleRef::Custom { owner, name } => Self::Members { owner, name, scope: place.clone() },
                RoleRef::BuiltIn(_) => return Err(form()),
            },
            _ => return Err(form()),
        };
        actor.subject()?;
        Ok(actor)
    }

    /// As a subject: `user:alice@example.com`.
    ///
    /// # Errors
    /// If its id cannot stand in a tuple.
    pub fn subject(&self) -> Result<Subject, InvalidTuple> {
        let [user, key, client, service] = Self::NAMESPACES;
        let object = match self {
            Self::User(id) => Object::new(user, id),
            Self::Key(id) => Object::new(key, id),
            Self::Client(id) => Object::new(client, id),
            Self::Service(id) => Object::new(service, id),
            Self::Members { owner, name, scope } => return members(owner, name, scope).map(Subject::Set),
        };
        object.map(Subject::Object)
    }
}

/// Those who have a custom role in a place. A role given in two has two sets: who has it here need not have it there.
fn members(owner: &Scope, name: &str, scope: &Scope) -> Result<SubjectSet, InvalidTuple> {
    let id = format!("{}/{name}/{}", owner.word(), scope.word());
    Ok(SubjectSet { object: Object::new(ROLE, &id)?, relation: MEMBER.parse()? })
}

/// Where a role counts, or what a permission is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// The fleet itself and every tenant.
    Fleet,
    /// One tenant, by its id.
    Tenant(String),
}

impl Scope {
    /// As an object: `fleet:eventrunner` or `tenant:acme`.
    ///
    /// # Errors
    /// If the tenant's id cannot stand in a tuple.
    pub fn object(&self) -> Result<Object, InvalidTuple> {
        match self {
            Self::Fleet => Object::new(FLEET, THE_FLEET),
            Self::Tenant(id) => Object::new(TENANT, id),
        }
    }

    fn word(&self) -> &str {
        match self {
            Self::Fleet => FLEET_WIDE,
            Self::Tenant(id) => id,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fleet => f.write_str("the fleet"),
            Self::Tenant(id) => write!(f, "the tenant {id}"),
        }
    }
}

/// Which role.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RoleRef {
    /// A built-in one.
    BuiltIn(Role),
    /// One that somebody has made.
    Custom {
        /// Whose it is: a tenant's own, or the fleet's, which may be given in any tenant.
        owner: Scope,
        /// Its name.
        name: String,
    },
}

impl RoleRef {
    /// The role that a binding for that place names: a built-in one, `auditor` of the place's own, or `fleet/auditor`.
    ///
    /// # Errors
    /// If no role can be called so.
    pub fn named(text: &str, place: &Scope) -> Result<Self, InvalidBinding> {
        let (fleets, name) = match text.strip_prefix(FLEETS) {
            Some(name) => (true, name),
            None => (false, text),
        };
        if let (false, Ok(role)) = (fleets, name.parse()) {
            return Ok(Self::BuiltIn(role));
        }
        check_role_name(name)?;
        let owner = if fleets { Scope::Fleet } else { place.clone() };
        Ok(Self::Custom { owner, name: name.to_owned() })
    }

    /// What it may do.
    ///
    /// # Errors
    /// If nobody has made it.
    pub fn permissions(&self, custom: &CustomRoles) -> Result<BTreeSet<Permission>, InvalidBinding> {
        match self {
            Self::BuiltIn(role) => Ok(role.permissions().collect()),
            Self::Custom { owner, name } => match custom.get(&(owner.clone(), name.clone())) {
                Some(permissions) => Ok(permissions.clone()),
                None => Err(InvalidBinding::NoSuchRole { owner: owner.clone(), name: name.clone() }),
            },
        }
    }
}

/// As [`RoleRef::named`] reads it, but for the place.
impl fmt::Display for RoleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(role) => f.write_str(role.as_str()),
            Self::Custom { owner: Scope::Fleet, name } => write!(f, "{FLEETS}{name}"),
            Self::Custom { owner: Scope::Tenant(_), name } => f.write_str(name),
        }
    }
}

/// A role given to somebody.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Binding {
    /// To whom.
    pub actor: Actor,
    /// Which.
    pub role: RoleRef,
    /// Where it counts.
    pub scope: Scope,
}

/// The roles that somebody has made: what each may do, by owner and name.
pub type CustomRoles = BTreeMap<(Scope, String), BTreeSet<Permission>>;

/// Why a binding cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBinding {
    /// An id that cannot stand in a tuple.
    #[error(transparent)]
    Id(#[from] InvalidTuple),
    /// The superuser of a tenant would be less than its name says.
    #[error("the role superuser is given fleet-wide only; for a tenant there is tenant_admin")]
    SuperuserOfTenant,
    /// There is no such custom role.
    #[error("there is no role {name:?} of {owner}")]
    NoSuchRole {
        /// Whose it would be.
        owner: Scope,
        /// Its name.
        name: String,
    },
    /// A tenant's role given elsewhere.
    #[error("the role {name:?} belongs to {owner} and cannot be given for {scope}")]
    Foreign {
        /// Its name.
        name: String,
        /// Whose it is.
        owner: Scope,
        /// Where it was to count.
        scope: Scope,
    },
    /// An actor that is nobody.
    #[error(
        "an actor is written user:<id>, key:<id>, client:<id>, service:<name>, or role:<id> for all who have that custom \
         role; {0:?} is not"
    )]
    Actor(String),
    /// A name that no custom role can have.
    #[error(
        "a custom role's name must be 1 to {ROLE_NAME_BYTES_MAX} characters of a-z, 0-9, '-' and '_', and not that of a \
         built-in role; {0:?} is not"
    )]
    RoleName(String),
}

/// Insists that a custom role may have this name.
///
/// # Errors
/// If it may not.
pub fn check_role_name(name: &str) -> Result<(), InvalidBinding> {
    let good = (1..=ROLE_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
        && name.parse::<Role>().is_err();
    if good { Ok(()) } else { Err(InvalidBinding::RoleName(name.chars().take(80).collect())) }
}

/// The tuples of a tenant: by them fleet-wide roles count in it. Without them only those of the tenant do.
///
/// # Errors
/// If its id cannot stand in a tuple.
pub fn tenant_tuples(tenant: &str) -> Result<BTreeSet<Tuple>, InvalidTuple> {
    Ok(BTreeSet::from([Tuple {
        object: Scope::Tenant(tenant.to_owned()).object()?,
        relation: PARENT.parse()?,
        subject: Subject::Object(Scope::Fleet.object()?),
    }]))
}

/// The tuples of a binding. What a custom role may do is in them, so that a change of the role changes the tuples of its
/// bindings: compare with [`Changes::between`](crate::Changes::between).
///
/// # Errors
/// If the binding cannot be.
pub fn binding_tuples(binding: &Binding, custom: &CustomRoles) -> Result<BTreeSet<Tuple>, InvalidBinding> {
    let (object, subject) = (binding.scope.object()?, binding.actor.subject()?);
    match &binding.role {
        RoleRef::BuiltIn(Role::Superuser) if binding.scope != Scope::Fleet => {
            Err(InvalidBinding::SuperuserOfTenant)
        }
        RoleRef::BuiltIn(role) => {
            Ok(BTreeSet::from([Tuple { object, relation: role.as_str().parse()?, subject }]))
        }
        RoleRef::Custom { owner, name } => {
            check_role_name(name)?;
            if *owner != Scope::Fleet && *owner != binding.scope {
                let (name, owner, scope) = (name.clone(), owner.clone(), binding.scope.clone());
                return Err(InvalidBinding::Foreign { name, owner, scope });
            }
            let permissions = binding.role.permissions(custom)?;
            let members = members(owner, name, &binding.scope)?;
            let member =
                Tuple { object: members.object.clone(), relation: members.relation.clone(), subject };
            let mut tuples = BTreeSet::from([member]);
            for permission in permissions {
                let (object, subject) = (object.clone(), Subject::Set(members.clone()));
                tuples.insert(Tuple { object, relation: permission.relation().parse()?, subject });
            }
            Ok(tuples)
        }
    }
}

/// The question whether somebody may do something there.
///
/// # Errors
/// If an id cannot stand in a tuple: then nobody has been given anything by it.
pub fn question(actor: &Actor, permission: Permission, scope: &Scope) -> Result<Tuple, InvalidTuple> {
    let (object, subject) = (scope.object()?, actor.subject()?);
    Ok(Tuple { object, relation: permission.relation().parse()?, subject })
}

/// Whether somebody may do something there.
///
/// # Errors
/// If the authorizer cannot say.
pub async fn may(
    authorizer: &dyn Authorizer,
    actor: &Actor,
    permission: Permission,
    scope: &Scope,
) -> Result<bool, Error> {
    match question(actor, permission, scope) {
        Ok(question) => authorizer.check(&question).await,
        Err(_) => Ok(false),
    }
}

/// The product's namespaces: actors, custom roles, the fleet and its tenants, with a relation for each role and each
/// permission.
#[must_use]
pub fn product_schema() -> Schema {
    #[expect(clippy::expect_used, reason = "made of the table; a test builds it")]
    product_builder().build().expect("the product's schema is sound")
}

/// The product's schema, to be built after something is added to it.
#[must_use]
pub fn product_builder() -> crate::schema::Builder {
    let mut builder = Schema::builder();
    for namespace in Actor::NAMESPACES {
        builder = builder.namespace(namespace);
    }
    let [user, key, client, service] = Actor::NAMESPACES;
    let actors = [user, key, client, service, "role#member"];
    builder = builder.namespace(ROLE).relation(ROLE, MEMBER, &actors);
    for namespace in [FLEET, TENANT] {
        builder = builder.namespace(namespace);
        if namespace == TENANT {
            builder = builder.relation(TENANT, PARENT, &[FLEET]);
        }
        for role in Role::ALL {
            if namespace == FLEET || role != Role::Superuser {
                builder = builder.relation(namespace, role.as_str(), &actors);
            }
        }
        for permission in Permission::all() {
            let relation = permission.relation();
            let roles = Role::that_may(permission)
                .filter(|role| namespace == FLEET || *role != Role::Superuser)
                .map(|role| role.as_str().to_owned());
            let from_fleet = (namespace == TENANT).then(|| format!("{PARENT}->{relation}"));
            let rewrites: Vec<String> = roles.chain(from_fleet).collect();
            let rewrites: Vec<&str> = rewrites.iter().map(String::as_str).collect();
            builder = builder.rewritten(namespace, &relation, &rewrites);
        }
    }
    builder
}
