//! What the broker asks for before it lets anybody in: both connections have it, and without it neither gets in.

use async_nats::jetstream::stream;
use bus::{
    Bus, Error, Options,
    pipe::{Messages as _, Pipe},
};
use bytes::Bytes;
use nkeys::KeyPair;
use testkit::{Certificates, NatsOptions, NatsServer, wait_for};

use crate::LONG;

const SEED: &str = "SUACH75SWCM5D2JMJM6EKLR2WDARVGZT4QC6LX3AGHSWOMVAKERABBBRWM";

fn server(extra: String) -> NatsServer {
    NatsServer::start_with(NatsOptions { sync_always: false, extra, ..NatsOptions::default() })
}

/// Both connections are used: the client's makes a stream, and the pipe publishes to it.
async fn works(options: &Options) {
    let bus = Bus::connect(options).await.unwrap();
    let config = stream::Config { name: "A".into(), subjects: vec!["a".into()], ..Default::default() };
    bus.jetstream().get_or_create_stream(config).await.unwrap();
    let pipe = Pipe::open(&bus);
    wait_for("the pipe's message is in the stream", LONG, async || {
        let mut shipment = pipe.shipment(1).await;
        shipment.add("a", |_| {}, &Bytes::from_static(b"x"));
        shipment.send().await.acknowledged().await[0]
    })
    .await;
}

async fn error(options: &Options) -> Error {
    Bus::connect(options).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_lets_both_connections_in_and_no_other_does() {
    let public = KeyPair::from_seed(SEED).unwrap().public_key();
    let user = |user: &str, password: &str| Options {
        user: user.into(),
        password: password.into(),
        ..Options::default()
    };
    let token = |token: &str| Options { token: token.into(), ..Options::default() };
    let nkey = |seed: &str| Options { nkey_seed: seed.into(), ..Options::default() };
    for (asks, good, wrong) in [
        ("user: fleet, password: hunter2".to_owned(), user("fleet", "hunter2"), user("fleet", "hunter3")),
        ("token: hunter2".to_owned(), token("hunter2"), token("hunter3")),
        (format!("users: [{{nkey: {public}}}]"), nkey(SEED), nkey(&KeyPair::new_user().seed().unwrap())),
    ] {
        let nats = server(format!("authorization {{ {asks} }}"));
        let at = |options: Options| Options { url: nats.url(), ..options };
        works(&at(good)).await;
        for refused in [wrong, Options::default()] {
            let error = error(&at(refused)).await;
            let said = error.to_string();
            assert!(matches!(error, Error::Login(_)) && said.contains("refuses the login"), "{asks}: {said}");
            assert!(!said.contains("hunter"), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_in_the_address_is_one_and_is_not_shown() {
    let nats = server("authorization { user: fleet, password: \"hunter@2\" }".into());
    let at = |login: &str| Options {
        url: format!("nats://{login}@127.0.0.1:{}", nats.port()),
        ..Options::default()
    };
    works(&at("fleet:hunter%402")).await;
    let said = error(&at("fleet:hunter3")).await.to_string();
    assert!(said.contains("refuses the login") && !said.contains("hunter"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_with_whom_the_authority_vouches_for() {
    testkit::install_tls();
    let (ours, strangers) = (Certificates::make(), Certificates::make());
    let tls = |verify: &str| {
        let (certificate, key) = (ours.certificate("server"), ours.key("server"));
        format!(
            "tls {{ cert_file: {certificate:?}, key_file: {key:?}, ca_file: {:?} {verify} }}",
            ours.authority()
        )
    };
    let trusting = |nats: &NatsServer, who: &Certificates| Options {
        url: nats.url(),
        tls_ca_file: Some(who.authority()),
        ..Options::default()
    };
    let nats = server(tls(""));
    works(&trusting(&nats, &ours)).await;
    let said = error(&trusting(&nats, &strangers)).await.to_string();
    assert!(said.contains("certificate"), "{said}");
    let said = error(&Options { url: nats.url(), ..Options::default() }).await.to_string();
    assert!(said.contains("certificate"), "the machine's own authorities do not know ours: {said}");

    let nats = server(tls(", verify: true"));
    let showing = |who: &Certificates| Options {
        tls_certificate_file: Some(who.certificate("client")),
        tls_key_file: Some(who.key("client")),
        ..trusting(&nats, &ours)
    };
    works(&showing(&ours)).await;
    for refused in [showing(&strangers), trusting(&nats, &ours)] {
        Bus::connect(&refused).await.unwrap_err();
    }

    // Whoever stands in between could say that there is no TLS here.
    let plain = server(String::new());
    Bus::connect(&trusting(&plain, &ours)).await.unwrap_err();
    let url = format!("tls://127.0.0.1:{}", plain.port());
    Bus::connect(&Options { url, ..Options::default() }).await.unwrap_err();
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let ours = Certificates::make();
    let plain = Options::default();
    for (options, says) in [
        (Options { tls_ca_file: Some(empty), ..plain.clone() }, "tls_ca_file"),
        (Options { tls_ca_file: Some("/none".into()), ..plain.clone() }, "tls_ca_file"),
        (Options { tls_key_file: Some(ours.key("client")), ..plain.clone() }, "together"),
        (
            Options {
                tls_certificate_file: Some(ours.certificate("client")),
                tls_key_file: Some(ours.certificate("client")),
                ..plain.clone()
            },
            "tls_key_file",
        ),
        (Options { credentials_file: Some("/none".into()), ..plain }, "credentials file /none"),
    ] {
        let error = error(&options).await;
        assert!(matches!(error, Error::Login(_)) && error.to_string().contains(says), "{error}");
    }
}
