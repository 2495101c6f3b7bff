#!/usr/bin/env bash
# An Ory Keto in the foreground, on loopback, its tuples in memory: `scripts/keto.sh DIR [READ_PORT WRITE_PORT]`.
#
# DIR/namespaces.keto.ts holds the namespaces. Without ports it takes free ones; DIR/read and DIR/write say which address each
# got. It is ready when GET /health/ready of the read address says so. The shell becomes the server, so this process's id is
# the server's. For tests and trials: the binary is that of `scripts/tools.sh keto`.
#
# From the environment, each optional:
#   DEPTH=20             the most sets followed one after the other
#   ENDS_WITH_STDIN=1    kill the server when standard input ends: it does not outlive whoever holds the other end
set -euo pipefail

[ $# -eq 1 ] || [ $# -eq 3 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 64; }
mkdir -p "$1"
dir="$(cd "$1" && pwd)"
keto="${XDG_CACHE_HOME:-$HOME/.cache}/eventrunner/bin/keto"
[ -x "$keto" ] || { echo "there is no $keto: run scripts/tools.sh keto" >&2; exit 69; }

rm -f "$dir/read" "$dir/write"
# Its two other listeners take any free port; nobody asks them.
cat >"$dir/keto.yml" <<YAML
version: v0.14.0
dsn: memory
log: {level: error, format: text, leak_sensitive_values: false}
serve:
  read: {host: 127.0.0.1, port: ${2:-0}, write_listen_file: "file://$dir/read"}
  write: {host: 127.0.0.1, port: ${3:-0}, write_listen_file: "file://$dir/write"}
  metrics: {host: 127.0.0.1, port: 0}
  opl: {host: 127.0.0.1, port: 0}
namespaces: {location: "file://$dir/namespaces.keto.ts"}
limit: {max_read_depth: ${DEPTH:-20}, max_read_width: 1000}
YAML

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
exec "$keto" serve --config "$dir/keto.yml" --sqa-opt-out
