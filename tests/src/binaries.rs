//! Where `xinhubd`, `xinhub` and the client's examples lie. Cargo builds no other package's binaries for a test, so they are built
//! here, once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Names a directory with both binaries, and the examples in `examples`, which are then taken as they are.
const DIRECTORY: &str = "XINHUB_BIN_DIR";

/// The hub.
pub fn xinhubd() -> PathBuf {
    directory().join("xinhubd")
}

/// The command line.
pub fn xinhub() -> PathBuf {
    directory().join("xinhub")
}

fn directory() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| match std::env::var_os(DIRECTORY) {
        Some(directory) => directory.into(),
        None => build(&["-p", "xinhub-server", "-p", "xinhub-cli", "--bins"]),
    })
}

/// An example of the Rust client.
pub fn example(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let directory = BUILT.get_or_init(|| match std::env::var_os(DIRECTORY) {
        Some(directory) => directory.into(),
        // With the workspace's features: a test of the workspace has built all that these are made of.
        None => build(&["--workspace", "--example", "bank", "--example", "hotel", "--example", "procurement"]),
    });
    directory.join("examples").join(name)
}

/// Builds with the profile of this test; a fresh build takes cargo some tenths of a second to see. Cargo's own lock keeps
/// tests that begin at once apart.
fn build(what: &[&str]) -> PathBuf {
    // target/PROFILE/deps/TEST-HASH
    let test = std::env::current_exe().unwrap();
    let profile_dir = test.ancestors().nth(2).unwrap().to_owned();
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--profile", profile]).args(what);
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).env("CARGO_TARGET_DIR", target_dir(&profile_dir));
    // What cargo tells this test of itself would make build scripts run anew.
    for (name, _) in std::env::vars_os() {
        let told =
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_", "CARGO_TARGET_TMP"];
        if name.to_str().is_some_and(|name| told.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    let built = command.status().unwrap();
    assert!(built.success(), "the binaries can't be built");
    profile_dir
}

/// `target`; with `--target`, the directory above the one named after the platform.
fn target_dir(profile_dir: &Path) -> PathBuf {
    let above = profile_dir.parent().unwrap();
    assert!(
        above.join("CACHEDIR.TAG").exists() || above.join(".rustc_info.json").exists(),
        "{} is no target directory; with --target, name the binaries' directory in {DIRECTORY}",
        above.display()
    );
    above.to_owned()
}
