//! Another region: its streams are mirrors until they are promoted, and streams afterwards.

use std::path::Path;

use serde_json::Value;
use tempfile::tempdir;
use testkit::{NatsOptions, NatsServer};

use crate::support::{ok, run, stderr, wait_for};

fn region(domain: &str, leaf_nodes: String) -> NatsServer {
    let domain = Some(domain.to_owned());
    NatsServer::start_with(NatsOptions {
        sync_always: false,
        domain,
        extra: leaf_nodes,
        ..NatsOptions::default()
    })
}

fn refused(folder: &Path, args: &[&str], code: i32, word: &str) {
    let output = run(folder, args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
    assert!(stderr(&output).contains(word), "{args:?}: {}", stderr(&output));
}

async fn last_sequence(server: &NatsServer, stream: &str) -> u64 {
    let jetstream = server.jetstream().await;
    jetstream.get_stream(stream).await.unwrap().cached_info().state.last_sequence
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_takes_over_when_the_other_is_gone_and_not_before() {
    let port = testkit::free_port();
    let mut east = region("EAST", format!("leafnodes {{ listen: \"127.0.0.1:{port}\" }}"));
    let at_home = r#"["raw.>", "invoices.>", "$KV.>", "eventrunner.>"]"#;
    let remote =
        format!("url: \"nats://127.0.0.1:{port}\", deny_imports: {at_home}, deny_exports: {at_home}");
    let west = region("WEST", format!("leafnodes {{ remotes: [{{ {remote} }}] }}"));
    let folder = tempdir().unwrap();
    let (folder, url) = (folder.path(), west.url());
    let (here, there) = (format!("nats.url={url}"), format!("nats.url={}", east.url()));
    let refuse =
        |verb: &str, code, word: &str| refused(folder, &["mirror", verb, "--nats-url", &url], code, word);
    refuse("status", 66, "there is no mirror");
    refuse("promote", 78, "there is no mirror");
    wait_for("the leaf node", || {
        let output = run(folder, &["mirror", "setup", "--from", "EAST", "--nats-url", &url]);
        stderr(&output).contains("holds no fleet").then_some(())
    });

    ok(folder, &["migrate", "--set", &there, "--set", "topology.durability=process"]);
    let jetstream = east.jetstream().await;
    for n in 0..50 {
        for subject in ["raw.0", "invoices.acme.main"] {
            jetstream.publish(subject, format!("{n}").into()).await.unwrap().await.unwrap();
        }
    }
    let made = ok(folder, &["mirror", "setup", "--from", "EAST", "--nats-url", &url, "-o", "json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    assert!(made["made"].as_array().unwrap().iter().any(|name| name == "KV_catalog"), "{made}");
    wait_for("the mirrors", || {
        let output = run(folder, &["mirror", "status", "--nats-url", &url, "-o", "json"]);
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        let invoices = status.as_array()?.iter().find(|mirror| mirror["name"] == "INVOICES")?;
        (output.status.success() && invoices["last_seq"] == 50 && invoices["lag"] == 0).then_some(())
    });
    // Nobody mistakes them for streams of a fleet here, and nobody takes over from who is there.
    refused(folder, &["migrate", "--set", &here], 78, "mirrors of another region");
    refuse("promote", 73, "answers");

    east.kill();
    wait_for("the loss of the origin", || {
        run(folder, &["mirror", "promote", "--nats-url", &url]).status.success().then_some(())
    });
    refuse("status", 66, "there is no mirror");
    ok(folder, &["migrate", "--set", &here, "--set", "topology.durability=process"]);
    // Numbers go on where they were, and the queue holds what was under way.
    let jetstream = west.jetstream().await;
    let next = jetstream.publish("invoices.acme.main", "next".into()).await.unwrap().await.unwrap();
    assert_eq!(next.sequence, 51);
    assert_eq!(last_sequence(&west, "RAW").await, 50);
    let full = jetstream.get_stream("RAW").await.unwrap().cached_info().config.clone();
    assert_eq!(
        (full.discard, full.max_age),
        (async_nats::jetstream::stream::DiscardPolicy::New, std::time::Duration::ZERO)
    );
}
