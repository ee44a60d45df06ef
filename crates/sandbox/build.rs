//! Builds the program that runs inside sandboxes, linked static, so that the crate can carry it.
//!
//! A binary of another package is no dependency that stable Cargo builds, so Cargo is called again here. It builds into
//! a folder beside the profiles' own, so that checks, tests and releases share one build of it.
#![expect(clippy::disallowed_methods, reason = "Cargo tells a build script what it wants by the environment")]
#![expect(clippy::expect_used, reason = "a build script that cannot go on ends with a message")]

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

const NAME: &str = "backspace-init";

/// What the outer Cargo set for itself: clippy and wrappers check programs that this build must really make, and the
/// rest would lead to another folder or another build than the next caller's.
const NOT_INHERITED: &[&str] = &[
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
    "RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_BUILD_BUILD_DIR",
    "__CARGO_DEFAULT_LIB_METADATA",
];

fn main() {
    let system = variable("CARGO_CFG_TARGET_OS");
    assert!(
        system == "linux",
        "backspace is built for Linux, which every container engine brings: see docs/sandboxes.md, macOS and Windows"
    );
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2).expect("the crate stands two folders below the workspace");
    for input in ["init/src", "init/Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", here.join(input).display());
    }
    for input in ["Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    let out = PathBuf::from(variable("OUT_DIR"));
    // OUT_DIR is TARGET_DIR/PROFILE/build/PACKAGE/out.
    let folder = out.ancestors().nth(4).expect("Cargo's folder of a build script is deep").join(NAME);
    let target = variable("TARGET");
    build(root, &folder, &target);
    let built = folder.join(target).join("init").join(NAME);
    std::fs::copy(&built, out.join(NAME)).expect("the program was just built");
}

fn build(root: &Path, folder: &Path, target: &OsString) {
    let mut cargo = Command::new(variable("CARGO"));
    for name in NOT_INHERITED {
        cargo.env_remove(name);
    }
    // The outer Cargo has fetched and locked all that the library of the same package needs.
    let built = cargo
        .current_dir(root)
        .args(["build", "--offline", "--package", NAME, "--bin", NAME, "--profile", "init", "--target"])
        .arg(target)
        .arg("--target-dir")
        .arg(folder)
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static")
        .status()
        .expect("Cargo is there, it runs this");
    assert!(built.success(), "cannot build {NAME} for the inside of sandboxes");
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("Cargo did not set {name}"))
}
