//! Every statement runs, and none that is not in the list; none reads other tenants' rows.

use std::{collections::BTreeSet, time::Duration};

use store::{
    Aggregation, Erasure as _, Grouping, METER_BYTES, METER_EVENTS, UsageQuery, UsageRecord, UsageStore as _,
    clickhouse::{
        ClickHouse, Options, migrations,
        statements::{ALL, Statement},
    },
    migration::Mode,
};
use testkit::{ClickHouse as Server, ClickHouseOptions, wait_until};

use crate::world::{MINUTE, NOON, open, options, record, records, tenant};

/// Does everything the adapter can do.
async fn do_everything(options: &Options) {
    for retention_days in [Some(30), None] {
        let options = Options { retention_days, ..options.clone() };
        migrations::migrate(&options, Mode::Apply).await.unwrap();
    }
    let usage = ClickHouse::open(options.clone()).await.unwrap();
    let t = tenant("t");
    usage.write(records(&t, 0..100)).await.unwrap();
    for meter in [METER_EVENTS, METER_BYTES, "calls"] {
        usage.sum(&t, meter, &UsageQuery { bucket_us: MINUTE, ..UsageQuery::default() }).await.unwrap();
    }
    for aggregation in Aggregation::ALL {
        usage.aggregate(&t, "calls", aggregation, &UsageQuery::default()).await.unwrap();
        usage.grouped(&t, "calls", aggregation, Grouping::Customer, &UsageQuery::default()).await.unwrap();
    }
    usage.list(&t, &UsageQuery::default()).await.unwrap();
    // Of two days, then again with one record more.
    let days: Vec<_> = (0..48).map(|n| record(&t, n, NOON + n * 60 * MINUTE)).collect();
    let of_jane =
        |record: &UsageRecord| UsageRecord { customer: Some("jane".parse().unwrap()), ..record.clone() };
    let days: Vec<_> = days.iter().map(of_jane).collect();
    usage.write(days.clone()).await.unwrap();
    usage.roll_up(NOON + 72 * 60 * MINUTE).await.unwrap();
    usage.write(days[..1].to_vec()).await.unwrap();
    usage.roll_up(NOON + 72 * 60 * MINUTE).await.unwrap();
    usage.sum(&t, METER_EVENTS, &UsageQuery::default()).await.unwrap();
    let janes = UsageQuery { customer: Some("jane".parse().unwrap()), ..UsageQuery::default() };
    usage.sum(&t, METER_EVENTS, &janes).await.unwrap();
    usage.erase_tenant(&t).await.unwrap();
}

fn named_in_the_log(server: &Server) -> BTreeSet<String> {
    server.run("default", "SYSTEM FLUSH LOGS");
    let finished = "SELECT DISTINCT log_comment FROM system.query_log
        WHERE type = 'QueryFinish' AND log_comment != '' AND http_user_agent LIKE 'eventrunner%'";
    server.query("default", finished).lines().map(ToOwned::to_owned).collect()
}

/// The server's own log of queries is the judge: each statement carries its name.
#[tokio::test(flavor = "multi_thread")]
async fn every_statement_runs_and_no_other() {
    let log = "<query_log><database>system</database><table>query_log</table></query_log>";
    let server = Server::start_with(ClickHouseOptions { config: log.into(), ..ClickHouseOptions::default() });
    do_everything(&options(&server)).await;
    let listed: BTreeSet<_> = ALL.iter().map(|s| s.name.to_owned()).collect();
    assert_eq!(listed.len(), ALL.len(), "names are unique");
    // The server answers before it logs: the last one may not be there yet.
    let last = async || named_in_the_log(&server).contains("count_hourly");
    wait_until("the last statement is in the log", Duration::from_secs(10), last).await;
    let run = named_in_the_log(&server);
    assert_eq!(run, listed);
    // The client's own question before the first insert.
    let unnamed = "SELECT DISTINCT query FROM system.query_log
        WHERE log_comment = '' AND http_user_agent LIKE 'eventrunner%'";
    for query in server.query("default", unnamed).lines() {
        assert!(query.starts_with("DESCRIBE TABLE `usage_"), "{query}");
    }
    let inserts = "SELECT DISTINCT query FROM system.query_log WHERE log_comment = 'insert_records'";
    let sent = server.query("default", inserts);
    let insert = ALL.iter().find(|s| s.name == "insert_records").unwrap();
    let plain = |text: &str| text.replace(['`', ' '], "");
    assert_eq!(
        plain(sent.trim().trim_end_matches("\\n")),
        plain(insert.text),
        "the list says what the client sends"
    );
}

fn named(name: &str) -> &'static Statement {
    ALL.iter().find(|s| s.name == name).unwrap()
}

/// `EXPLAIN` of a statement with its parameters written out: granules read of those there are.
fn granules(database: &str, statement: &Statement, parameters: &[(&str, &str)]) -> (u64, u64) {
    let filled =
        parameters.iter().fold(statement.text.to_owned(), |text, (name, value)| text.replace(name, value));
    let plan = Server::shared().query(database, &format!("EXPLAIN indexes = 1 {filled}"));
    let (_, key) = plan.split_once("PrimaryKey").unwrap_or_else(|| panic!("no primary key in\n{plan}"));
    let line = key.split_once("Granules: ").and_then(|(_, rest)| rest.lines().next()).unwrap();
    let (read, all) = line.split_once('/').unwrap();
    (read.parse().unwrap(), all.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_use_the_primary_key() {
    let (_, options) = open(Server::shared()).await;
    // Ten tenants with 100,000 records each, a second apart: 12 granules each, in one part.
    Server::shared().run(
        &options.database,
        &format!(
            "INSERT INTO usage_records (tenant, at_us, id, origin, events, bytes)
             SELECT 't' || toString(number % 10), {NOON} + intDiv(number, 10) * 1000000, toString(number), 1, 1, 100
             FROM numbers(1000000)"
        ),
    );
    Server::shared().run(&options.database, "OPTIMIZE TABLE usage_records FINAL");
    let hour = [NOON, NOON + 3_600_000_000].map(|at| at.to_string());
    let ends = [i64::MIN, i64::MAX].map(|at| at.to_string());
    let parameters = |range: &[String; 2]| {
        let [since, last] = range.clone();
        [
            ("{tenant:String}", "'t4'".to_owned()),
            ("{since:Int64}", since),
            ("{last:Int64}", last),
            ("{width:Int64}", "3600000000".to_owned()),
            ("{meter:String}", "'calls'".to_owned()),
            ("{key:UInt128}", "0".to_owned()),
            ("{limit:UInt32}", "100".to_owned()),
            ("{limit:UInt64}", "100".to_owned()),
            ("{grouping:String}", "''".to_owned()),
            ("{customer:String}", "''".to_owned()),
        ]
    };
    for name in ["sum_events", "sum_bytes", "sum_meter", "latest_value", "list", "count_rows"] {
        for (range, most) in [(&ends, 15), (&hour, 4)] {
            let parameters = parameters(range);
            let parameters: Vec<_> = parameters.iter().map(|(name, value)| (*name, &**value)).collect();
            let (read, all) = granules(&options.database, named(name), &parameters);
            let most = if name == "count_rows" { 15 } else { most };
            assert!(all > 100 && (1..=most).contains(&read), "{name}: {read} of {all}");
        }
    }
    let dashboard = Statement {
        name: "dashboard",
        text: "SELECT * FROM tenant_usage WHERE tenant_id = 't4' AND timestamp >= toDateTime('2026-11-21 12:00:00', 'UTC')
            AND timestamp < toDateTime('2026-11-21 13:00:00', 'UTC')",
    };
    let (read, all) = granules(&options.database, &dashboard, &[]);
    assert!(all > 100 && (1..=4).contains(&read), "the view: {read} of {all}");
}

/// A page reads its rows and no more, wherever it lies.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_read_in_the_order_of_the_key() {
    let (_, options) = open(Server::shared()).await;
    let text = named("list").text;
    let filled = [
        ("{tenant:String}", "'t'"),
        ("{since:Int64}", "0"),
        ("{last:Int64}", "9"),
        ("{key:UInt128}", "0"),
        ("{limit:UInt32}", "100"),
        ("{customer:String}", "''"),
        ("{meter:String}", "''"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    Server::shared()
        .run(&options.database, "INSERT INTO usage_records (tenant, at_us, id) VALUES ('t', 1, 'a')");
    let plan = Server::shared().query(&options.database, &format!("EXPLAIN actions = 1 {filled}"));
    assert!(plan.contains("Read type: InOrder"), "{plan}");
}
