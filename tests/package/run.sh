#!/usr/bin/env bash
# The package on a clean Debian 12: run.sh DEB CACHE. What is fetched stays in the folder CACHE; the machine itself is not touched.
#
# The root is made by debootstrap, gets what the Dockerfile gives an image, by the Dockerfile's own commands, and lives in namespaces
# of its own, so that nothing of it outlives this script.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
deb=$(realpath "$1")
cache=$(realpath -m "$2")
mirror=http://deb.debian.org/debian

[[ $EUID -eq 0 ]] || {
    echo "error: the package is tried in a root of its own, which only root can make" >&2
    exit 1
}

work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
root=$work/root
mkdir -p "$root" "$cache/archives"

# A bare system changes rarely: a week old will do, apt brings it up to date.
base=$cache/bookworm.tar
if [[ -z $(find "$base" -mtime -7 2>/dev/null) ]]; then
    debootstrap --variant=minbase bookworm "$root" "$mirror" >&2
    tar -C "$root" --one-file-system -cf "$base.new" .
    mv "$base.new" "$base"
else
    tar -C "$root" -xf "$base"
fi

cp /etc/resolv.conf "$root/etc/resolv.conf"
cp "$deb" "$root/tmp/deskd.deb"
cp "$here/inside.sh" "$root/opt/inside.sh"
# What `RUN` says, continued lines joined.
sed -e ':a' -e '/\\$/N; s/\\\n//; ta' "$here/../../packaging/Dockerfile" | sed -n 's/^RUN //p' >"$root/opt/dockerfile.sh"
# The image throws the packages away, so they are kept by another name.
cp -r "$cache/archives/." "$root/var/cache/apt/archives/"
mkdir -p "$root/opt/archives"

result=0
# shellcheck disable=SC2016 # expanded by the inner shell
unshare --mount --uts --ipc --pid --fork --kill-child bash -euo pipefail -c '
    root=$1
    mount --make-rprivate /
    mount -t proc proc "$root/proc"
    mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
    ln -sf pts/ptmx "$root/dev/ptmx"
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 bash -euo pipefail /opt/inside.sh
' - "$root" || result=$?
cp -r "$root/opt/archives/." "$cache/archives/"
exit "$result"
