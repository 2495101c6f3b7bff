//! A server that asks for a user and speaks TLS.

use std::{path::Path, process::Command, sync::Arc};

use scylla::client::session_builder::SessionBuilder;
use secrecy::SecretString;
use store::{
    Error, EventStore as _,
    cql::{Cql, Options, migrations::migrate},
    migration::Mode,
};
use testkit::{Cassandra, CassandraOptions};

use crate::world::{NOON, World, events};

const PASSWORD: &str = "of-this-test";

/// A key of the server's own and its certificate, made by the JDK's tool.
fn make_certificate(folder: &Path) {
    let keytool = |arguments: &[&str]| {
        let output = Command::new("keytool").current_dir(folder).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    };
    let store = ["-keystore", "key.p12", "-storetype", "PKCS12", "-storepass", PASSWORD, "-alias", "node"];
    let generate = ["-genkeypair", "-keyalg", "RSA", "-dname", "CN=node", "-ext", "SAN=ip:127.0.0.1"];
    keytool(&[&generate[..], &store].concat());
    keytool(&[&["-exportcert", "-rfc", "-file", "node.pem"][..], &store].concat());
}

fn start(folder: &Path) -> Cassandra {
    make_certificate(folder);
    let config = format!(
        "authenticator: PasswordAuthenticator\nauthorizer: CassandraAuthorizer\n\
         client_encryption_options:\n  enabled: true\n  optional: true\n  keystore: {}/key.p12\n  \
         store_type: PKCS12\n  keystore_password: {PASSWORD}\n",
        folder.display()
    );
    Cassandra::start_with(1, &CassandraOptions { config, ..CassandraOptions::default() })
}

async fn open(options: &Options) -> Result<Cql, Error> {
    Cql::open(options.clone(), Arc::new(|_| None)).await
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, Error>) -> String {
    match outcome {
        Err(Error::Open(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_and_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let server = tokio::task::spawn_blocking(move || start(&path)).await.unwrap();
    let admin = Options {
        nodes: server.nodes(),
        replication: 1,
        user: "cassandra".into(),
        password: Some(SecretString::from("cassandra")),
        tls: true,
        tls_ca_file: folder.path().join("node.pem"),
        ..Options::default()
    };
    migrate(&admin, Mode::Apply).await.unwrap();
    let cql = open(&admin).await.unwrap();
    let world = World::new();
    let tenant = world.tenant("t");
    cql.write(world.batch(&tenant, NOON, events(0..3))).await.unwrap();
    assert!(cql.get(&tenant, "/shop", "1").await.unwrap().is_some());

    credentials(&admin).await;
    certificates(&admin).await;
    read_only(&admin).await;
}

async fn credentials(admin: &Options) {
    let begin = std::time::Instant::now();
    for (user, password) in [("cassandra", "wrong"), ("nobody", "cassandra"), ("cassandra", ""), ("", "")] {
        let password = Some(SecretString::from(password));
        let options = Options { user: user.into(), password, ..admin.clone() };
        for message in [refused(open(&options).await), refused(migrate(&options, Mode::Check).await)] {
            assert!(message.contains("user") && message.contains("password"), "{user}: {message}");
            assert!(!message.contains("wrong"), "{message}");
        }
    }
    // Not tried again and again until the time for opening is over.
    assert!(begin.elapsed().as_millis() < admin.open_timeout_ms.into(), "{:?}", begin.elapsed());
}

async fn certificates(admin: &Options) {
    let stranger = tempfile::tempdir().unwrap();
    make_certificate(stranger.path());
    let missing = stranger.path().join("none.pem");
    let options = Options { tls_ca_file: missing, ..admin.clone() };
    assert!(refused(open(&options).await).contains("tls_ca_file"));
    let options =
        Options { tls_ca_file: stranger.path().join("node.pem"), open_timeout_ms: 2_000, ..admin.clone() };
    let message = refused(open(&options).await);
    assert!(message.contains("certificate"), "{message}");
}

async fn read_only(admin: &Options) {
    let session =
        SessionBuilder::new().known_nodes(&admin.nodes).user("cassandra", "cassandra").build().await.unwrap();
    for statement in [
        "CREATE ROLE reader WITH PASSWORD = 'reader' AND LOGIN = true",
        "GRANT SELECT ON KEYSPACE eventrunner TO reader",
    ] {
        session.query_unpaged(statement, ()).await.unwrap();
    }
    let password = Some(SecretString::from("reader"));
    let reader = Options { user: "reader".into(), password, ..admin.clone() };
    let message = refused(open(&reader).await);
    assert!(message.contains("may not") && message.contains("MODIFY"), "{message}");
    let elsewhere = Options { keyspace: "elsewhere".into(), ..reader };
    let message = refused(migrate(&elsewhere, Mode::Apply).await);
    assert!(message.contains("may not"), "{message}");
}
