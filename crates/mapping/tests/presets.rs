//! Each preset against payloads shaped as the provider sends them.
#![expect(clippy::unwrap_used, clippy::too_many_lines, reason = "tables of cases")]

use bytes::Bytes;
use mapping::{Mapping, Pairs, Raw};
use model::{CloudEvent, Text, resource::Source};

struct Case {
    name: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    id: &'static str,
    source: &'static str,
    ty: &'static str,
    subject: Option<&'static str>,
    time: &'static str,
    key: Option<&'static str>,
}

/// When the table's requests were received, and the time of events that say none.
const RECEIVED_US: i64 = 1_700_000_000_000_000;
const RECEIVED: &str = "2023-11-14T22:13:20Z";

fn event(preset: &str, headers: &[(&str, &str)], body: &str) -> CloudEvent {
    let source = serde_json::json!({"tenant": "acme", "system": "sys", "id": "hook", "preset": preset});
    let source: Source = serde_json::from_value(source).unwrap();
    let mapping = Mapping::compile(&source).unwrap();
    let body = Bytes::copy_from_slice(body.as_bytes());
    let at_door = Pairs::new(headers, |(n, v)| (n.as_bytes(), v.as_bytes()));
    let identity = mapping.identify(&Raw::new(&at_door, "", &body), || Text::from_static("new"));
    let kept: Vec<_> =
        headers.iter().filter(|(n, _)| mapping.keeps(&n.to_ascii_lowercase())).copied().collect();
    let kept = Pairs::new(&kept, |(n, v)| (n.as_bytes(), v.as_bytes()));
    let event = mapping.apply(&Raw::new(&kept, "", &body), &identity, RECEIVED_US).unwrap();
    assert_eq!(event.data().unwrap().as_bytes(), body);
    event
}

fn check(preset: &str, cases: &[Case]) {
    for case in cases {
        let event = event(preset, case.headers, case.body);
        let name = format!("{preset}: {}", case.name);
        assert_eq!(&**event.id(), case.id, "{name}: id");
        assert_eq!(&**event.source(), case.source, "{name}: source");
        assert_eq!(&**event.ty(), case.ty, "{name}: type");
        assert_eq!(event.subject().map(|s| &**s), case.subject, "{name}: subject");
        assert_eq!(event.time().map(|t| &**t), Some(case.time), "{name}: time");
        assert_eq!(event.partition_key(), case.key, "{name}: partition key");
    }
}

const REPOSITORY: &str = "https://github.com/octo/hello";

#[test]
fn github() {
    check(
        "github",
        &[
            Case {
                name: "an issue is opened",
                headers: &[
                    ("X-GitHub-Event", "issues"),
                    ("X-GitHub-Delivery", "72d3162e-cc78"),
                    ("Content-Type", "application/json"),
                ],
                body: r#"{"action":"opened","issue":{"number":1347,"updated_at":"2026-05-15T15:20:18Z","user":{"login":"a"}},"repository":{"html_url":"https://github.com/octo/hello","full_name":"octo/hello"}}"#,
                id: "72d3162e-cc78",
                source: REPOSITORY,
                ty: "com.github.issues.opened",
                subject: Some("1347"),
                time: "2026-05-15T15:20:18Z",
                key: Some("octo/hello"),
            },
            Case {
                name: "a push has no action, and a Unix time",
                headers: &[("x-github-event", "push"), ("x-github-delivery", "2")],
                body: r#"{"ref":"refs/heads/main","repository":{"pushed_at":1557933657,"html_url":"https://github.com/octo/hello","full_name":"octo/hello"}}"#,
                id: "2",
                source: REPOSITORY,
                ty: "com.github.push",
                subject: Some("refs/heads/main"),
                time: "2019-05-15T15:20:57Z",
                key: Some("octo/hello"),
            },
            Case {
                name: "a tag is created",
                headers: &[("x-github-event", "create"), ("x-github-delivery", "3")],
                body: r#"{"ref":"v1.0","ref_type":"tag","repository":{"html_url":"https://github.com/octo/hello","full_name":"octo/hello"}}"#,
                id: "3",
                source: REPOSITORY,
                ty: "com.github.create.tag",
                subject: Some("v1.0"),
                time: RECEIVED,
                key: Some("octo/hello"),
            },
            Case {
                name: "a pull request",
                headers: &[("x-github-event", "pull_request"), ("x-github-delivery", "4")],
                body: r#"{"action":"closed","number":2,"pull_request":{"number":2,"updated_at":"2026-05-15T15:20:33Z"},"repository":{"html_url":"https://github.com/octo/hello","full_name":"octo/hello"}}"#,
                id: "4",
                source: REPOSITORY,
                ty: "com.github.pull_request.closed",
                subject: Some("2"),
                time: "2026-05-15T15:20:33Z",
                key: Some("octo/hello"),
            },
            Case {
                name: "a release that is a draft has no publication time",
                headers: &[("x-github-event", "release"), ("x-github-delivery", "5")],
                body: r#"{"action":"created","release":{"tag_name":"v1","published_at":null,"created_at":"2026-05-15T15:19:25Z"},"repository":{"html_url":"https://github.com/octo/hello","full_name":"octo/hello"}}"#,
                id: "5",
                source: REPOSITORY,
                ty: "com.github.release.created",
                subject: Some("v1"),
                time: "2026-05-15T15:19:25Z",
                key: Some("octo/hello"),
            },
            Case {
                name: "a comment, with escapes before what is read",
                headers: &[("x-github-event", "issue_comment"), ("x-github-delivery", "6")],
                body: r#"{"action":"created","comment":{"body":"say \"hi\" é \u00e9","id":492700400,"updated_at":"2026-05-15T15:20:21Z"},"issue":{"number":1},"repository":{"html_url":"https:\/\/github.com\/octo\/hello","full_name":"octo\/hello"}}"#,
                id: "6",
                source: REPOSITORY,
                ty: "com.github.issue_comment.created",
                subject: Some("492700400"),
                time: "2026-05-15T15:20:21Z",
                key: Some("octo/hello"),
            },
            Case {
                name: "an organization of an enterprise server",
                headers: &[
                    ("x-github-event", "organization"),
                    ("x-github-delivery", "7"),
                    ("x-github-enterprise-host", "git.example"),
                ],
                body: r#"{"action":"member_added","membership":{"user":{"login":"mona"}},"organization":{"login":"octo"},"sender":{"html_url":"https://git.example/x"}}"#,
                id: "7",
                source: "https://git.example/octo",
                ty: "com.github.organization.member_added",
                subject: Some("mona"),
                time: RECEIVED,
                key: Some("octo"),
            },
            Case {
                name: "an app is installed",
                headers: &[("x-github-event", "installation"), ("x-github-delivery", "8")],
                body: r#"{"action":"created","installation":{"id":5,"account":{"html_url":"https://github.com/mona"}},"sender":{"login":"mona"}}"#,
                id: "8",
                source: "https://github.com/mona",
                ty: "com.github.installation.created",
                subject: Some("5"),
                time: RECEIVED,
                key: Some("5"),
            },
            Case {
                name: "a star, which is about no part of the repository",
                headers: &[("x-github-event", "star"), ("x-github-delivery", "9")],
                body: r#"{"action":"created","starred_at":"2026-05-15T15:20:40Z","repository":{"html_url":"https://github.com/octo/hello","full_name":"octo/hello"}}"#,
                id: "9",
                source: REPOSITORY,
                ty: "com.github.star.created",
                subject: None,
                time: "2026-05-15T15:20:40Z",
                key: Some("octo/hello"),
            },
            Case {
                name: "an event GitHub has not invented yet",
                headers: &[("x-github-event", "quantum"), ("x-github-delivery", "10")],
                body: r#"{"action":"entangled","issue":{"number":3},"sender":{"html_url":"https://github.com/mona","login":"mona"}}"#,
                id: "10",
                source: "https://github.com/mona",
                ty: "com.github.quantum.entangled",
                subject: Some("3"),
                time: RECEIVED,
                key: Some("mona"),
            },
            Case {
                name: "the form encoding GitHub offers",
                headers: &[
                    ("x-github-event", "ping"),
                    ("x-github-delivery", "11"),
                    ("content-type", "application/x-www-form-urlencoded"),
                ],
                body: "payload=%7B%22hook_id%22%3A30%2C%22hook%22%3A%7B%22updated_at%22%3A%222026-05-15T15%3A20%3A41Z%22%7D%2C%22sender%22%3A%7B%22html_url%22%3A%22https%3A%2F%2Fgithub.com%2Fmona%22%2C%22login%22%3A%22mona%22%7D%7D",
                id: "11",
                source: "https://github.com/mona",
                ty: "com.github.ping",
                subject: Some("30"),
                time: "2026-05-15T15:20:41Z",
                key: Some("mona"),
            },
            Case {
                name: "what is no GitHub event at all",
                headers: &[],
                body: "hello",
                id: "new",
                source: "https://github.com",
                ty: "com.github.unknown",
                subject: None,
                time: RECEIVED,
                key: None,
            },
        ],
    );
}

#[test]
fn stripe() {
    check(
        "stripe",
        &[
            Case {
                name: "a snapshot event",
                headers: &[
                    ("stripe-signature", "t=1,v1=00"),
                    ("content-type", "application/json; charset=utf-8"),
                ],
                body: r#"{"id":"evt_1NG8","object":"event","created":1686089970,"data":{"object":{"id":"seti_1N","customer":"cus_9"}},"livemode":false,"type":"setup_intent.created"}"#,
                id: "evt_1NG8",
                source: "https://api.stripe.com",
                ty: "com.stripe.setup_intent.created",
                subject: Some("seti_1N"),
                time: "2023-06-06T22:19:30Z",
                key: Some("cus_9"),
            },
            Case {
                name: "a Connect event with an expanded customer",
                headers: &[],
                body: r#"{"id":"evt_2","account":"acct_1","created":1686089970.5,"data":{"object":{"id":"ch_1","customer":{"id":"cus_1"}}},"type":"charge.succeeded"}"#,
                id: "evt_2",
                source: "https://api.stripe.com/v1/accounts/acct_1",
                ty: "com.stripe.charge.succeeded",
                subject: Some("ch_1"),
                time: "2023-06-06T22:19:30.5Z",
                key: Some("cus_1"),
            },
            Case {
                name: "a thin event",
                headers: &[],
                body: r#"{"id":"evt_test_65","object":"v2.core.event","type":"v1.billing.meter.error_report_triggered","created":"2024-09-17T06:20:52.246Z","related_object":{"id":"mtr_test_61","type":"billing.meter"}}"#,
                id: "evt_test_65",
                source: "https://api.stripe.com",
                ty: "com.stripe.v1.billing.meter.error_report_triggered",
                subject: Some("mtr_test_61"),
                time: "2024-09-17T06:20:52.246Z",
                key: Some("mtr_test_61"),
            },
        ],
    );
}

#[test]
fn slack() {
    check(
        "slack",
        &[
            Case {
                name: "a message",
                headers: &[("content-type", "application/json")],
                body: r#"{"token":"x","team_id":"T123","api_app_id":"A1","event":{"type":"message","channel":"C024","user":"U2","ts":"1355517523.000005","event_ts":"1355517523.000005"},"type":"event_callback","event_id":"Ev08","event_time":1355517523}"#,
                id: "Ev08",
                source: "https://app.slack.com/client/T123",
                ty: "com.slack.message",
                subject: Some("C024"),
                time: "2012-12-14T20:38:43.000005Z",
                key: Some("C024"),
            },
            Case {
                name: "a channel, which is an object here",
                headers: &[("content-type", "application/json")],
                body: r#"{"team_id":"T1","event":{"type":"channel_created","channel":{"id":"C9","name":"fun"}},"type":"event_callback","event_id":"Ev9","event_time":1360782804}"#,
                id: "Ev9",
                source: "https://app.slack.com/client/T1",
                ty: "com.slack.channel_created",
                subject: Some("C9"),
                time: "2013-02-13T19:13:24Z",
                key: Some("C9"),
            },
            Case {
                name: "a message of a subtype",
                headers: &[],
                body: r#"{"team_id":"T1","event":{"type":"message","subtype":"channel_join","channel":"C1","event_ts":"1.5"},"event_id":"Ev1"}"#,
                id: "Ev1",
                source: "https://app.slack.com/client/T1",
                ty: "com.slack.message.channel_join",
                subject: Some("C1"),
                time: "1970-01-01T00:00:01.5Z",
                key: Some("C1"),
            },
            Case {
                name: "a slash command",
                headers: &[
                    ("content-type", "application/x-www-form-urlencoded"),
                    ("x-slack-request-timestamp", "1531420618"),
                ],
                body: "team_id=T1DC2JH3J&channel_id=G8PSS9T3V&user_id=U2&command=%2Fwebhook-collect&text=&trigger_id=398.47",
                id: "398.47",
                source: "https://app.slack.com/client/T1DC2JH3J",
                ty: "com.slack.command.webhook-collect",
                subject: Some("G8PSS9T3V"),
                time: "2018-07-12T18:36:58Z",
                key: Some("G8PSS9T3V"),
            },
            Case {
                name: "a button, in a form's payload",
                headers: &[("content-type", "application/x-www-form-urlencoded")],
                body: "payload=%7B%22type%22%3A%22block_actions%22%2C%22team%22%3A%7B%22id%22%3A%22T9%22%7D%2C%22user%22%3A%7B%22id%22%3A%22U7%22%7D%2C%22trigger_id%22%3A%2212.34%22%7D",
                id: "12.34",
                source: "https://app.slack.com/client/T9",
                ty: "com.slack.block_actions",
                subject: Some("U7"),
                time: RECEIVED,
                key: Some("T9"),
            },
        ],
    );
}

#[test]
fn shopify() {
    check(
        "shopify",
        &[
            Case {
                name: "an order",
                headers: &[
                    ("X-Shopify-Topic", "orders/create"),
                    ("X-Shopify-Shop-Domain", "tea.myshopify.com"),
                    ("X-Shopify-Webhook-Id", "b54557e4-bdd9"),
                    ("X-Shopify-Event-Id", "98880550-7158"),
                    ("X-Shopify-Triggered-At", "2026-03-29T18:00:27.877041743Z"),
                    ("X-Shopify-Hmac-SHA256", "XWmrwMey6OsLMeiZKwP4FppHH3cmAiiJJAweH5Jo4bM="),
                    ("Content-Type", "application/json"),
                ],
                body: r#"{"id":820982911946154508,"admin_graphql_api_id":"gid://shopify/Order/820982911946154508","email":"jon@example.com"}"#,
                id: "b54557e4-bdd9",
                source: "https://tea.myshopify.com",
                ty: "com.shopify.orders.create",
                subject: Some("gid://shopify/Order/820982911946154508"),
                time: "2026-03-29T18:00:27.877041743Z",
                key: Some("gid://shopify/Order/820982911946154508"),
            },
            Case {
                name: "without the newer headers",
                headers: &[
                    ("x-shopify-topic", "app/uninstalled"),
                    ("x-shopify-shop-domain", "tea.myshopify.com"),
                ],
                body: r#"{"id":548380009,"updated_at":"2026-03-29T14:00:27-04:00"}"#,
                id: "new",
                source: "https://tea.myshopify.com",
                ty: "com.shopify.app.uninstalled",
                subject: Some("548380009"),
                time: "2026-03-29T14:00:27-04:00",
                key: Some("548380009"),
            },
        ],
    );
}

#[test]
fn standard_webhooks() {
    check(
        "standard-webhooks",
        &[
            Case {
                name: "the recommended payload",
                headers: &[
                    ("webhook-id", "msg_p5jX"),
                    ("webhook-timestamp", "1614265330"),
                    ("webhook-signature", "v1,x"),
                ],
                body: r#"{"type":"user.created","timestamp":"2022-11-03T20:26:10.344522Z","data":{"id":"1f81eb52","name":"Jane"}}"#,
                id: "msg_p5jX",
                source: "/sys/hook",
                ty: "user.created",
                subject: Some("1f81eb52"),
                time: "2022-11-03T20:26:10.344522Z",
                key: None,
            },
            Case {
                name: "a payload of another shape, from Svix",
                headers: &[("svix-id", "msg_1"), ("svix-timestamp", "1614265330")],
                body: "[1]",
                id: "msg_1",
                source: "/sys/hook",
                ty: "sys.hook",
                subject: None,
                time: "2021-02-25T15:02:10Z",
                key: None,
            },
        ],
    );
}

#[test]
fn signatures_are_not_kept() {
    for preset in mapping::presets() {
        let source = serde_json::json!({"tenant": "t", "system": "s", "id": "i", "preset": preset.name});
        let mapping = Mapping::compile(&serde_json::from_value(source).unwrap()).unwrap();
        for secret in [
            "x-hub-signature-256",
            "stripe-signature",
            "x-slack-signature",
            "x-shopify-hmac-sha256",
            "webhook-signature",
            "authorization",
            "cookie",
        ] {
            assert!(!mapping.keeps(secret), "{}: {secret}", preset.name);
        }
        assert!(mapping.keeps("content-type") && mapping.keeps("user-agent"));
    }
}
