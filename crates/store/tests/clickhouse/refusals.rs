//! What is wrong is said in words an operator can act on, and nothing is lost by it.

use store::{
    Error, METER_EVENTS, UsageStore as _,
    clickhouse::{ClickHouse, Options, migrations},
    migration::Mode,
};
use testkit::{ClickHouse as Server, ClickHouseOptions, free_port};

use crate::world::{options, records, tenant, total};

const USERS: &str = "
    <profiles><default/><reading><readonly>1</readonly></reading></profiles>
    <quotas><default/></quotas>
    <users>
        <default><password/><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default>
        <writer><password>right</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></writer>
        <reader><password/><networks><ip>127.0.0.1</ip></networks><profile>reading</profile><quota>default</quota></reader>
        <granted><password/><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
            <grants><query>GRANT SELECT ON *.*</query></grants></granted>
    </users>";

fn as_user(options: &Options, user: &str, password: Option<&str>) -> Options {
    Options { user: user.into(), password: password.map(Into::into), ..options.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_that_may_not_are_told_so() {
    let server =
        Server::start_with(ClickHouseOptions { users: Some(USERS.into()), ..ClickHouseOptions::default() });
    let options = options(&server);
    let writer = as_user(&options, "writer", Some("right"));
    migrations::migrate(&writer, Mode::Apply).await.unwrap();
    let usage = ClickHouse::open(writer).await.unwrap();
    usage.write(records(&tenant("t"), 0..10)).await.unwrap();
    let cases = [
        ("writer", Some("wrong"), "refuses the user writer"),
        ("writer", None, "refuses the user writer"),
        ("nobody", None, "refuses the user nobody"),
        ("reader", None, "only read"),
        ("granted", None, "grant it"),
    ];
    for (user, password, says) in cases {
        let given = as_user(&options, user, password);
        for refused in [
            ClickHouse::open(given.clone()).await.err(),
            // A reader may look whether the schema is there; making one is another thing.
            migrations::migrate(&Options { database: "other".into(), ..given }, Mode::Apply).await.err(),
        ] {
            assert!(
                matches!(&refused, Some(Error::Open(text)) if text.contains(says)),
                "{user}: {refused:?}"
            );
            assert!(!refused.unwrap().to_string().contains("wrong"), "passwords stay secret");
        }
    }
    assert_eq!(total(&usage, &tenant("t"), METER_EVENTS).await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_may_come() {
    let options = Options { url: format!("http://127.0.0.1:{}", free_port()), ..Options::default() };
    for refused in [
        ClickHouse::open(options.clone()).await.unwrap_err(),
        migrations::migrate(&options, Mode::Check).await.unwrap_err(),
    ] {
        assert!(matches!(&refused, Error::Unavailable(text) if text.contains("refused")), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_to_be_full_and_takes_the_records_when_there_is_room() {
    let mut server = Server::start();
    let (options, t) = (options(&server), tenant("t"));
    migrations::migrate(&options, Mode::Apply).await.unwrap();
    let usage = ClickHouse::open(options).await.unwrap();
    usage.write(records(&t, 0..10)).await.unwrap();
    let no_room = "<storage_configuration><disks><default>
        <keep_free_space_bytes>1000000000000000</keep_free_space_bytes>
        </default></disks></storage_configuration>";
    server.restart_with(|options| options.config = no_room.into());
    let full = usage.write(records(&t, 5..20)).await.unwrap_err();
    assert!(matches!(full, Error::Full(_)), "{full}");
    assert_eq!(total(&usage, &t, METER_EVENTS).await, 10, "reading goes on");
    server.restart_with(|options| options.config = String::new());
    usage.write(records(&t, 5..20)).await.unwrap();
    assert_eq!(total(&usage, &t, METER_EVENTS).await, 20);
}

/// Limits of the server that pass: too many parts, too little memory.
#[tokio::test(flavor = "multi_thread")]
async fn limits_of_the_server_are_worth_another_try() {
    let (usage, options) = crate::world::open(Server::shared()).await;
    let t = tenant("t");
    let table = |change: &str| {
        Server::shared().run(&options.database, &format!("ALTER TABLE usage_records {change}"));
    };
    Server::shared().run(&options.database, "SYSTEM STOP MERGES usage_records");
    table("MODIFY SETTING parts_to_throw_insert = 1, parts_to_delay_insert = 1");
    usage.write(records(&t, 0..10)).await.unwrap();
    let busy = loop {
        if let Err(error) = usage.write(records(&t, 0..20)).await {
            break error;
        }
    };
    assert!(matches!(&busy, Error::Unavailable(text) if text.contains("TOO_MANY_PARTS")), "{busy}");
    table("RESET SETTING parts_to_throw_insert, parts_to_delay_insert");
    usage.write(records(&t, 0..20)).await.unwrap();
    assert_eq!(total(&usage, &t, METER_EVENTS).await, 20);
}
