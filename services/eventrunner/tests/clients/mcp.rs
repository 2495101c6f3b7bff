//! The Model Context Protocol's own client uses the API's tools.

use serde_json::{Value, json};

use crate::{fleet::fleet, tools, wire::Event};

const SOURCE: &str = "/clients/mcp?a=b&c=d";

pub(crate) fn tools() {
    let tenant = fleet().tenant("mcp");
    let attributes = json!({"specversion": "1.0", "id": "a/b", "source": SOURCE, "type": "com.example.mcp"});
    let event = Event {
        attributes: serde_json::from_value(attributes.clone()).unwrap(),
        data: Some(br#"{"a":[1,2]}"#.to_vec()),
    };
    let mut body = attributes;
    body["data"] = json!({"a": [1, 2]});
    let publish = fleet().http.post(format!("{}/v1/events", fleet().url)).bearer_auth(&tenant.key);
    let publish = publish.header("content-type", "application/cloudevents+json").body(body.to_string());
    assert_eq!(fleet().runtime.block_on(publish.send()).unwrap().status(), 202);
    fleet().assert_stored(&tenant, &[event]);

    let mut script = tools::python("drive_mcp.py");
    script.args([SOURCE, "a/b"]).envs(fleet().environment(&tenant));
    let ways = tools::lines(&mut script);
    let protocols: Vec<_> = ways.iter().map(|way| way["protocol"].as_str().unwrap()).collect();
    assert_eq!(protocols, ["2025-11-25", "2026-07-28"], "with a handshake, and without");
    for way in ways {
        let offered: Vec<_> = way["tools"].as_array().unwrap().iter().map(Value::to_string).collect();
        assert!(
            offered.iter().all(|tool| tool.starts_with("\"get_")
                || tool.starts_with("\"list_")
                || tool.starts_with("\"check_")),
            "{offered:?}"
        );
        assert_eq!(way["listed"], json!(["a/b"]), "{way}");
        assert_eq!((&way["event"]["source"], &way["event"]["data"]), (&json!(SOURCE), &body["data"]));
        assert_eq!(way["hops"][0], "accepted", "{way}");
        assert_eq!(way["refused"], "not_found", "{way}");
        println!("{} tools, as of {}", offered.len(), way["protocol"]);
    }
}
