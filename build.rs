//! Stops the build with the command that cures it when the viewer's page has not been built.

use std::path::Path;

const DIST: &str = "assets/viewer/dist";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={DIST}");
    if !Path::new(DIST).join("index.html").is_file() {
        println!("cargo::error=the viewer is not built: run scripts/setup");
    }
}
