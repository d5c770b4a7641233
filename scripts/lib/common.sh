# shellcheck shell=bash
# What the scripts share. Sourced from the root of the repository, after `set -euo pipefail`.

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

# have PROGRAM
have() { command -v "$1" >/dev/null 2>&1; }

# Where cargo puts what it builds.
target_dir() { printf '%s' "${CARGO_TARGET_DIR:-target}"; }

# Everything that decides what a folder builds to: its files, not what was made from them.
fingerprint() {
    (cd "$1" && find . \( -name node_modules -o -name dist -o -name .venv \) -prune -o -type f -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
}

# npm_current FOLDER: whether what was installed and built there came from the files as they are now.
npm_current() {
    local stamp="$1/node_modules/.deskd-stamp"
    [[ -f $stamp && $(<"$stamp") == "$(fingerprint "$1")" ]]
}

# npm_install FOLDER: exactly what the lock file names.
npm_install() {
    # Chromium is Debian's: no package is to fetch a browser of its own.
    (cd "$1" && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 PUPPETEER_SKIP_DOWNLOAD=1 \
        npm ci --no-audit --no-fund --prefer-offline --loglevel=error) >&2
}

# npm_stamp FOLDER: written last, so that what broke off is done again.
npm_stamp() { fingerprint "$1" >"$1/node_modules/.deskd-stamp"; }

# The viewer's page, compiled into assets/viewer/dist, which the binary embeds.
build_viewer() {
    local folder=assets/viewer
    if [[ -f $folder/dist/index.html ]] && npm_current "$folder"; then
        return
    fi
    say "building the viewer"
    npm_install "$folder"
    (cd "$folder" && npm run --silent build) >&2
    npm_stamp "$folder"
}

# The browser tests' packages.
prepare_e2e() {
    if ! npm_current tests/e2e; then
        npm_install tests/e2e
        npm_stamp tests/e2e
    fi
}

# python_install FOLDER: exactly what its list names, in a .venv of its own.
python_install() {
    local folder=$1 stamp="$1/.venv/.deskd-stamp" wanted
    # What is compiled in it is for one version of Python.
    wanted="$(python3 --version) $(sha256sum "$folder/requirements.txt")"
    if [[ ! -f $stamp || $(<"$stamp") != "$wanted" ]]; then
        say "installing the packages of $folder"
        python3 -m venv --clear "$folder/.venv" >&2
        "$folder/.venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
            --requirement "$folder/requirements.txt" >&2
        "$folder/.venv/bin/pip" check >&2
        printf '%s' "$wanted" >"$stamp"
    fi
}

# The packages of the agent loops, and the clients and suites of the Model Context Protocol: what their lists name, and
# nothing else.
prepare_examples() {
    local folder
    for folder in examples/typescript tests/mcp; do
        if ! npm_current "$folder"; then
            say "installing the packages of $folder"
            npm_install "$folder"
            npm_stamp "$folder"
        fi
    done
    python_install examples/python
    python_install tests/mcp
}

# The packager, built once, without what it needs for signing and publishing. In the target folder, so that nobody's own is touched.
CARGO_DEB=3.8.0
prepare_packager() {
    local root
    root=$(realpath -m "$(target_dir)")/tools
    if [[ $("$root/bin/cargo-deb" --version 2>/dev/null) == "cargo-deb $CARGO_DEB" ]]; then
        return
    fi
    say "building cargo-deb $CARGO_DEB"
    # Optimised as little as makes it fast enough: at opt-level 0 it packs for minutes.
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo install --quiet --locked --no-default-features --root "$root" "cargo-deb@$CARGO_DEB" >&2
}

# make_package PROFILE FOLDER: FOLDER/deskd.deb from the program that cargo has built for that profile.
make_package() {
    local profile=$1 folder=$2 built dist=packaging/dist pack=(--compress-system)
    if [[ $profile == dev ]]; then
        pack=(--fast --compress-system)
    fi
    built=$(realpath -m "$(target_dir)")/$([[ $profile == dev ]] && echo debug || echo "$profile")
    rm -rf "$dist"
    mkdir -p "$folder" "$dist/completions" "$dist/licences"
    "$built/deskd" man "$dist/man"
    gzip -9n "$dist/man"/*.1 # the packager would spend minutes on some bytes
    "$built/deskd" completions bash >"$dist/completions/deskd.bash"
    "$built/deskd" completions zsh >"$dist/completions/_deskd"
    "$built/deskd" completions fish >"$dist/completions/deskd.fish"
    python3 scripts/lib/licences.py "$dist/licences"
    mkdir -p "$dist/licences/novnc/pako"
    cp assets/viewer/dist/novnc/{AUTHORS,LICENSE.txt,NOTICE.txt} assets/viewer/dist/novnc/docs/LICENSE.* "$dist/licences/novnc"
    cp assets/viewer/dist/novnc/vendor/pako/LICENSE "$dist/licences/novnc/pako"
    PATH="$(realpath -m "$(target_dir)")/tools/bin:$PATH" \
        cargo deb --locked --offline --no-build --profile "$profile" "${pack[@]}" --output "$folder/deskd.deb" >&2
}
