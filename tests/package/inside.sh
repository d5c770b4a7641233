# shellcheck shell=bash
# What a user does with the package on a new machine. Run as root inside of the root that run.sh makes.
set -euo pipefail

step() { printf '== %s\n' "$*"; }
fail() {
    printf 'FAILED: %s\n' "$*"
    tail -n 20 /srv/agent/serve.log 2>/dev/null || true
    exit 1
}
# As the image's user, with its environment and nothing else.
image=(env -i HOME=/srv/agent USER=agent PATH=/usr/bin:/bin XDG_RUNTIME_DIR=/run/user/1000 LANG=C.UTF-8)
drop=(setpriv --reuid=1000 --regid=1000 --clear-groups)
agent() { "${image[@]}" "${drop[@]}" "$@"; }
# Processes of that user.
of_agent() { grep -lE '^Uid:\s1000' /proc/[0-9]*/status 2>/dev/null || true; }
no_zombies() { ! grep -lE '^State:\sZ' /proc/[0-9]*/status 2>/dev/null; }
# Does a thing again until it succeeds.
eventually() {
    local patience=$((SECONDS + 30))
    until "$@" >/dev/null 2>&1; do
        [[ $SECONDS -lt $patience ]] || fail "not within 30 s: $*"
    done
}

step "the Dockerfile's own commands"
# It cleans up after itself; the packages are of use to the next run.
bash -euo pipefail -c "$(sed 's# && rm -rf # \&\& cp -n /var/cache/apt/archives/*.deb /opt/archives/ \&\& rm -rf #' /opt/dockerfile.sh)" >/opt/install.log 2>&1 ||
    { tail -n 30 /opt/install.log; fail "the package does not install"; }

step "what it brings"
[[ $(deskd --version) == deskd\ * ]] || fail "no program"
for file in /usr/share/man/man1/deskd.1.gz /usr/share/man/man1/deskd-exec.1.gz \
    /usr/share/bash-completion/completions/deskd /usr/share/zsh/vendor-completions/_deskd \
    /usr/share/fish/vendor_completions.d/deskd.fish /usr/lib/systemd/system/deskd@.service \
    /usr/lib/systemd/user/deskd.service /usr/share/doc/deskd/copyright \
    /usr/share/doc/deskd/licences/libgit2/COPYING /usr/share/doc/deskd/licences/novnc/LICENSE.MPL-2.0 \
    /usr/share/doc/deskd/licences/novnc/pako/LICENSE; do
    dpkg-query -L deskd | grep -qxF "$file" || fail "$file is not of the package"
done
bash -euc '. /usr/share/bash-completion/completions/deskd; complete -p deskd' >/dev/null || fail "no completions"

step "deskd doctor"
agent deskd doctor

step "deskd serve as the first process of a container"
# As the image starts it; on loopback, since this is the machine's own network.
"${image[@]}" unshare --pid --fork --propagation unchanged --mount-proc --kill-child "${drop[@]}" \
    deskd serve --listen 127.0.0.1:0 </dev/null >/srv/agent/serve.out 2>/srv/agent/serve.log &
container=$!
eventually agent deskd status
agent deskd status

step "a file is edited on the desktop, and seen"
cd /srv/agent
# shellcheck disable=SC2016 # expanded by the shell on the desktop
agent deskd launch -- xterm -e sh -c 'IFS= read -r line; printf "%s\n" "$line" >notes.txt' >/dev/null
agent deskd type 'Grüße vom Schreibtisch'
agent deskd screenshot --settle 300 screen.png
agent deskd key Return
eventually test -s notes.txt
[[ $(agent deskd read notes.txt) == 'Grüße vom Schreibtisch' ]] || fail "read: $(cat notes.txt)"
agent deskd edit notes.txt --old Schreibtisch --new Sofa >/dev/null
[[ $(agent deskd exec -- cat /srv/agent/notes.txt) == 'Grüße vom Sofa' ]] || fail "edit: $(cat notes.txt)"
[[ $(head -c 4 screen.png | tail -c 3) == PNG ]] || fail "no picture"
[[ $(stat -c %s screen.png) -gt 2000 ]] || fail "an empty picture: $(stat -c %s screen.png) bytes"

step "orphans are reaped"
agent deskd exec -- sh -c 'for i in 1 2 3 4 5; do setsid sh -c "true & true & exit" & done; wait'
eventually no_zombies

step "TERM ends it, and all that it started"
agent deskd exec --detach -- sh -c 'trap "" TERM; setsid tail -f /dev/null & tail -f /dev/null' >/dev/null
first=$(<"/proc/$container/task/$container/children")
begin=$SECONDS
kill -TERM "${first% }"
wait "$container" || fail "it ended with $?"
[[ $((SECONDS - begin)) -le 12 ]] || fail "the stop took $((SECONDS - begin)) s"
[[ -z $(of_agent) ]] || fail "left behind: $(of_agent)"

step "removed and purged"
apt-get purge -y deskd >/opt/purge.log 2>&1 || { cat /opt/purge.log; fail "it cannot be removed"; }
left=$(find / -xdev -iname '*deskd*' -not -path '/proc/*' -not -path '/srv/*' -not -path '/run/user/*' -not -path '/opt/*' -not -path '/tmp/*' -not -path '/var/log/*' -print)
[[ -z $left ]] || fail "left behind: $left"
[[ -z $(dpkg-query -W -f '${db:Status-Abbrev}' deskd 2>/dev/null) ]] || fail "dpkg still knows it"
step "all is well"
