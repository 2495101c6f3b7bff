#!/usr/bin/env bash
# Runs every fuzz target for so many seconds, as many at a time as there are cores, from its seeds and what earlier runs have
# found.
#
#     scripts/fuzz.sh 300            all targets
#     scripts/fuzz.sh 300 text ...   some
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

seconds="${1:-300}"
[ $# -eq 0 ] || shift
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "fuzzing needs a nightly toolchain: rustup toolchain install nightly" >&2
    exit 69
fi
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(cargo +nightly fuzz list)

cargo +nightly fuzz build >&2

export seconds
export logs=artifacts/logs
rm -rf "$logs"
mkdir -p "$logs"
run() {
    local log="$logs/$1.log" units
    mkdir -p "corpus/$1" "seeds/$1"
    if cargo +nightly fuzz run "$1" "corpus/$1" "seeds/$1" -- -max_total_time="$seconds" -max_len=65536 -timeout=10 \
        -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 >"$log" 2>&1; then
        units="$(sed -n 's/^stat::number_of_executed_units: //p' "$log")"
        echo "$1: $units executions"
        echo "$units" >"$logs/$1.units"
    else
        echo "$1: CRASHED"
        tail -n 40 "$log"
    fi
}
export -f run
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I '{}' bash -c 'run {}'

executions="$(cat "$logs"/*.units 2>/dev/null | paste -sd+ | sed 's/^$/0/')"
finished="$(find "$logs" -name '*.units' | wc -l)"
crashed=$((${#targets[@]} - finished))
echo "${#targets[@]} targets, $seconds s each, $((executions)) executions, $crashed crashed"
[ "$crashed" -eq 0 ]
