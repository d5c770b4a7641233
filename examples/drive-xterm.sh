#!/usr/bin/env bash
# Drives a desktop with curl alone: starts xterm on it, clicks into it, types a command, presses Return,
# proves by the file which the command wrote that every character arrived, and saves a picture.
#
#   examples/drive-xterm.sh [PICTURE.png]        against a running `deskd serve`
#
# DESKD_URL (http://127.0.0.1:7380) and DESKD_TOKEN_FILE (the daemon's own) say where and as whom.
set -euo pipefail

url=${DESKD_URL:-http://127.0.0.1:7380}
token_file=${DESKD_TOKEN_FILE:-${XDG_STATE_HOME:-$HOME/.local/state}/deskd/token}
picture=${1:-screenshot.png}
# shellcheck disable=SC2016 # nothing in it is to expand
text='It costs $5 & "more": 100% of [a]{b}<c>|d|^_`~ #1 @home (x*y) == \z; ok?!'

work=$(mktemp -d)
xterm_pid=
finish() {
    if [[ -n $xterm_pid ]]; then
        kill "$xterm_pid" 2>/dev/null || true
        wait "$xterm_pid" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap finish EXIT

# The token goes into a file of ours: arguments can be read by everybody on the machine.
(umask 077 && printf 'header = "Authorization: Bearer %s"\n' "$(<"$token_file")" >"$work/curlrc")
call() { # METHOD PATH [CURL ARGUMENTS…]
    curl --silent --show-error --fail-with-body --config "$work/curlrc" --request "$1" "${@:3}" "$url$2"
}
action() { call POST /api/v0/desktop/action --header 'Content-Type: application/json' --data "$1" >>"$work/answers"; }
field() { sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p"; }
json() { sed 's/\\/\\\\/g; s/"/\\"/g'; } # a line of text as the inside of a JSON string

# 1. The desktop, and what a program on it needs to know.
desktop=$(call POST /api/v0/desktop/start)
DISPLAY=$(field display <<<"$desktop")
XAUTHORITY=$(field xauthority <<<"$desktop")
export DISPLAY XAUTHORITY
echo "desktop $DISPLAY"

# 2. A terminal. What runs in it asks for mouse reports, and says so when the first click has reached it:
# by then the window has the focus.
mkfifo "$work/said"
exec 3<>"$work/said"
cat >"$work/inside" <<'INSIDE'
stty -icanon -echo
printf '\033[?9h'
dd bs=1 count=6 of=/dev/null 2>/dev/null # one report
printf '\033[?9l'
stty icanon echo
echo clicked >"$1/said"
read -r rest # reports of further clicks, up to the first Return
cd "$1" && exec sh
INSIDE
xterm -u8 -fa "DejaVu Sans Mono" -fs 10 -geometry 80x24+100+100 -e sh "$work/inside" "$work" &
xterm_pid=$!

said() { # SECONDS WORD: the terminal says it in time
    local word
    read -r -t "$1" word <&3 && [[ $word == "$2" ]]
}
for attempt in {1..20}; do
    action '{"action": "left_click", "coordinate": [300, 250]}'
    if said 1 clicked; then
        break
    fi
    if [[ $attempt -eq 20 ]]; then
        echo "no click reached the terminal" >&2
        exit 1
    fi
done
action '{"action": "key", "text": "Return"}'

# 3. A command with its exact text, and Return.
command="printf '%s' '$text' >written; echo written >said"
action "{\"action\": \"type\", \"text\": \"$(json <<<"$command")\"}"
action '{"action": "key", "text": "Return"}'
if ! said 20 written; then
    echo "the command did not run" >&2
    exit 1
fi

# 4. A picture.
call GET '/api/v0/desktop/screenshot?format=png' --output "$picture"
if [[ $(head -c 8 "$picture" | od -An -tx1 | tr -d ' \n') != 89504e470d0a1a0a ]]; then
    echo "$picture is not a PNG" >&2
    exit 1
fi
echo "picture $picture, $(wc -c <"$picture") bytes"

# 5. The proof.
if [[ $(<"$work/written") != "$text" ]]; then
    printf 'typed:   %s\narrived: %s\n' "$text" "$(<"$work/written")" >&2
    exit 1
fi
echo "typed ${#text} characters, every one arrived"
