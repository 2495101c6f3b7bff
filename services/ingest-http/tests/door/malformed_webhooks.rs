//! Webhooks and handshakes that are refused.

use model::ErrorCode::{
    BadSignature, Forbidden, InvalidArgument, Malformed, NotFound, Unauthenticated, Unprocessable,
};

use crate::{
    malformed::{check, gzip},
    support::{Door, GONE, KEY, OTHER, READER, Request, SECRET},
};

#[test]
fn sources() {
    let to = |path: &str| Request::new("POST", path).content("application/json", "{\"a\":1}");
    let hub = || to("/v1/sources/acme.hub");
    let tampered = hub().signed(SECRET).body("{\"a\":2}");
    let gzipped = Request::new("POST", "/v1/sources/acme.hub").body("{\"a\":1}").signed(SECRET);
    let gzipped = gzipped.header("content-encoding", "gzip").body(gzip(b"{\"a\":1}"));
    check(&[
        ("a source nobody has", to("/v1/sources/acme.nothing"), NotFound, ""),
        ("a tenant nobody has", to("/v1/sources/nobody.hub"), NotFound, ""),
        ("upper case", to("/v1/sources/ACME.hub"), NotFound, ""),
        ("two dots", to("/v1/sources/acme.hub.x"), NotFound, ""),
        ("bytes that are no text", to("/v1/sources/%ff"), NotFound, ""),
        ("an own source without a key", to("/v1/sources/till"), Unauthenticated, ""),
        ("no scheme and no key", to("/v1/sources/acme.till"), Unauthenticated, ""),
        ("no scheme and another's key", to("/v1/sources/acme.till").key(OTHER), NotFound, ""),
        ("another's source by its short name", to("/v1/sources/till").key(OTHER), NotFound, ""),
        ("a key that may only read", to("/v1/sources/till").key(READER), Forbidden, ""),
        ("a disabled tenant", to("/v1/sources/gone.till"), Unauthenticated, ""),
        ("a disabled tenant's key", to("/v1/sources/till").key(GONE), Forbidden, ""),
        ("no signature", hub(), BadSignature, ""),
        ("a key instead of the signature", hub().key(KEY), BadSignature, ""),
        ("a wrong secret", hub().signed("guess"), BadSignature, ""),
        ("a tampered body", tampered, BadSignature, ""),
        ("a signature of the body before gzip", gzipped, BadSignature, ""),
        ("a signature that is none", hub().header("x-hub-signature-256", "sha256=zz"), BadSignature, ""),
        ("no body", Request::new("POST", "/v1/sources/acme.hub").signed(SECRET), Malformed, ""),
        ("a mapping that cannot be used", to("/v1/sources/old").key(KEY), Unprocessable, ""),
    ]);
    let door = Door::open();
    let lost = door.send(&to("/v1/sources/acme.lost").signed(SECRET));
    assert_eq!(lost.json()["code"], "internal", "a secret that does not open is our fault");
    assert!(!String::from_utf8_lossy(&lost.body).contains("sealed"), "and nobody else's business");
    assert!(door.kept().is_empty());
}

#[test]
fn handshakes() {
    let ask = |path: &str| Request::new("OPTIONS", path).header("webhook-request-origin", "example.com");
    let hub = "/v1/sources/acme.hub";
    let rate = |rate: &str| ask(hub).header("webhook-request-rate", rate);
    let at = "header:webhook-request-rate";
    check(&[
        ("a source nobody has", ask("/v1/sources/acme.nothing"), NotFound, ""),
        ("a source without its tenant", ask("/v1/sources/hub"), NotFound, ""),
        ("a disabled tenant", ask("/v1/sources/gone.till"), Forbidden, ""),
        ("no rate", rate("0"), InvalidArgument, at),
        ("a rate below none", rate("-1"), InvalidArgument, at),
        ("a rate that is no number", rate("many"), InvalidArgument, at),
        (
            "an origin that is none",
            Request::new("OPTIONS", hub).header("webhook-request-origin", "a b<c>"),
            InvalidArgument,
            "header:webhook-request-origin",
        ),
    ]);
}
