#!/usr/bin/env bash
# A ClickHouse server in the foreground, on loopback: `scripts/clickhouse.sh DIR HTTP_PORT TCP_PORT [ENGINE OPTION...]`.
#
# DIR keeps the data and may be used again. For tests and trials: it is the engine of `scripts/tools.sh clickhouse`.
set -euo pipefail

[ $# -ge 3 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 64; }
cache="${XDG_CACHE_HOME:-$HOME/.cache}/eventrunner"
library="${CLICKHOUSE_LIBRARY:-$cache/clickhouse/libchdb.so}"
if [ ! -f "$library" ]; then
    echo "there is no $library: run scripts/tools.sh clickhouse, or set CLICKHOUSE_LIBRARY" >&2
    exit 69
fi
mkdir -p "$1"
# Replaced by the server, so that this process id is the server's.
exec "${PYTHON:-python3}" "$(dirname "$0")/clickhouse.py" "$library" "$@"
