//! The table of kinds. A kind that the API has is an entry here, and nothing else.
//!
//! The order matters: what others name stands before them. Documents are applied in this order and pruned in the opposite one.

use super::{
    Flag, Form, Id, Kind, Place,
    nats_credentials::NATS_CREDENTIALS,
    special::{CHECK, ERASE, LIMITS, VERSIONS},
    verification,
};
use crate::{commands::users::BOOTSTRAP, output::Column};

/// Every kind of resource.
pub(crate) static KINDS: &[Kind] = &[
    Kind::new("plan", "plans", "Plans: limits that tenants are given as a whole; the fleet's")
        .at(Place::Fleet)
        .flags(&[NAME])
        .limits()
        .columns(&[ID, NAMED, Column("limits", "/limits"), LABELS, CREATED])
        .examples(
            "  eventrunner plans create gold --name Gold --events-per-second 5000
  eventrunner plans patch gold --subscriptions-max 50
  eventrunner plans list",
        ),
    Kind::new("user", "users", "Users: people who log in; the fleet's. Role bindings say what they may do")
        .at(Place::Fleet)
        .flags(&[
            NAME,
            Flag::text("email", "/email", "By which they may log in as well as by the id"),
            Flag::new("disabled", "/disabled", Form::Switch, "Nothing of theirs is believed any more"),
            Flag::new(
                "must-change-password",
                "/must_change_password",
                Form::Switch,
                "They may do nothing before they have set another password",
            ),
        ])
        .columns(&[
            ID,
            NAMED,
            Column("email", "/email"),
            Column("disabled", "/disabled"),
            Column("has password", "/has_password"),
            LABELS,
            CREATED,
        ])
        .extras(&[BOOTSTRAP])
        .examples(
            "  eventrunner users create alice --name 'Alice Miller' --email alice@example.com
  eventrunner role-bindings create alice --actor user:alice --role viewer --tenant acme
  eventrunner users patch alice --disabled
  eventrunner users bootstrap        # a superuser, by who may write to the broker",
        ),
    Kind::new("tenant", "tenants", "Tenants: the customers whose data is isolated")
        .at(Place::Fleet)
        .flags(&[
            NAME,
            PLAN,
            Flag::text("placement", "/placement", "Which tenant stream holds its events [default: default]"),
            Flag::number(
                "retention-days",
                "/retention_days",
                "Days for which its events are kept; 0: until erased",
            )
            .called("DAYS"),
            Flag::new(
                "tenant-stream",
                "/tenant_stream",
                Form::Choice(&["single", "packed"]),
                "How its stream holds its events from now on: an event a message, for any NATS client; or what came together as one, \
                 cheaper, for who reads through SSE or gRPC",
            ),
            Flag::new("disabled", "/disabled", Form::Switch, "Its keys and doors answer 403"),
        ])
        .columns(&[
            ID,
            NAMED,
            Column("disabled", "/disabled"),
            Column("placement", "/placement"),
            Column("plan", "/plan"),
            Column("events/s", "/limits/events_per_second"),
            Column("retention days", "/retention_days"),
            Column("stream", "/tenant_stream"),
            LABELS,
            CREATED,
        ])
        .limits()
        .extras(&[LIMITS, NATS_CREDENTIALS, ERASE])
        .examples(
            "  eventrunner tenants create acme --name 'Acme Inc.' --events-per-second 1000
  eventrunner tenants update acme --retention-days 90
  eventrunner tenants update acme --tenant-stream packed
  eventrunner tenants update acme --plan gold --bytes-per-second 1000000
  eventrunner tenants update acme --unset plan
  eventrunner tenants limits acme
  eventrunner tenants nats-credentials acme --file orders.creds
  eventrunner tenants erase acme
  eventrunner tenants list -l tier=gold",
        ),
    Kind::new("system", "systems", "Systems: what produces or consumes a tenant's events")
        .flags(&[NAME])
        .columns(&[TENANT, ID, NAMED, LABELS, CREATED])
        .examples(
            "  eventrunner systems create shop --tenant acme
  eventrunner systems list -A -q shop",
        ),
    Kind::new("customer", "customers", "Customers: a tenant's own, on whose behalf keys are used")
        .flags(&[NAME, PLAN])
        .columns(&[TENANT, ID, NAMED, LABELS, CREATED])
        .examples(
            "  eventrunner customers create jane --name 'Jane Doe' --label plan=gold
  eventrunner keys create --system shop --customer jane",
        ),
    Kind::new("billing-account", "billing-accounts", "Billing accounts: what is agreed with who pays; written as files (`apply`)")
        .flags(&[
            NAME,
            Flag::text("currency", "/currency", "The currency of all amounts, such as EUR").required(),
            Flag::text("customer", "/customer", "The customer who pays [default: the tenant]"),
            Flag::text("time-zone", "/time_zone", "Where its days and months begin, such as Europe/Berlin [default: UTC]"),
        ])
        .columns(&[
            TENANT,
            ID,
            NAMED,
            Column("currency", "/currency"),
            Column("time zone", "/time_zone"),
            Column("plans", "/plans"),
            LABELS,
            CREATED,
        ])
        .examples(
            "  eventrunner billing-accounts create main --currency EUR --time-zone Europe/Berlin
  eventrunner billing-accounts get main -o yaml",
        ),
    Kind::new("event-type", "event-types", "Event types: what may happen in a system, with an optional JSON Schema")
        .ids(Id::Name)
        .flags(&[
            SYSTEM.required(),
            Flag::new(
                "schema",
                "/schema",
                Form::ValueFile,
                "File with a JSON Schema (2020-12) of the data; events that break it are dead-lettered. Another schema makes another \
                 version",
            ),
            Flag::new(
                "compatibility",
                "/compatibility",
                Form::Choice(&["none", "backward", "forward", "full"]),
                "What another schema must be to take the place of this one: anything; it takes all that the one before takes; the one \
                 before takes all that it takes; both",
            ),
        ])
        .columns(&[
            TENANT,
            AT_SYSTEM,
            Column("name", "/name"),
            Column("version", "/version"),
            Column("description", "/description"),
            LABELS,
            CREATED,
        ])
        .extras(&[VERSIONS])
        .examples(
            "  eventrunner event-types create com.acme.sale --system shop --schema sale.schema.json
  eventrunner event-types get com.acme.sale -o yaml
  eventrunner event-types versions com.acme.sale",
        ),
    Kind::new(
        "source",
        "sources",
        "Sources: the doors of a system, with their mapping and how the provider proves who it is",
    )
    .flags(&[
        SYSTEM.required(),
        NAME,
        Flag::text(
            "preset",
            "/preset",
            "A provider whose mapping and signature scheme fill in what is not given: github, stripe, slack, shopify, ...",
        ),
        Flag::new("mapping", "/mapping", Form::ValueFile, "File with the mapping, JSON or YAML"),
        Flag::new(
            "keep-header",
            "/keep_headers",
            Form::List,
            "Header kept with a raw event besides those its mapping reads, in lower case; repeatable",
        )
        .called("NAME"),
    ])
    .other_flags(verification::flags, verification::fill)
    .columns(&[
        TENANT,
        AT_SYSTEM,
        ID,
        Column("preset", "/preset"),
        Column("scheme", "/verification/scheme/type"),
        LABELS,
        CREATED,
    ])
    .examples(
        "  eventrunner sources create github --system shop --preset github --secret-file webhook.secret
  eventrunner sources create till --system shop --mapping till.mapping.json
  eventrunner sources create crm --system shop --scheme hmac --header x-crm-signature --secret-file -
The provider then posts to <ingest-http>/v1/sources/<tenant>.<source>.",
    ),
    Kind::new("key", "keys", "API keys: what producers, consumers and managers authenticate with")
        .ids(Id::Given)
        .flags(&[
            SYSTEM.required(),
            NAME,
            Flag::new(
                "scope",
                "/scopes",
                Form::Choices(&["publish", "read", "write", "manage", "operate"]),
                "What it may do: publish events; read events, streams, dead letters and usage; redrive and purge dead letters; \
                 read and change everything of its own tenant in the catalog, keys included; the same of the whole fleet. \
                 Repeatable, or separated by commas",
            )
            .or("publish,read"),
            Flag::text("customer", "/customer", "The customer on whose behalf it is used"),
        ])
        .other_flags(super::special::first_key_flag, |_, _, _| Ok(()))
        .columns(&[TENANT, AT_SYSTEM, ID, NAMED, Column("scopes", "/scopes"), LABELS, CREATED])
        .examples(
            "  KEY=$(eventrunner keys create --system shop --scope publish)
  eventrunner keys list
  eventrunner keys delete 3k9d0xq2m7c1v5b8     # takes effect within a second
  eventrunner keys create --system ops --tenant ops --scope operate --on-broker     # a fleet's first",
        ),
    Kind::new("nats-credential", "nats-credentials", "NATS credentials: a tenant's NATS clients read its stream with them")
    .ids(Id::Given)
    .flags(&[
        NAME,
        Flag::new(
            "begin",
            "/begin",
            Form::Choice(&["start", "new"]),
            "Where its consumer begins: with the oldest that the stream holds, or with what comes from now on",
        ),
    ])
    .columns(&[TENANT, ID, NAMED, Column("begin", "/begin"), LABELS, CREATED])
    .examples(
        "  eventrunner tenants nats-credentials acme --file orders.creds     # makes one, and says how it is used
  eventrunner nats-credentials delete 3k9d0xq2m7c1v5b8 -t acme     # cuts its clients off",
    ),
    Kind::new("role", "roles", "Roles that a tenant, or the fleet, has made, and what somebody may do")
        .at(Place::Either)
        .flags(&[
            NAME,
            Flag::new(
                "permission",
                "/permissions",
                Form::List,
                "What it may do, such as read:event, *:source or read:*; repeatable",
            )
            .called("VERB:KIND")
            .required(),
        ])
        .columns(&[TENANT, ID, NAMED, Column("permissions", "/permissions"), LABELS, CREATED])
        .extras(&[CHECK])
        .examples(
            "  eventrunner roles create auditor --permission read:audit --permission 'read:*'
  eventrunner roles create fleet/helper --permission '*:system'
  eventrunner roles check key:k3jq2m5tnv8wxz0a publish:event

A role of the fleet's is called fleet/<id>. Those who have a role are listed by: eventrunner role-bindings list",
        ),
    Kind::new("role-binding", "role-bindings", "Role bindings: who has which role, in a tenant or fleet-wide")
        .at(Place::Either)
        .flags(&[
            Flag::text(
                "actor",
                "/actor",
                "To whom: user:ID, key:ID, client:ID, service:NAME, or role:ID for all who have that custom role",
            )
            .required(),
            Flag::text(
                "role",
                "/role",
                "Which role: superuser (fleet-wide), tenant_admin, admin, user, event_publisher, viewer, a custom one, or fleet/ID",
            )
            .required(),
            NAME,
        ])
        .columns(&[TENANT, ID, Column("actor", "/actor"), Column("role", "/role"), LABELS, CREATED])
        .examples(
            "  eventrunner role-bindings create alice --actor user:alice@example.com --role viewer --tenant acme
  eventrunner role-bindings create tills --actor key:k3jq2m5tnv8wxz0a --role fleet/helper
  eventrunner role-bindings create fleet/root --actor user:root@example.com --role superuser

A binding of the fleet's is called fleet/<id>, and counts in every tenant.",
        ),
    Kind::new("component", "components", "Components: a tenant's Wasm components; kept, and nothing runs them yet")
        .flags(&[
            SYSTEM.required(),
            NAME,
            Flag::text("digest", "/digest", "What it is made of: sha256: and the digest of the module in hexadecimal")
                .required(),
            ENABLED,
        ])
        .columns(&[TENANT, AT_SYSTEM, ID, NAMED, Column("enabled", "/enabled"), LABELS, CREATED])
        .examples("  eventrunner components create pricing --system shop --digest sha256:9f86d0..."),
    Kind::new("workflow", "workflows", "Workflows: a tenant's tasks and flows; kept, and nothing runs them yet")
        .flags(&[
            SYSTEM,
            NAME,
            Flag::new("definition", "/definition", Form::TextFile, "File with its tasks and flows, YAML").required(),
            ENABLED,
        ])
        .columns(&[TENANT, AT_SYSTEM, ID, NAMED, Column("enabled", "/enabled"), LABELS, CREATED])
        .examples("  eventrunner workflows create returns --system shop --definition returns.yaml"),
    Kind::new("rule-set", "rule-sets", "Rule sets: a tenant's rules; kept, and nothing runs them yet")
        .flags(&[
            SYSTEM,
            NAME,
            Flag::new("rules", "/rules", Form::TextFile, "File with the rules, GRL").required(),
            ENABLED,
        ])
        .columns(&[TENANT, AT_SYSTEM, ID, NAMED, Column("enabled", "/enabled"), LABELS, CREATED])
        .examples("  eventrunner rule-sets create discounts --rules discounts.grl"),
    Kind::new("action", "actions", "Actions: what is to be done in a system; kept, and nothing acts on them yet")
        .flags(&[
            SYSTEM.required(),
            NAME,
            Flag::text("to", "/target/url", "Where the request goes, http or https").called("URL").required(),
            Flag::new(
                "method",
                "/target/method",
                Form::Choice(&["GET", "POST", "PUT", "PATCH", "DELETE"]),
                "Its method [default: POST]",
            ),
            Flag::new("header", "/target/headers", Form::Pairs, "Header of the request, in lower case; repeatable"),
        ])
        .other_flags(super::special::secret_header_flag, super::special::fill_target)
        .columns(&[
            TENANT,
            AT_SYSTEM,
            ID,
            NAMED,
            Column("type", "/target/type"),
            Column("url", "/target/url"),
            LABELS,
            CREATED,
        ])
        .examples(
            "  eventrunner actions create tell-erp --system shop --to https://erp.example/orders --secret-header-file authorization=erp.token
  eventrunner actions patch tell-erp --method PUT",
        ),
    Kind::new(
        "subscription",
        "subscriptions",
        "Subscriptions: when in a system an event happens, then an action is done; kept, and nothing acts on them yet",
    )
    .flags(&[
        SYSTEM.required(),
        NAME,
        Flag::new("event-type", "/event_types", Form::List, "Event type, by its name; none: any of the system; repeatable")
            .called("NAME"),
        Flag::text("filter", "/filter", "Condition on the event; none: any"),
        Flag::text("action", "/action", "What is done then").required(),
        Flag::number("order", "/order", "Of several on one event those of a lower order come first"),
        ENABLED,
    ])
    .columns(&[
        TENANT,
        AT_SYSTEM,
        ID,
        Column("event types", "/event_types"),
        Column("action", "/action"),
        Column("enabled", "/enabled"),
        LABELS,
        CREATED,
    ])
    .examples(
        "  eventrunner subscriptions create orders --system shop --event-type com.acme.order --action tell-erp --filter 'data.amount > 100'
  eventrunner subscriptions patch orders --enabled false",
    ),
    Kind::new("feed", "feeds", "Feeds: where events of a system are fetched from; kept, and nothing follows them yet")
        .flags(&[
            SYSTEM.required(),
            NAME,
            Flag::new(
                "type",
                "/type",
                Form::Choice(&["substrate", "ethereum", "mqtt"]),
                "What is at the other end",
            )
            .required(),
            Flag::text("endpoint", "/endpoint", "The other end's address: ws, wss, mqtt or mqtts").required(),
            Flag::text("source", "/source", "The source whose mapping makes events of what comes"),
            ENABLED,
        ])
        .columns(&[
            TENANT,
            AT_SYSTEM,
            ID,
            Column("type", "/type"),
            Column("endpoint", "/endpoint"),
            Column("enabled", "/enabled"),
            LABELS,
            CREATED,
        ])
        .examples("  eventrunner feeds create meters --system shop --type mqtt --endpoint mqtts://broker.example"),
    Kind::new("meter", "meters", "Meters: what a tenant counts in its events besides what the fleet meters")
        .flags(&[
            NAME,
            Flag::text("event-type", "/event_type", "The type of the events it counts; none: those of all types")
                .called("NAME"),
            Flag::new(
                "aggregation",
                "/aggregation",
                Form::Choice(&["sum", "count", "unique", "max", "latest"]),
                "How it is put together over time; cannot be changed later",
            )
            .required(),
            Flag::text("value", "/value", "Where in the event's data the value is, such as /order/amount")
                .called("POINTER"),
            Flag::number("scale", "/scale", "Decimals that are kept of a value [default: 0]; cannot be changed later"),
        ])
        .columns(&[
            TENANT,
            ID,
            NAMED,
            Column("event type", "/event_type"),
            Column("aggregation", "/aggregation"),
            Column("value", "/value"),
            Column("scale", "/scale"),
            LABELS,
            CREATED,
        ])
        .examples(
            "  eventrunner meters create turnover --event-type com.acme.sale --aggregation sum --value /amount --scale 2
  eventrunner meters create buyers --event-type com.acme.sale --aggregation unique --value /customer
  eventrunner usage --meter own/turnover --bucket day",
        ),
];

const NAME: Flag = Flag::text("name", "/name", "For people");
const PLAN: Flag = Flag::text("plan", "/plan", "The plan it is on");
const SYSTEM: Flag = Flag::text("system", "/system", "The system it belongs to");
const ENABLED: Flag =
    Flag::new("enabled", "/enabled", Form::Bool, "Whether it is to be worked at all [default: true]");

const TENANT: Column = Column("tenant", "/tenant");
const AT_SYSTEM: Column = Column("system", "/system");
const ID: Column = Column("id", "/id");
const NAMED: Column = Column("name", "/name");
const LABELS: Column = Column("labels", "/labels");
const CREATED: Column = Column("created", "/created_at");
