//! Who may do what, as relation tuples: `tenant:acme#read_event@user:alice@example.com`.
//!
//! A [`Tuple`] is a fact; a check asks whether another follows from the facts and the [`Schema`]. [`Authorizer`] is the
//! port, [`Embedded`] answers from memory, and `Keto` (feature `keto`) asks an Ory Keto. The product's own model, roles
//! given to users, keys, clients and services, is made of one table ([`Role`]).
//!
//! Invariant: nobody may do what does not follow from tuples. A limit that is reached, a tuple that is cut off, a name
//! that nobody declared or a server that does not answer is never a "yes"; and both adapters give the same answers, which
//! one suite of cases holds them to.
//!
//! ```
//! use std::sync::Arc;
//! use relations::{Actor, Binding, Embedded, Limits, Permission, Role, RoleRef, Scope, Tuples};
//!
//! let scope = Scope::Tenant("acme".into());
//! let alice = Actor::User("alice@example.com".into());
//! let binding = Binding { actor: alice.clone(), role: RoleRef::BuiltIn(Role::Viewer), scope: scope.clone() };
//! let tuples: Tuples = relations::binding_tuples(&binding, &Default::default())?.into_iter().collect();
//!
//! let authorizer = Embedded::new(Arc::new(relations::product_schema()), Limits::default());
//! authorizer.replace(tuples);
//! let may = |permission: &str| {
//!     let permission: Permission = permission.parse().unwrap();
//!     authorizer.decide(&relations::question(&alice, permission, &scope).unwrap())
//! };
//! assert_eq!(may("read:event")?, relations::Decision::Allowed);
//! assert_eq!(may("publish:event")?, relations::Decision::Denied);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod authorizer;
mod binding;
mod embedded;
#[cfg(feature = "keto")]
mod keto;
mod opl;
mod permission;
mod roles;
mod schema;
mod tuple;
mod tuples;

#[cfg(feature = "keto")]
pub use self::keto::{Keto, KetoOptions};
pub use self::{
    authorizer::{
        Authorizer, CHANGES_MAX, Changes, Error, Listed, PAGE_MAX, Page, QUESTIONS_MAX, Query, Tree,
    },
    binding::{
        Actor, Binding, CustomRoles, FLEETS, InvalidBinding, ROLE_NAME_BYTES_MAX, RoleRef, Scope,
        binding_tuples, check_role_name, may, product_builder, product_schema, question, tenant_tuples,
    },
    embedded::{Decision, Embedded, Limits},
    permission::{InvalidPermission, Kind, Permission, Verb},
    roles::{Role, UnknownRole},
    schema::{Builder, InvalidSchema, Schema, Undeclared},
    tuple::{ID_BYTES_MAX, Id, InvalidTuple, NAME_BYTES_MAX, Name, Object, Subject, SubjectSet, Tuple},
    tuples::Tuples,
};
