#!/usr/bin/env bash
# An Ory Oathkeeper in the foreground, on loopback: `scripts/oathkeeper.sh DIR PROXY_PORT API_PORT`.
#
# DIR/oathkeeper.yml is its configuration. Its ports are those given, whatever that says. It is ready when GET /health/ready of
# the API port says so. The shell becomes the server, so this process's id is the server's. For tests and trials: the
# binary is that of `scripts/tools.sh oathkeeper`.
#
# From the environment, optional:
#   ENDS_WITH_STDIN=1    kill the server when standard input ends: it does not outlive whoever holds the other end
set -euo pipefail

[ $# -eq 3 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 64; }
dir="$(cd "$1" && pwd)"
oathkeeper="${XDG_CACHE_HOME:-$HOME/.cache}/eventrunner/bin/oathkeeper"
[ -x "$oathkeeper" ] || { echo "there is no $oathkeeper: run scripts/tools.sh oathkeeper" >&2; exit 69; }

export SERVE_PROXY_HOST=127.0.0.1 SERVE_PROXY_PORT="$2" SERVE_API_HOST=127.0.0.1 SERVE_API_PORT="$3"
# Its listener for metrics takes any free port; nobody asks it.
export SERVE_PROMETHEUS_HOST=127.0.0.1 SERVE_PROMETHEUS_PORT=0

if [ -n "${ENDS_WITH_STDIN:-}" ]; then
    server=$$
    # A child of the server-to-be. Once the server is gone it has another parent, and its id may be somebody else's.
    exec 3<&0
    (
        watcher=$BASHPID
        cat <&3 >/dev/null || true
        [ "$(ps -o ppid= -p "$watcher" | tr -d ' ')" = "$server" ] && kill -KILL "$server"
    ) >/dev/null 2>&1 &
    exec 3<&- </dev/null
fi

# Without its call home.
exec "$oathkeeper" serve --config "$dir/oathkeeper.yml" --sqa-opt-out
