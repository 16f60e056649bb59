//! Compiles the wire contract with protox, so that nothing but `cargo` is needed.

use std::error::Error;
use std::path::PathBuf;

use protox::prost::Message as _;

const FILES: [&str; 8] = [
    "xinhub/v1/common.proto",
    "xinhub/v1/lookup.proto",
    "xinhub/v1/registry.proto",
    "xinhub/v1/remedy.proto",
    "xinhub/v1/measure.proto",
    "xinhub/v1/audit.proto",
    "xinhub/v1/sync.proto",
    "xinhub/v1/admin.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let proto = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo:rerun-if-changed={}", proto.display());
    let descriptors = protox::compile(FILES, [&proto])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("xinhub_v1_descriptor.bin"), descriptors.encode_to_vec())?;
    // What is encoded once for many readers is shared, and not copied for each of them.
    let shared = [".xinhub.v1.Lift.changes", ".xinhub.v1.ChangeBatch.changes", ".xinhub.v1.FetchChunksResponse.data"];
    let mut generate = tonic_prost_build::configure().build_transport(true).codec_path("crate::codec::Codec");
    for field in shared {
        generate = generate.bytes(field);
    }
    generate.compile_fds(descriptors)?;
    Ok(())
}
