//! A Keto that is away, hangs or comes back: errors in bounded time, never a "yes".

use std::time::{Duration, Instant};

use relations::{Authorizer, Changes, Error, Keto, KetoOptions, Tuple};

use crate::{SCHEMA, keto::patient, wait};

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("an outage is an error in bounded time", outage),
    ("calls wait for a server that comes back", comes_back),
    ("a URL that is none is refused", bad_url),
];

fn hurried(server: &testkit::Keto) -> Keto {
    let options = KetoOptions {
        timeout: Duration::from_millis(700),
        attempt_timeout: Duration::from_millis(200),
        ..KetoOptions::new(server.read_url(), server.write_url())
    };
    wait(async { Keto::new(SCHEMA.clone(), &options).unwrap() })
}

fn question() -> Tuple {
    "resource:r#access@user:u".parse().unwrap()
}

fn grant() -> Changes {
    Changes { insert: [question()].into(), ..Changes::default() }
}

fn outage() {
    let mut server = testkit::Keto::start(&SCHEMA.to_keto());
    let keto = hurried(&server);
    wait(patient(&server).apply(grant())).unwrap();
    let unavailable = |what: &str| {
        let start = Instant::now();
        let errors = [
            wait(keto.check(&question())).unwrap_err(),
            wait(keto.check_all(&[question()])).unwrap_err(),
            wait(keto.apply(grant())).unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, Error::Unavailable { .. }), "{what}: {error}");
            assert!(error.to_string().contains("within 0.7 s"), "{error}");
        }
        let took = start.elapsed();
        assert!(took < Duration::from_secs(20), "{what}: {took:?}");
    };
    server.pause();
    unavailable("it hangs");
    server.resume();
    assert!(wait(patient(&server).check(&question())).unwrap());
    server.kill();
    unavailable("it is away");
}

fn comes_back() {
    let mut server = testkit::Keto::start(&SCHEMA.to_keto());
    let keto = patient(&server);
    wait(keto.apply(grant())).unwrap();
    server.kill();
    let answer = std::thread::spawn(move || wait(keto.check(&question())));
    server.restart();
    assert_eq!(answer.join().unwrap(), Ok(false), "its memory is gone, and it says so");
}

fn bad_url() {
    let options = KetoOptions::new("not a url", "http://127.0.0.1:1");
    let error = wait(async { Keto::new(SCHEMA.clone(), &options).unwrap_err() });
    assert!(error.to_string().contains("not a URL"), "{error}");
}
