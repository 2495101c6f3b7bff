//! A tenant's NATS client reads its own events and nothing else: everything it could try, tried on a real broker.

use std::{fmt::Write as _, path::PathBuf, sync::Arc, time::Duration};

use async_nats::{
    Client, ConnectOptions, Event, HeaderMap,
    jetstream::{self, consumer::pull, stream},
};
use bus::{
    Bus, Options,
    accounts::{Accounts, DOMAIN, Operator, Options as AccountOptions, Reader},
};
use futures::{StreamExt as _, TryStreamExt as _};
use model::{TenantId, resource::Begin};
use secrecy::{ExposeSecret as _, SecretString};
use testkit::{NatsOptions, NatsServer, wait_for, wait_until};
use tokio::sync::Mutex;

use crate::LONG;

const STREAM: &str = "TENANT-default";
/// Long enough for an answer of a broker on this machine, which nobody gives.
const SILENCE: Duration = Duration::from_millis(300);

fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().cast_signed()
}

fn tenant(id: &str) -> TenantId {
    id.parse().unwrap()
}

/// A broker with the fleet's streams, and tenants that may read theirs.
struct World {
    nats: NatsServer,
    bus: Bus,
    accounts: Accounts,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let seed = Operator::generate().unwrap();
        let operator = Operator::from_seed(seed.expose_secret()).unwrap();
        let extra = operator.broker_config(&folder.path().join("accounts"), now());
        let nats =
            NatsServer::start_with(NatsOptions { sync_always: false, extra, ..NatsOptions::default() });
        let credentials = folder.path().join("fleet.creds");
        std::fs::write(&credentials, operator.fleet_credentials(now()).expose_secret()).unwrap();
        let options = Options { url: nats.url(), credentials_file: Some(credentials), ..Options::default() };
        let bus = Bus::connect(&options).await.unwrap();
        for (name, subject) in
            [(STREAM, "tenant.default.>"), ("KV_catalog", "$KV.catalog.>"), ("RAW", "raw.>")]
        {
            let config =
                stream::Config { name: name.into(), subjects: vec![subject.into()], ..Default::default() };
            bus.jetstream().create_stream(config).await.unwrap();
        }
        let options =
            AccountOptions { operator_seed: seed.expose_secret().into(), ..AccountOptions::default() };
        let accounts = Accounts::new(&bus, &options).unwrap().unwrap();
        Self { nats, bus, accounts, folder }
    }

    async fn publish(&self, tenant: &str, text: &str) {
        let subject = format!("tenant.default.{tenant}.order");
        self.bus.jetstream().publish(subject, text.to_owned().into()).await.unwrap().await.unwrap();
    }

    fn reader(&self, of: &str, id: &str, begin: Begin) -> (Reader, SecretString) {
        self.accounts.operator().new_reader(&tenant(of), id, begin, now()).unwrap()
    }

    async fn set(&self, of: &str, readers: &[Reader]) {
        self.accounts.set(&tenant(of), "default", readers, now()).await.unwrap();
    }

    fn file(&self, credentials: &SecretString) -> PathBuf {
        let file = self.folder.path().join(format!("{:x}.creds", rand::random::<u64>()));
        std::fs::write(&file, credentials.expose_secret()).unwrap();
        file
    }

    /// A client as a tenant has it, and what the broker tells it that it may not.
    async fn client(&self, credentials: &SecretString) -> Result<Guest, async_nats::ConnectError> {
        let said = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&said);
        let options = ConnectOptions::with_credentials_file(self.file(credentials)).await.unwrap();
        let client = options
            .event_callback(move |event| {
                let heard = Arc::clone(&heard);
                async move {
                    if let Event::ServerError(error) = event {
                        let _ = writeln!(heard.lock().await, "{error}");
                    }
                }
            })
            .connect(self.nats.url())
            .await?;
        Ok(Guest { client, said })
    }

    /// Messages of each stream of the fleet, and its consumers.
    async fn state(&self) -> Vec<(String, u64, Vec<String>)> {
        let mut state = Vec::new();
        let names: Vec<String> = self.bus.jetstream().stream_names().try_collect().await.unwrap();
        for name in names {
            let stream = self.bus.jetstream().get_stream(&name).await.unwrap();
            let mut consumers: Vec<String> = stream.consumer_names().try_collect().await.unwrap();
            consumers.sort();
            state.push((name, stream.cached_info().state.messages, consumers));
        }
        state.sort();
        state
    }
}

struct Guest {
    client: Client,
    said: Arc<Mutex<String>>,
}

impl Guest {
    fn consumer(&self, of: &str, id: &str) -> (jetstream::Context, String, String) {
        let jetstream = jetstream::with_domain(self.client.clone(), DOMAIN);
        (jetstream, STREAM.to_owned(), format!("{of}~{id}"))
    }

    /// What its consumer gives within a moment, acknowledged.
    async fn read(&self, of: &str, id: &str) -> Vec<String> {
        let (jetstream, stream, name) = self.consumer(of, id);
        let consumer: jetstream::consumer::PullConsumer =
            jetstream.get_consumer_from_stream(name, stream).await.unwrap();
        let mut messages = consumer.fetch().max_messages(100).messages().await.unwrap();
        let mut read = Vec::new();
        while let Some(message) = messages.next().await {
            let message = message.unwrap();
            assert!(message.subject.starts_with(&format!("tenant.default.{of}.")), "{}", message.subject);
            message.double_ack().await.unwrap();
            read.push(String::from_utf8(message.payload.to_vec()).unwrap());
        }
        read
    }

    async fn was_told_no(&self, what: &str) {
        wait_until(what, LONG, async || !self.said.lock().await.is_empty()).await;
        self.said.lock().await.clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_reads_its_own_from_the_beginning_and_as_it_comes() {
    let world = World::new().await;
    for n in 0..3 {
        world.publish("acme", &format!("acme {n}")).await;
        world.publish("globex", &format!("globex {n}")).await;
    }
    let (all, all_file) = world.reader("acme", "all", Begin::Start);
    let (new, new_file) = world.reader("acme", "new", Begin::New);
    world.set("acme", &[all.clone(), new.clone()]).await;
    let (all_client, new_client) =
        (world.client(&all_file).await.unwrap(), world.client(&new_file).await.unwrap());
    let mut live = all_client.client.subscribe("tenant.default.acme.>").await.unwrap();
    all_client.client.flush().await.unwrap();
    assert_eq!(all_client.read("acme", "all").await, ["acme 0", "acme 1", "acme 2"]);
    world.publish("globex", "globex 3").await;
    world.publish("acme", "acme 3").await;
    assert_eq!(all_client.read("acme", "all").await, ["acme 3"], "what was acknowledged does not come again");
    assert_eq!(new_client.read("acme", "new").await, ["acme 3"]);
    let came = tokio::time::timeout(LONG, live.next()).await.unwrap().unwrap();
    assert_eq!((came.subject.as_str(), &came.payload[..]), ("tenant.default.acme.order", &b"acme 3"[..]));
    assert!(all_client.said.lock().await.is_empty());

    // Told again, it goes on where it was.
    world.set("acme", &[all, new]).await;
    world.publish("acme", "acme 4").await;
    assert_eq!(all_client.read("acme", "all").await, ["acme 4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_taken_away_is_cut_off_and_gets_in_no_more() {
    let world = World::new().await;
    let (one, one_file) = world.reader("acme", "one", Begin::Start);
    let (two, two_file) = world.reader("acme", "two", Begin::Start);
    assert!(world.client(&one_file).await.is_err(), "not before the broker was told");
    world.set("acme", &[one.clone(), two.clone()]).await;
    let (gone, stays) = (world.client(&one_file).await.unwrap(), world.client(&two_file).await.unwrap());
    world.set("acme", &[two]).await;
    let is = |guest: &Guest| guest.client.connection_state() == async_nats::connection::State::Connected;
    wait_until("its connection is ended", LONG, async || !is(&gone)).await;
    assert!(world.client(&one_file).await.is_err());
    world.publish("acme", "for two").await;
    assert_eq!(stays.read("acme", "two").await, ["for two"], "the other one goes on");
    assert_eq!(world.state().await[2].2, ["acme~two"], "the consumer went with it");

    // A new one of the same name is another one.
    let (again, _) = world.reader("acme", "one", Begin::Start);
    world.set("acme", &[again]).await;
    assert!(world.client(&one_file).await.is_err(), "an old file is good for nothing");

    // What was taken away while nobody told the broker.
    let (other, other_file) = world.reader("globex", "one", Begin::Start);
    world.set("globex", &[other]).await;
    let stale = world.client(&other_file).await.unwrap();
    world.accounts.keep_only(&[tenant("acme")], now()).await.unwrap();
    wait_until("its connection is ended", LONG, async || !is(&stale)).await;
    assert!(world.client(&other_file).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_tells_what_it_sent_to_each_tenants_clients() {
    let world = World::new().await;
    let tenants = [tenant("acme"), tenant("globex")];
    let ((acme, acme_file), (globex, globex_file)) =
        (world.reader("acme", "r", Begin::Start), world.reader("globex", "r", Begin::Start));
    world.set("acme", &[acme]).await;
    world.set("globex", &[globex]).await;
    let text = "x".repeat(1_000);
    for _ in 0..20 {
        world.publish("acme", &text).await;
        world.publish("globex", &text).await;
    }
    let (guest, _idle) = (world.client(&acme_file).await.unwrap(), world.client(&globex_file).await.unwrap());
    assert_eq!(guest.read("acme", "r").await.len(), 20);
    let sent = async || world.accounts.sent(&tenants).await.unwrap().unwrap();
    let of = |sent: &[bus::accounts::Sent], id: &str| -> u64 {
        sent.iter().filter(|sent| sent.tenant == tenant(id)).map(|sent| sent.bytes).sum()
    };
    let first = sent().await;
    // Answers to what it asked, and to acknowledgements, are in it.
    let bytes = of(&first, "acme");
    assert!((20_000..24_000).contains(&bytes), "{first:?}");
    assert_eq!(of(&first, "globex"), 0, "its events are none that its clients read");
    drop(guest);
    world.publish("acme", &text).await;
    assert_eq!(
        of(&sent().await, "acme"),
        bytes,
        "what nobody reads is not sent, and who is gone is not forgotten"
    );
}

#[tokio::test]
async fn a_broker_that_was_set_up_otherwise_does_not_tell() {
    let nats = NatsServer::start();
    let bus = Bus::connect(&Options { url: nats.url(), ..Options::default() }).await.unwrap();
    let seed = Operator::generate().unwrap();
    let options = AccountOptions { operator_seed: seed.expose_secret().into(), ..AccountOptions::default() };
    let accounts = Accounts::new(&bus, &options).unwrap().unwrap();
    assert_eq!(accounts.sent(&[tenant("acme")]).await.unwrap(), None);
}

/// Subjects that a tenant's client may not listen to.
const UNHEARD: [&str; 19] = [
    ">",
    "*.>",
    "tenant.>",
    "tenant.default.>",
    "tenant.default.globex.>",
    "tenant.default.*.order",
    "raw.>",
    "events.>",
    "dead.>",
    "audit.>",
    "$KV.>",
    "$KV.catalog.>",
    "$JS.>",
    "$JS.API.>",
    "$JS.EVENT.ADVISORY.>",
    "$JS.ACK.>",
    "$SYS.>",
    "_R_.>",
    "$SRV.>",
];

const PUSH: &str = r#"{"stream_name":"TENANT-default","config":{"durable_name":"p","deliver_subject":"$KV.catalog.x","ack_policy":"none"}}"#;
const MIRROR: &str = r#"{"name":"M","mirror":{"name":"TENANT-default"},"storage":"memory"}"#;
const SOURCE: &str = r#"{"name":"M","sources":[{"name":"KV_catalog"}],"subjects":["m"],"storage":"memory"}"#;

/// What it may not say: what it would get, the subject, and what it says.
const UNSAID: [(&str, &str, &str); 31] = [
    ("another's events", "$JS.eventrunner.API.CONSUMER.MSG.NEXT.TENANT-default.globex~r", "1"),
    ("another's consumer", "$JS.eventrunner.API.CONSUMER.INFO.TENANT-default.globex~r", ""),
    ("another's acknowledgements", "$JS.ACK.TENANT-default.globex~r.1.2.1.1.0", "+ACK"),
    ("the same by the plain API", "$JS.API.CONSUMER.MSG.NEXT.TENANT-default.globex~r", "1"),
    ("its own by the plain API", "$JS.API.CONSUMER.MSG.NEXT.TENANT-default.acme~r", "1"),
    ("the account", "$JS.API.INFO", ""),
    ("which streams there are", "$JS.API.STREAM.NAMES", ""),
    ("the shared stream", "$JS.API.STREAM.INFO.TENANT-default", ""),
    ("the shared stream, by the domain", "$JS.eventrunner.API.STREAM.INFO.TENANT-default", ""),
    ("a message of it", "$JS.API.STREAM.MSG.GET.TENANT-default", r#"{"seq":2}"#),
    ("a message of it, directly", "$JS.API.DIRECT.GET.TENANT-default", r#"{"seq":2}"#),
    ("the catalog", "$JS.API.DIRECT.GET.KV_catalog.$KV.catalog.tenant.acme", ""),
    ("a consumer", "$JS.API.CONSUMER.CREATE.TENANT-default.x.tenant.default.globex.>", "{}"),
    ("a consumer, by the domain", "$JS.eventrunner.API.CONSUMER.CREATE.TENANT-default.acme~r", PUSH),
    ("a push consumer", "$JS.API.CONSUMER.DURABLE.CREATE.TENANT-default.p", PUSH),
    ("another's consumer away", "$JS.API.CONSUMER.DELETE.TENANT-default.globex~r", ""),
    ("which consumers there are", "$JS.API.CONSUMER.NAMES.TENANT-default", ""),
    ("a mirror", "$JS.API.STREAM.CREATE.M", MIRROR),
    ("a stream with sources", "$JS.API.STREAM.CREATE.M", SOURCE),
    ("a stream away", "$JS.API.STREAM.DELETE.KV_catalog", ""),
    ("a stream empty", "$JS.API.STREAM.PURGE.TENANT-default", ""),
    ("an entry of the catalog", "$KV.catalog.tenant.acme", "{}"),
    ("an event of its own", "tenant.default.acme.order", "{}"),
    ("an event of another", "tenant.default.globex.order", "{}"),
    ("what only doors write", "raw.0", "x"),
    ("who is connected", "$SYS.REQ.SERVER.PING.CONNZ", ""),
    ("what others were sent", "accounts.sent", "{}"),
    ("what others were sent, of the system", "$SYS.REQ.ACCOUNT.PING.STATZ", "{}"),
    ("accounts", "$SYS.REQ.CLAIMS.LIST", ""),
    ("an account", "$SYS.REQ.CLAIMS.UPDATE", "a.b.c"),
    ("another's inbox", "_INBOX.anybody.1", "x"),
];

/// Where it may ask for answers to go, and they do not.
const ELSEWHERE: [(&str, &str); 8] = [
    ("into the catalog", "$KV.catalog.tenant.acme"),
    ("into another's events", "tenant.default.globex.order"),
    ("into the doors' stream", "raw.0"),
    ("into another's inbox", "_INBOX.anybody.1"),
    ("as a request to the API", "$JS.API.STREAM.DELETE.KV_catalog"),
    ("as a request to another's consumer", "$JS.eventrunner.API.CONSUMER.MSG.NEXT.TENANT-default.globex~r"),
    ("as an acknowledgement of another's", "$JS.ACK.TENANT-default.globex~r.1.2.1.1.0"),
    ("as a request of the system", "$SYS.REQ.CLAIMS.LIST"),
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_can_be_reached() {
    let world = World::new().await;
    let ((acme, acme_file), (globex, globex_file)) =
        (world.reader("acme", "r", Begin::Start), world.reader("globex", "r", Begin::Start));
    world.set("acme", &[acme]).await;
    world.set("globex", &[globex]).await;
    for n in 0..3 {
        world.publish("acme", &format!("acme {n}")).await;
        world.publish("globex", &format!("globex {n}")).await;
    }
    let (guest, victim) =
        (world.client(&acme_file).await.unwrap(), world.client(&globex_file).await.unwrap());
    let mut watched = victim.client.subscribe("_INBOX.>").await.unwrap();
    victim.client.flush().await.unwrap();
    let before = world.state().await;

    for subject in UNHEARD {
        let _subscription = guest.client.subscribe(subject).await.unwrap();
        guest.client.flush().await.unwrap();
        guest.was_told_no(subject).await;
    }

    for (what, subject, body) in UNSAID {
        let asked = guest.client.request(subject, body.into());
        let answer = tokio::time::timeout(SILENCE, asked).await;
        assert!(!matches!(answer, Ok(Ok(_))), "{what}: {answer:?}");
        guest.was_told_no(what).await;
    }

    // What it may say, so that the answer goes where it should not: it stays in the tenant's own account.
    let next = "$JS.eventrunner.API.CONSUMER.MSG.NEXT.TENANT-default.acme~r";
    for (what, reply) in ELSEWHERE {
        let mut headers = HeaderMap::new();
        // As the broker itself says who asks, and whom to tell of the message's way.
        headers.insert("Nats-Request-Info", r#"{"acc":"$G","svc":"$SYS"}"#);
        headers.insert("Nats-Trace-Dest", reply);
        for body in [r#"{"batch":1,"no_wait":true}"#, "1"] {
            let sent = guest.client.publish_with_reply_and_headers(next, reply, headers.clone(), body.into());
            sent.await.unwrap_or_else(|e| panic!("{what}: {e}"));
        }
        guest.client.flush().await.unwrap();
    }
    // The same by what acknowledging can ask for.
    let ack = "$JS.ACK.TENANT-default.acme~r.1.1.1.1.0";
    guest.client.publish_with_reply(ack, "$KV.catalog.tenant.acme", "+NXT 5".into()).await.unwrap();
    guest.client.flush().await.unwrap();
    // It was all heard by now: what is asked after it is answered.
    let (jetstream, stream, name) = guest.consumer("acme", "r");
    let _: jetstream::consumer::Consumer<pull::Config> =
        jetstream.get_consumer_from_stream(name, stream).await.unwrap();
    let silent = tokio::time::timeout(SILENCE, watched.next()).await;
    assert!(silent.is_err(), "another tenant heard {silent:?}");
    assert_eq!(world.state().await, before);
    let delivered = victim.read("globex", "r").await;
    assert_eq!(delivered, ["globex 0", "globex 1", "globex 2"], "all of it, each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_and_a_tenant_that_breaks_them_harms_no_other() {
    let world = World::new().await;
    let (reader, file) = world.reader("acme", "r", Begin::Start);
    world.set("acme", &[reader]).await;
    let guest = world.client(&file).await.unwrap();
    guest.client.publish("$JS.ACK.TENANT-default.acme~r.1.1.1.1.0", vec![b'x'; 5_000].into()).await.unwrap();
    guest.was_told_no("a message is larger than questions are").await;
    drop(guest);
    let most = AccountOptions::default().connections_max;
    let mut clients = Vec::new();
    let refused = wait_for("one too many", LONG, async || {
        match world.client(&file).await {
            Ok(client) => clients.push(client),
            Err(error) => return Some(error),
        }
        None
    })
    .await;
    assert!(clients.len() <= most as usize, "{refused}");
    world.publish("acme", "still").await;
    assert_eq!(clients[0].read("acme", "r").await, ["still"]);
}
