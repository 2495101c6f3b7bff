// Those whose custom resources the chart makes. Their definitions are fetched for tests (`list` says which), and held against go.sum;
// nothing of it is compiled.
module eventrunner/crds

go 1.26

require (
	github.com/kedacore/keda/v2 v2.21.0
	github.com/prometheus-operator/prometheus-operator v0.85.0
	github.com/scylladb/scylla-operator v1.17.1
	sigs.k8s.io/gateway-api v1.6.3
)
