#!/usr/bin/env bash
# Runs every fuzz target for so many seconds, from its seeds and what earlier runs have found.
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
if [ $# -eq 0 ]; then
    mapfile -t targets < <(cargo +nightly fuzz list)
else
    targets=("$@")
fi

cargo +nightly fuzz build
crashed=()
for target in "${targets[@]}"; do
    mkdir -p "corpus/$target" "seeds/$target"
    echo "==> $target"
    cargo +nightly fuzz run "$target" "corpus/$target" "seeds/$target" -- \
        -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 ||
        crashed+=("$target")
done
echo "${#targets[@]} targets, ${seconds} s each, ${#crashed[@]} crashed${crashed[*]:+: ${crashed[*]}}"
[ "${#crashed[@]}" -eq 0 ]
