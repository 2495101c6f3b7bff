"""What the chart's values may be: the wrong are refused with their name, and each switch does what it says."""

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import unittest
from pathlib import Path

import yaml

from chart import CAPABLE, CHART, CI, HELM, ROOT, case, cases, containers, helm, named, one, pods, render

# What is set, and a word of the message that must name it.
REFUSED = {
    "durabilty=disk": "durabilty",
    "durability=always": "durability",
    "mode=cluster": "mode",
    "partitions=0": "partitions",
    "partitions=many": "partitions",
    "streamReplicas=2": "streamReplicas",
    "config.topology=1": "config",
    "sealing.secret=a": "secret",
    "sealing.key=a b": "sealing.key",
    "defaults.image.tag=latest": "defaults.image.tag",
    "defaults.image.digest=sha256:0": "defaults.image.digest",
    "defaults.image.pullPolicy=Sometimes": "pullPolicy",
    "defaults.image.repository=": "repository",
    "defaults.replicas=-1": "defaults.replicas",
    "defaults.replicaCount=2": "replicaCount",
    "defaults.resources.limit.memory=1Gi": "limit",
    "defaults.terminationGracePeriodSeconds=30": "terminationGracePeriodSeconds",
    "defaults.preStopSleepSeconds=60": "preStopSleepSeconds",
    "defaults.pdb.maxUnavailable=0": "maxUnavailable",
    "defaults.extraEnv[0].value=a": "name is required",
    "services.dispatcher.enabled=true": "dispatcher",
    "telemetry.otlpEndpoint=otel:4317": "otlpEndpoint",
    "telemetry.protocol=thrift": "protocol",
    "telemetry.sampleRatio=2": "sampleRatio",
    "telemetry.traceUrl=https://jaeger.example.com": "traceUrl",
    "services.ingestHttp.enabled=perhaps": "enabled",
    "services.ingestHttp.service.type=ExternalName": "service.type",
    "services.ingestHttp.service.port=70000": "service.port",
    "services.billing.keda.enabled=true": "keda",
    "services.engine.keda.lagThreshold=0": "lagThreshold",
    "services.api.autoscaling.targetCPUUtilizationPercentage=0": "targetCPUUtilizationPercentage",
    "services.api.ingress.hosts=a": "hosts",
    "single.persistence.size=big": "size",
    "single.service.ports.http=0": "http",
    "single.terminationGracePeriodSeconds=1": "terminationGracePeriodSeconds",
    "nats.replicas=2": "nats.replicas",
    "nats.url=http://nats:4222": "nats.url",
    "nats.url=nats://user:secret@nats:4222": "nats.url",
    "nats.login.kind=magic": "nats.login.kind",
    "nats.tlsSecret=Broker_TLS": "nats.tlsSecret",
    "scylla.mode=embedded": "scylla.mode",
    "scylla.nodes[0]=scylla": "scylla.nodes.0",
    "scylla.keyspace=Events": "scylla.keyspace",
    "clickhouse.url=https://clickhouse:8443": "clickhouse.url",
    "clickhouse.installation.storage=lots": "storage",
    "migrations.kind=never": "migrations.kind",
    "backup.schedule=nightly": "backup.schedule",
    "backup.keep=0": "backup.keep",
    "backup.ageHoursMax=0": "backup.ageHoursMax",
    "backup.persistence.size=all": "backup.persistence.size",
    "backup.retention=7": "retention",
    "oathkeeper.issuer=gate": "oathkeeper.issuer",
    "networkPolicy.enable=true": "enable",
    "metrics.serviceMonitor.interval=often": "interval",
    "extraResources[0].kind=ConfigMap": "apiVersion is required",
}

# Right by themselves, wrong together: `mode: services` with stores and a sealing key is there already.
CONTRADICTIONS = {
    "sealing.existingSecret=": "sealing.existingSecret is needed",
    "scylla.nodes=null": "scylla.nodes is needed",
    "clickhouse.url=": "clickhouse.url is needed",
    "clickhouse.mode=operator": "clickhouse.existingSecret is needed",
    "nats.enabled=false": "nats.url is needed",
    "nats.url=nats://nats:4222": "set nats.enabled to false",
    "nats.service.type=LoadBalancer": "only a broker with nats.accountsSecret",
    "nats.replicas=1": "streamReplicas: 3 copies need as many brokers",
    "nats.login.existingSecret=a,nats.login.kind=token": "its own knows password",
    "nats.login.existingSecret=a,nats.accountsSecret=b": "are two logins",
    "durability=replicated,streamReplicas=1": "needs streamReplicas: 3",
    "migrations.kind=hook": "migrations.kind: hook would wait",
    "services.engine.keda.enabled=true,services.engine.autoscaling.enabled=true": "one scaler at a time",
    "services.engine.keda.enabled=true,services.engine.keda.maxReplicas=5": "more than the 4 partitions",
    "services.engine.keda.enabled=true,nats.accountsSecret=a": "nats.account is needed for KEDA",
    "services.api.ingress.enabled=true": "services.api.ingress.hosts is needed",
    "services.api.route.enabled=true": "gateway.parentRefs or services.api.route.parentRefs is needed",
    "telemetry.caSecret=a,telemetry.otlpEndpoint=http://otel:4318": "is for a telemetry.otlpEndpoint that begins with https://",
    "oathkeeper.enabled=true": "oathkeeper.existingSecret is needed",
    "oathkeeper.enabled=true,oathkeeper.existingSecret=a": "oathkeeper.jwksUrls and oathkeeper.trustedIssuers are needed",
    "keto.enabled=true,keto.replicas=2": "more than one needs keto.existingSecret",
    "backup.enabled=true,services.api.enabled=false": "needs services.api.enabled",
    "backup.enabled=true,nats.enabled=false,nats.url=nats://nats:4222,nats.login.existingSecret=a,nats.login.kind=nkey": "not with nats.login.kind: nkey",
    "backup.enabled=true,nats.enabled=false,nats.url=nats://nats:4222,nats.clientCertificateSecret=a": "no certificate to show",
    "mode=single,backup.enabled=true": "backup.enabled needs nats.accountsSecret",
    "mode=single,durability=replicated": "needs mode: services",
    "mode=single,keto.enabled=true": "keto.enabled needs mode: services",
    "mode=single,scylla.mode=operator": "scylla.mode: operator needs mode: services",
}


@unittest.skipUnless(HELM or CI, "helm is not installed")
class Refusals(unittest.TestCase):
    def test_wrong_values_are_refused_with_their_name(self) -> None:
        self.assertGreaterEqual(len(REFUSED), 30)
        for setting, word in REFUSED.items():
            with self.subTest(setting):
                done = helm("template", "rel", str(CHART), "--set", setting)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("don't meet the specifications of the schema", done.stderr)
                self.assertIn(word, done.stderr)

    def test_contradictions_are_refused_with_what_to_do(self) -> None:
        values = ("--values", str(CHART / "ci/services-values.yaml"), *CAPABLE)
        for setting, words in CONTRADICTIONS.items():
            with self.subTest(setting):
                done = helm("template", "rel", str(CHART), *values, "--set", setting)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(words, done.stderr)


@unittest.skipUnless(HELM or CI, "helm is not installed")
class Switches(unittest.TestCase):
    def test_who_is_scaled_has_no_replicas(self) -> None:
        for name in cases():
            documents = case(name)
            scaled = {d["spec"]["scaleTargetRef"]["name"] for d in documents if d["kind"] in {"HorizontalPodAutoscaler", "ScaledObject"}}
            for deployment in named(documents, "Deployment").values():
                self.assertEqual("replicas" in deployment["spec"], deployment["metadata"]["name"] not in scaled, name)
        hpa = one(case("services-hpa"), "HorizontalPodAutoscaler", "ingest-http")["spec"]
        self.assertEqual((hpa["minReplicas"], hpa["maxReplicas"]), (3, 30))
        self.assertEqual(one(case("services-hpa"), "HorizontalPodAutoscaler", "billing")["spec"]["maxReplicas"], 8)
        # As many as there are partitions.
        self.assertEqual(one(case("services-hpa"), "HorizontalPodAutoscaler", "engine")["spec"]["maxReplicas"], 4)

    def test_a_service_overrides_what_all_have(self) -> None:
        documents = render("--values", str(CHART / "ci/services-values.yaml"), "--set", "services.api.replicas=5,services.api.resources.limits.memory=3Gi")
        self.assertEqual(one(documents, "Deployment", "-api")["spec"]["replicas"], 5)
        self.assertEqual(one(documents, "Deployment", "-billing")["spec"]["replicas"], 2)
        limits = pods(documents)["Deployment rel-eventrunner-api"]["spec"]["containers"][0]["resources"]["limits"]
        self.assertEqual(limits, {"memory": "3Gi"})

    def test_keda_adds_up_every_partition(self) -> None:
        documents = case("services-keda")
        for name, stream in {"normalizer": "RAW", "engine": "EVENTS"}.items():
            spec = one(documents, "ScaledObject", name)["spec"]
            self.assertEqual([t["metadata"]["consumer"] for t in spec["triggers"]], [f"p{n}" for n in range(12)])
            self.assertEqual({t["metadata"]["stream"] for t in spec["triggers"]}, {stream})
            formula = spec["advanced"]["scalingModifiers"]["formula"]
            self.assertEqual(formula.split(" + "), [t["name"] for t in spec["triggers"]])
            self.assertEqual(spec["triggers"][0]["metadata"]["natsServerMonitoringEndpoint"], "rel-eventrunner-nats-nodes.events.svc:8222")

    def test_migrations_come_first_in_either_form(self) -> None:
        # Everything is there already: before the release.
        job = one(case("services-external"), "Job")
        self.assertEqual(job["metadata"]["annotations"]["helm.sh/hook"], "pre-install,pre-upgrade")
        self.assertFalse([pod for pod in pods(case("services-external")).values() if pod["spec"].get("initContainers")])
        # Nothing of the release is there when it runs.
        self.assertFalse([v for v in job["spec"]["template"]["spec"]["volumes"] if "configMap" in v])
        self.assertNotIn("serviceAccountName", job["spec"]["template"]["spec"])
        # The broker comes with the release: in the pods.
        documents = case("services")
        self.assertNotIn("Job", {d["kind"] for d in documents})
        first = {name: [c["name"] for c in pod["spec"].get("initContainers", [])] for name, pod in pods(documents).items()}
        for component in ("engine", "api", "billing"):
            self.assertEqual(first[f"Deployment rel-eventrunner-{component}"], ["migrate"])

    def test_a_backup_is_made_when_it_is_asked_for(self) -> None:
        self.assertFalse([d for d in case("services") if d["kind"] in {"CronJob", "PersistentVolumeClaim"}])
        documents = case("services-everything")
        job, claim = one(documents, "CronJob")["spec"], one(documents, "PersistentVolumeClaim")
        self.assertEqual((job["schedule"], job["concurrencyPolicy"]), ("30 1 * * *", "Forbid"))
        self.assertEqual(claim["metadata"]["annotations"], {"helm.sh/resource-policy": "keep", "a": "b"})
        self.assertEqual((claim["spec"]["storageClassName"], claim["spec"]["resources"]["requests"]["storage"]), ("slow", "200Gi"))
        (pod,) = (pod for name, pod in pods(documents).items() if name.startswith("CronJob"))
        (container,) = pod["spec"]["containers"]
        self.assertEqual(container["args"], ["backup", "--into", "/backup", "--keep", "14"])
        self.assertEqual(pod["spec"]["volumes"][0], {"name": "backup", "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}})
        # It is given the login and nothing that opens a secret or a store.
        self.assertEqual(secrets_of(pod), {"accounts/fleet.creds", "broker-tls/ca.crt"})
        self.assertEqual({e["name"] for e in container["env"]}, {"EVENTRUNNER_NATS_URL", "EVENTRUNNER_NATS_CREDENTIALS", "EVENTRUNNER_NATS_CA"})
        # Whoever tells its age knows how old it may be.
        engine = pods(documents)[next(name for name in pods(documents) if name.endswith("-engine"))]["spec"]["containers"][0]
        self.assertIn({"name": "EVENTRUNNER_BACKUP__AGE_HOURS_MAX", "value": "30"}, engine["env"])
        # A volume that is there is taken; a login by password is part of the address.
        self.assertFalse([d for d in case("single-everything") if d["kind"] == "PersistentVolumeClaim"])
        (pod,) = (pod for name, pod in pods(case("single-everything")).items() if name.startswith("CronJob"))
        self.assertEqual(pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"], "backups")
        (pod,) = (pod for name, pod in pods(case("services-external")).items() if name.startswith("CronJob"))
        self.assertIn("://$(NATS_USER):$(NATS_PASSWORD)@", pod["spec"]["containers"][0]["env"][-1]["value"])

    def test_the_fleet_reaches_its_broker_whoever_else_may(self) -> None:
        for name in ("services-accounts", "services-everything", "single-everything"):
            for document in case(name, "--set", "networkPolicy.doorsFrom[0].ipBlock.cidr=10.0.0.0/8"):
                rules = document["spec"]["ingress"] if document["kind"] == "NetworkPolicy" else []
                for rule in rules:
                    if {"port": "nats"} in rule["ports"]:
                        self.assertTrue(any("podSelector" in peer for peer in rule["from"]), f"{name}: {document['metadata']['name']}")

    def test_secrets_are_seen_by_those_who_need_them(self) -> None:
        seen = {name.split("rel-eventrunner-")[-1]: secrets_of(pod) for name, pod in pods(case("services-accounts")).items()}
        self.assertEqual(seen["nats"], {"accounts/accounts.conf", "broker-tls"})
        self.assertEqual(seen["normalizer"], {"accounts/fleet.creds", "broker-tls/ca.crt"})
        self.assertEqual(seen["ingest-http"], {"accounts/fleet.creds", "broker-tls/ca.crt", "sealing/key"})
        self.assertEqual(seen["api"], {"accounts/fleet.creds", "accounts/operator.seed", "broker-tls/ca.crt", "sealing/key"})
        seen = {name.split("rel-eventrunner-")[-1]: secrets_of(pod) for name, pod in pods(case("services-external")).items()}
        login = {"broker/user", "broker/password"}
        self.assertEqual(seen["engine"], login | {"scylla/password", "clickhouse/password"})
        self.assertEqual(seen["ingest-grpc"], login | {"sealing/sealing-key"})
        single = pods(case("single-everything"))["StatefulSet events"]
        (broker,), (fleet,) = single["spec"]["initContainers"], single["spec"]["containers"]
        self.assertEqual(secrets_of(single, broker), {"accounts/accounts.conf", "broker-tls"})
        self.assertEqual(secrets_of(single, fleet), {"accounts/fleet.creds", "accounts/operator.seed", "broker-tls/ca.crt", "sealing/key"})

    def test_no_secret_is_made_of_values(self) -> None:
        for name in cases():
            self.assertNotIn("Secret", {d["kind"] for d in case(name)}, name)

    def test_callers_of_the_api_come_through_oathkeeper(self) -> None:
        route = one(case("services-ory"), "HTTPRoute")["spec"]["rules"][0]["backendRefs"][0]
        self.assertEqual(route, {"name": "rel-eventrunner-oathkeeper", "port": 4455})
        backend = one(case("services-ory-memory"), "Ingress")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
        self.assertEqual(backend, {"name": "rel-eventrunner-oathkeeper", "port": {"number": 4455}})

    def test_dashboards_and_alerts_are_taken_as_they_lie_there(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            chart = Path(folder) / "chart"
            shutil.copytree(CHART, chart)
            for kind, file, text in (
                ("dashboards", "one_more.json", '{"uid": "x", "title": "{{ tenant }}"}'),
                ("alerts", "more.yaml", "groups:\n  - name: more\n    rules:\n      - alert: More\n        expr: up == 0\n        annotations: {summary: '{{ $labels.pod }} is down'}\n"),
            ):
                (chart / kind).mkdir(exist_ok=True)
                (chart / kind / file).write_text(text)
            on = "grafana.dashboards.enabled=true,metrics.prometheusRule.enabled=true"
            documents = render("--set", on, *CAPABLE, chart=chart)
        board = one(documents, "ConfigMap", "one-more")
        self.assertEqual(board["data"]["one_more.json"].strip(), '{"uid": "x", "title": "{{ tenant }}"}')
        self.assertEqual(board["metadata"]["labels"]["grafana_dashboard"], "1")
        self.assertEqual(board["metadata"]["annotations"]["grafana_folder"], "EventRunner")
        groups = {group["name"]: group for group in one(documents, "PrometheusRule")["spec"]["groups"]}
        self.assertEqual(groups["more"]["rules"][0]["annotations"]["summary"], "{{ $labels.pod }} is down")

    def test_scraping_takes_no_label_away_from_a_metric(self) -> None:
        # What the fleet's own metrics are labelled with (docs/metrics.md), and Prometheus' operator adds to each.
        own = set(re.findall(r"`(\w+)`", " ".join(line.split("|")[3] for line in (ROOT / "docs/metrics.md").read_text().splitlines() if line.startswith("| `eventrunner"))))
        monitor = one(case("services-everything"), "ServiceMonitor")["spec"]
        (endpoint,) = monitor["endpoints"]
        self.assertTrue(endpoint["honorLabels"])
        self.assertIn("service", own)
        self.assertFalse(own & {r["targetLabel"] for r in endpoint["relabelings"]})
        self.assertEqual(one(case("services-everything"), "Service", "-admin")["metadata"]["labels"][monitor["jobLabel"]], "eventrunner")

    def test_streams_leave_room_on_the_volume(self) -> None:
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        limits = tomllib.loads(values["config"])["topology"]
        streams = 2 * limits["hop_bytes_max"] + 2 * limits["invoices_bytes_max"]
        streams += sum(limits[f"{name}_bytes_max"] for name in ("tenant", "dead", "audit", "idempotency", "sessions"))
        gib = lambda size: int(size.removesuffix("Gi")) * 2**30  # noqa: E731
        self.assertLess(streams, gib(values["single"]["persistence"]["size"]) / 2)
        self.assertLess(streams + limits["usage_bytes_max"], gib(values["nats"]["persistence"]["size"]) * 0.75)

    def test_the_chart_is_whole_when_it_is_packed(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            done = helm("package", str(CHART), "--destination", folder)
            self.assertEqual(done.returncode, 0, done.stderr)
            (archive,) = Path(folder).glob("*.tgz")
            documents = render("--values", str(CHART / "ci/services-ory-values.yaml"), *CAPABLE, chart=archive)
        namespaces = one(documents, "ConfigMap", "-keto")["data"]["namespaces.keto.ts"]
        self.assertEqual(namespaces.strip(), (ROOT / "deploy/ory/namespaces.keto.ts").read_text().strip())

    def test_the_values_of_the_documentation_are_right(self) -> None:
        page = (ROOT / "docs/kubernetes.md").read_text()
        (block,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "values.yaml"
            file.write_text(block)
            self.assertEqual(len(named(render("--values", str(file)), "Deployment")), 6)
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        for row in re.findall(r"^\| `\w+`.*\| (`[\w.`, ]+`) \|$", page.split("### From chart 0.1")[1], re.MULTILINE):
            for path in re.findall(r"`([\w.]+)`", row):
                found = values
                for key in path.split("."):
                    self.assertIn(key, found, path)
                    found = found[key]

    def test_its_readme_is_what_its_values_say(self) -> None:
        done = subprocess.run([sys.executable, ROOT / "scripts/chart_readme.py", "--check"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


def secrets_of(pod: dict, container: dict | None = None) -> set[str]:
    """`secret/entry` of all that a pod, or one of its containers, is given; `secret` where it is the whole of it."""
    some = [container] if container else containers(pod)
    found = set()
    for each in some:
        for variable in each.get("env", []):
            if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                found.add(f"{reference['name']}/{reference['key']}")
        mounted = {mount["name"] for mount in each.get("volumeMounts", [])}
        for volume in pod["spec"].get("volumes", []):
            if volume["name"] in mounted and (secret := volume.get("secret")):
                items = secret.get("items")
                found |= {f"{secret['secretName']}/{item['key']}" for item in items} if items else {secret["secretName"]}
    return found


if __name__ == "__main__":
    unittest.main()
