//! One suite of cases over both adapters: each line of [`worlds`] is a case, asked of the embedded authorizer and of a real
//! Ory Keto (feature `keto`); so is how tuples are written, listed, expanded and deleted ([`port`]). Then what holds for the embedded one
//! alone: it answers as a naive evaluator does ([`properties`]), within its limits.
//!
//! The cases on Keto are ignored, and say so, where there is none: `scripts/tools.sh keto` compiles it. Under CI they
//! fail.

#![expect(clippy::unwrap_used, reason = "tests")]

mod limits;
#[cfg(feature = "keto")]
mod outage;
mod port;
mod product;
mod properties;
mod worlds;

use std::{
    future::Future,
    process::ExitCode,
    sync::{Arc, LazyLock},
};

use libtest_mimic::{Arguments, Trial};
use relations::{Authorizer, Changes, Embedded, Limits, Schema};

/// The product's namespaces, and some that have the shapes it does not use.
pub(crate) static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
    let schema = relations::product_builder()
        .namespace("api")
        .relation("api", "access", &["user", "group#member"])
        .namespace("resource")
        .relation("resource", "access", &["user", "group#member"])
        .namespace("group")
        .relation("group", "member", &["user", "group#member"])
        .namespace("folder")
        .relation("folder", "parent", &["folder"])
        .relation("folder", "viewer", &["user", "group#member"])
        .rewritten("folder", "read", &["viewer", "parent->read"])
        .namespace("doc")
        .relation("doc", "parent", &["folder"])
        .relation("doc", "owner", &["user", "group#member"])
        .relation("doc", "viewer", &["user", "group#member"])
        .rewritten("doc", "edit", &["owner"])
        .rewritten("doc", "read", &["edit", "viewer", "parent->viewer", "parent->read"]);
    Arc::new(schema.build().unwrap())
});

static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
});

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(future)
}

/// All worlds' tuples, in memory.
static EMBEDDED: LazyLock<Embedded> = LazyLock::new(|| {
    let embedded = Embedded::new(SCHEMA.clone(), Limits::default());
    fill(&embedded);
    embedded
});

fn fill(authorizer: &dyn Authorizer) {
    let insert = worlds::all().into_iter().flat_map(|world| world.tuples).collect();
    for portion in (Changes { insert, ..Changes::default() }).in_portions() {
        wait(authorizer.apply(portion)).unwrap();
    }
}

/// Each is made when it is first asked for.
type Adapter = (&'static str, fn() -> &'static dyn Authorizer);

const ADAPTERS: &[Adapter] = &[
    ("embedded", || &*EMBEDDED),
    #[cfg(feature = "keto")]
    ("keto", || &*keto::FILLED),
];

#[cfg(feature = "keto")]
pub(crate) mod keto {
    use std::time::Duration;

    use relations::{Keto, KetoOptions};

    use super::{LazyLock, RUNTIME, SCHEMA, fill};

    /// All worlds' tuples, in a Keto that ends with this process.
    pub(crate) static FILLED: LazyLock<Keto> = LazyLock::new(|| {
        static SERVER: LazyLock<testkit::Keto> = LazyLock::new(|| testkit::Keto::start(&SCHEMA.to_keto()));
        let keto = patient(&SERVER);
        fill(&keto);
        keto
    });

    /// With more time than a service would give it: other tests run beside.
    pub(crate) fn patient(server: &testkit::Keto) -> Keto {
        let options = KetoOptions {
            timeout: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(10),
            ..KetoOptions::new(server.read_url(), server.write_url())
        };
        let _inside = RUNTIME.enter();
        Keto::new(SCHEMA.clone(), &options).unwrap()
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let here = testkit::Keto::is_installed();
    if cfg!(feature = "keto") && !here && !arguments.list {
        eprintln!("there is no Keto: its cases are ignored; scripts/tools.sh keto compiles it");
    }
    let mut trials = Vec::new();
    for (name, adapter) in ADAPTERS {
        let ignored = *name == "keto" && !here;
        for world in worlds::all() {
            for case in world.cases {
                let title = format!("{name}: {}: {}", world.name, case.title);
                let run = move || case.run(adapter());
                trials.push(Trial::test(title, run).with_ignored_flag(ignored));
            }
        }
        for (title, test) in port::TESTS {
            let run = move || {
                test(adapter());
                Ok(())
            };
            trials.push(Trial::test(format!("{name}: {title}"), run).with_ignored_flag(ignored));
        }
    }
    let plain = |title: &str, test: fn()| {
        Trial::test(title, move || {
            test();
            Ok(())
        })
    };
    #[cfg(feature = "keto")]
    for (title, test) in outage::TESTS {
        trials.push(plain(&format!("keto: {title}"), *test).with_ignored_flag(!here));
    }
    trials.extend(properties::TESTS.iter().chain(limits::TESTS).map(|(title, test)| plain(title, *test)));
    libtest_mimic::run(&arguments, trials).exit_code()
}
