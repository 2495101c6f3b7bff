#!/usr/bin/env bash
# The long forms of what must hold whatever is done to a fleet: in one process, and as processes over a broker of three
# nodes. Goes on after a failure; the last lines say what held.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

load="${CARGO_TARGET_DIR:-target}/release/eventrunner-load"
many=(--processes --nats-nodes 3)
failed=0
said=()

# Runs one and keeps its last line.
run() {
    echo "==> $*"
    local output
    if ! output=$("$load" "$@" | tee /dev/stderr); then
        failed=1
        said+=("FAILED $*")
    fi
    said+=("$(tail -n 1 <<<"$output")")
}

run chaos
run chaos --checked false
run chaos "${many[@]}"
run outage
run outage "${many[@]}"
run outage --phases cut,slow
run restart --rounds 5
run restart "${many[@]}"
run order
run order "${many[@]}"
run order "${many[@]}" --checked false
run order "${many[@]}" --victims normalizer,engine,nats-server --faults 40
run restore
run restore --processes --rate 500 --events 20000
run mirror
run mirror --processes --rate 500 --events 20000

printf '%s\n' "${said[@]}"
exit "$failed"
