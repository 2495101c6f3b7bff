//! Compiles `proto/` with a compiler written in Rust: no system `protoc` is needed.

use std::path::PathBuf;

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let files = [
        "eventrunner/v1/ingest.proto",
        "eventrunner/v1/subscribe.proto",
        "eventrunner/internal/v1/hops.proto",
        "io/cloudevents/v1/cloudevents.proto",
    ];
    for file in files {
        println!("cargo:rerun-if-changed={}", root.join(file).display());
    }
    let descriptors = protox::compile(files, [&root])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".") // payloads and strings of the inner hops borrow from the message they came in
        .compile_fds(descriptors)?;
    Ok(())
}
