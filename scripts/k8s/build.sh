#!/usr/bin/env bash
# Compiles etcd, KWOK and Kubernetes' control plane out of the modules that go.mod and go.sum here pin: `scripts/k8s/build.sh FOLDER`.
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2s/^# //p' "$0" >&2; exit 64; }
bin="$(cd "$1" && pwd)"
cd "$(dirname "$0")"
export GOFLAGS=-buildvcs=false

# Linked in, because what is built of a module does not know its version, and Helm asks the server for it.
version="$(sed -n 's/^require k8s.io\/kubernetes //p' control-plane/go.mod)"
minor="${version#v1.}"
linked=""
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    linked+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
    linked+=" -X $package.gitTreeState=clean -X $package.gitCommit=module"
done

build() { # build FOLDER NAME PACKAGE: as this folder's go.mod has it; moved into place last
    echo "compiling $2" >&2
    (cd "$1" && go build -trimpath -ldflags "-s -w$linked" -o "$bin/$2.fresh" "$3")
    mv "$bin/$2.fresh" "$bin/$2"
}
build etcd etcd go.etcd.io/etcd/server/v3
build kwok kwok sigs.k8s.io/kwok/cmd/kwok
for command in kube-apiserver kube-controller-manager kube-scheduler kubectl; do
    build control-plane "$command" "k8s.io/kubernetes/cmd/$command"
done

# KWOK has no stages of its own when it is built so: its module has them.
stages="$(cd kwok && go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage"
for stage in node/fast/node-initialize node/heartbeat-with-lease/node-heartbeat-with-lease \
    pod/fast/pod-{ready,complete,delete} volume/fast/{pvc-provision,pv-bind,pv-delete,pvc-delete}; do
    cat "$stages/$stage.yaml"
    echo "---"
done >"$bin/stages.yaml"
