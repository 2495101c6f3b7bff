//! Compiles Keto's interface, for the feature that speaks it, with a compiler written in Rust.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("proto");
    println!("cargo:rerun-if-changed={}", root.join("keto.proto").display());
    if std::env::var_os("CARGO_FEATURE_KETO").is_some() {
        let descriptors = protox::compile(["keto.proto"], [&root])?;
        tonic_prost_build::configure().build_server(false).compile_fds(descriptors)?;
    }
    Ok(())
}
