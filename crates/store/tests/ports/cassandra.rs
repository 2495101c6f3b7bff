//! One Cassandra for all tests of a binary; each has tenants of its own.

use std::{sync::OnceLock, thread};

use store::{
    cql::{Options, migrations::migrate},
    migration::Mode,
};
use testkit::Cassandra;

/// How to reach it. The first to ask starts it, and waits.
pub(crate) fn options() -> Options {
    static SERVER: OnceLock<Cassandra> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        let server = Cassandra::start();
        let options = of(&server);
        let migrated = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(migrate(&options, Mode::Apply))
        });
        migrated.join().unwrap().unwrap();
        server
    });
    of(server)
}

fn of(server: &Cassandra) -> Options {
    Options { nodes: server.nodes(), replication: 1, ..Options::default() }
}
