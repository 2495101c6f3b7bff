//! Passwords are hashed and compared.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use identity::{HashError, HashParams, Hasher, PasswordHash};
use secrecy::SecretString;

const QUICK: HashParams = HashParams { memory_kib: 256, passes: 1, lanes: 1 };

fn hasher(params: HashParams) -> Hasher {
    Hasher::new(params, 2, 100).unwrap()
}

fn secret(text: &str) -> SecretString {
    text.into()
}

#[tokio::test]
async fn only_the_password_matches() {
    let hasher = hasher(QUICK);
    let stored = hasher.hash(secret("correct horse battery")).await.unwrap();
    assert_ne!(stored, hasher.hash(secret("correct horse battery")).await.unwrap(), "the salt is random");
    for (presented, expected) in [
        ("correct horse battery", true),
        ("correct horse batterY", false),
        ("correct horse battery ", false),
        ("", false),
        (&"x".repeat(100_000), false),
    ] {
        let verified = hasher.verify(Some(&stored), secret(presented)).await.unwrap();
        assert_eq!((verified.matches, verified.rehashed), (expected, None), "{} bytes", presented.len());
        assert!(!hasher.verify(None, secret(presented)).await.unwrap().matches, "nobody has a password");
    }
    for broken in ["", "plain", "$argon2id$v=19$m=256,t=1,p=1$AAAA", "$2b$12$abcdefghijklmnopqrstuv"] {
        let broken = PasswordHash::from_stored(broken.to_owned());
        assert!(!hasher.verify(Some(&broken), secret("")).await.unwrap().matches);
    }
}

#[tokio::test]
async fn hashes_are_those_that_owasp_recommends() {
    let stored = hasher(HashParams::OWASP).hash(secret("correct horse battery")).await.unwrap();
    assert!(stored.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", stored.expose());
    let bad = HashParams { memory_kib: 1, ..QUICK };
    assert_eq!(Hasher::new(bad, 1, 1).unwrap_err(), HashError::Params);
}

#[tokio::test]
async fn a_hash_of_other_parameters_is_made_anew() {
    let stored = hasher(QUICK).hash(secret("correct horse battery")).await.unwrap();
    let today = hasher(HashParams { memory_kib: 512, ..QUICK });
    let wrong = today.verify(Some(&stored), secret("wrong")).await.unwrap();
    assert_eq!((wrong.matches, wrong.rehashed), (false, None));
    let right = today.verify(Some(&stored), secret("correct horse battery")).await.unwrap();
    let rehashed = right.rehashed.unwrap();
    assert!(right.matches && rehashed.expose().contains("m=512,"));
    let again = today.verify(Some(&rehashed), secret("correct horse battery")).await.unwrap();
    assert_eq!((again.matches, again.rehashed), (true, None));
}

/// The least of many rounds, taken in turn: what else the machine does disturbs both alike. Nobody would take hundreds of times
/// less if no work were done for them.
#[tokio::test]
async fn whether_there_is_such_a_user_takes_no_time() {
    let hasher = hasher(HashParams { memory_kib: 8 * 1024, passes: 1, lanes: 1 });
    let stored = hasher.hash(secret("correct horse battery")).await.unwrap();
    let mut least = [Duration::MAX; 2];
    for _ in 0..40 {
        for (least, stored) in least.iter_mut().zip([Some(&stored), None]) {
            let start = Instant::now();
            assert!(!hasher.verify(stored, secret("wrong password")).await.unwrap().matches);
            *least = start.elapsed().min(*least);
        }
    }
    let [somebody, nobody] = least.map(|least| least.as_secs_f64());
    assert!((0.25..4.0).contains(&(somebody / nobody)), "{somebody} s, and for nobody {nobody} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn few_at_once_and_no_endless_queue() {
    let hasher =
        Arc::new(Hasher::new(HashParams { memory_kib: 8 * 1024, passes: 2, lanes: 1 }, 1, 3).unwrap());
    let stored = hasher.hash(secret("correct horse battery")).await.unwrap();
    let all = (0..20).map(|_| hasher.verify(Some(&stored), secret("correct horse battery")));
    let done = futures::future::join_all(all).await;
    let (served, refused): (Vec<_>, Vec<_>) = done.into_iter().partition(Result::is_ok);
    assert_eq!((served.len(), refused.len()), (4, 16), "one at work and three waiting");
    assert!(refused.iter().all(|refused| *refused == Err(HashError::Busy)));
    assert!(served.into_iter().all(|served| served.unwrap().matches));
    // A caller who goes away leaves nothing behind: its work ends, its place is free.
    drop(tokio::time::timeout(Duration::ZERO, hasher.verify(Some(&stored), secret("x"))).await);
    testkit::wait_until("there is room again", Duration::from_secs(30), async || {
        let all = (0..4).map(|_| hasher.verify(Some(&stored), secret("x")));
        futures::future::join_all(all).await.iter().all(Result::is_ok)
    })
    .await;
}
