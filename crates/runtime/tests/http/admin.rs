//! The operators' listener.

use runtime::{admin, health::Health, http::ServerOptions, metrics};

use super::server::{Client, options};

async fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut client = Client(tokio::net::TcpStream::connect(address).await.unwrap());
    client.send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
    client.answer().await
}

#[tokio::test]
async fn metrics_and_health_are_served_also_while_draining() {
    let health = Health::default();
    let component = health.component("door");
    component.started();
    component.ready(true, "");
    let address = admin::spawn(&options(), &health).await.unwrap();
    assert!(get(address, "/healthz/ready").await.starts_with("HTTP/1.1 200 "));
    health.set_draining();
    assert!(get(address, "/healthz/ready").await.starts_with("HTTP/1.1 503 "));
    assert!(get(address, "/healthz/live").await.starts_with("HTTP/1.1 200 "));
    let said = get(address, "/metrics").await;
    assert!(said.contains("content-type: text/plain; version=0.0.4"), "{said}");
    for name in [
        "build_info{version=",
        "process_cpu_seconds_total ",
        "process_resident_bytes ",
        "http_open_connections ",
    ] {
        assert!(said.contains(&format!("\neventrunner_{name}")), "{name}");
    }
    assert!(said.contains(&metrics::Metric::BuildInfo.help().to_owned()));
    let taken = admin::spawn(&ServerOptions { listen: address, ..options() }, &health).await;
    assert!(taken.unwrap_err().to_string().contains(&address.to_string()));
}
