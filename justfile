# The words of the project; CI calls the same scripts.

# Build and start the daemon with a desktop
run *flags:
    scripts/run {{flags}}

# Everything, or one stage: lint unit it e2e package host
test *stages:
    scripts/test {{stages}}

# Format check, shellcheck, clippy
lint:
    scripts/test lint

# Format
fmt:
    cargo fmt

# The Debian package of a release
package:
    scripts/package

# The documentation of the crate, in a browser
doc:
    cargo doc --locked --no-deps --document-private-items --open

# Figures beside the peers
bench *flags:
    scripts/bench desktop {{flags}}

# Fuzz what reads foreign bytes: rfb_messages, rfb_handshake or edit (nightly, cargo-fuzz)
fuzz target="rfb_messages" *flags:
    cargo +nightly fuzz run --fuzz-dir tests/fuzz {{target}} {{flags}}

# Accept what the snapshot tests found, then look at `git diff`
snapshots:
    INSTA_UPDATE=always cargo test --locked --test it
