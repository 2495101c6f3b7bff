//! Time of a check and of a change among 100,000 tuples: `cargo bench -p eventrunner-relations`.

use std::{collections::BTreeSet, error::Error, hint::black_box, sync::Arc, time::Instant};

use relations::{
    Actor, Binding, CustomRoles, Embedded, Limits, Permission, Role, RoleRef, Scope, Tuple, Tuples,
    binding_tuples, question, tenant_tuples,
};

const TENANTS: u32 = 10_000;
/// With a tenant's own tuple and two of its custom role, ten a tenant.
const BOUND_PER_TENANT: u32 = 7;

fn main() -> Result<(), Box<dyn Error>> {
    let permission = |text: &str| text.parse::<Permission>();
    let (read, audit) = (permission("read:event")?, permission("read:audit")?);
    let auditor = RoleRef::Custom { owner: Scope::Fleet, name: "auditor".into() };
    let custom: CustomRoles = [((Scope::Fleet, "auditor".to_owned()), BTreeSet::from([audit]))].into();

    let mut all: Vec<Tuple> = Vec::new();
    let mut bind = |actor: Actor, role: RoleRef, scope: Scope| -> Result<(), Box<dyn Error>> {
        all.extend(binding_tuples(&Binding { actor, role, scope }, &custom)?);
        Ok(())
    };
    for tenant in 0..TENANTS {
        let scope = || Scope::Tenant(format!("tenant-{tenant}"));
        for n in 0..BOUND_PER_TENANT {
            let role = Role::ALL[1 + n as usize % 5];
            bind(Actor::Key(format!("key-{tenant}-{n}")), RoleRef::BuiltIn(role), scope())?;
        }
        bind(Actor::User(format!("auditor-{tenant}")), auditor.clone(), scope())?;
    }
    bind(Actor::User("root".into()), RoleRef::BuiltIn(Role::Superuser), Scope::Fleet)?;
    for tenant in 0..TENANTS {
        all.extend(tenant_tuples(&format!("tenant-{tenant}"))?);
    }

    let start = Instant::now();
    let tuples: Tuples = all.into_iter().collect();
    println!("{} tuples, read in {:.0} ms", tuples.len(), start.elapsed().as_secs_f64() * 1e3);
    let authorizer = Embedded::new(Arc::new(relations::product_schema()), Limits::default());
    authorizer.replace(tuples.clone());

    let scope = Scope::Tenant("tenant-777".into());
    let questions = [
        ("a key's role", question(&Actor::Key("key-777-4".into()), read, &scope)?),
        ("a custom role", question(&Actor::User("auditor-777".into()), audit, &scope)?),
        ("the superuser, by the fleet", question(&Actor::User("root".into()), read, &scope)?),
        ("somebody else's key: no", question(&Actor::Key("key-778-4".into()), read, &scope)?),
    ];
    for (name, question) in &questions {
        let answer = authorizer.decide(question)?;
        measure(&format!("{name} ({answer:?})"), || drop(black_box(authorizer.decide(black_box(question)))));
    }
    let added: Tuple = "tenant:tenant-777#viewer@user:new".parse()?;
    measure("a copy with one tuple more", || {
        let mut copy = tuples.clone();
        copy.insert(added.clone());
        drop(black_box(copy));
    });
    Ok(())
}

/// The best of ten rounds: the least disturbed by whatever else runs.
fn measure(name: &str, mut f: impl FnMut()) {
    const ROUNDS: u32 = 2_000;
    let best = (0..10).map(|_| {
        let start = Instant::now();
        (0..ROUNDS).for_each(|_| f());
        start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS)
    });
    println!("{name:>40} {:8.2} µs", best.fold(f64::INFINITY, f64::min));
}
