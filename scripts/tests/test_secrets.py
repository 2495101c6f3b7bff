"""No secret is where it need not be: planted in every way there is, looked for in whatever a running fleet keeps and tells."""

import base64
import json
import re
import signal
import unittest
import urllib.error
import urllib.parse
import urllib.request

from collector import Collector
from fleet import Fleet, binary

# Our own code says all it can; what others say at `trace` is the bytes of every connection.
OURS = ("api", "auth", "billing", "billing_service", "bus", "catalog", "engine", "eventrunner", "identity", "ingest_http", "ingest_grpc", "normalizer", "runtime")
LOG = ",".join(["debug", *(f"{crate}=trace" for crate in OURS)])
# Where secrets are to be: whoever may read these files may use the fleet.
KEPT = {"context.toml", "secret.key"}

WEBHOOK = "planted-webhook-3f9a1c77"
HEADER = "planted-header-b1d20e58"
PASSWORD = "planted password 77 of the superuser"
WRONG = "planted wrong password 4711"
STRANGE = "er_planted0strange0key_5c1e09"


class Secrets(unittest.TestCase):
    def setUp(self) -> None:
        self.collector = Collector()
        self.addCleanup(self.collector.stop)
        # Every request is traced, and every line sent.
        settings = [f"log.filter={LOG}", f"telemetry.otlp_endpoint={self.collector.http_url}", "telemetry.sample_ratio=1"]
        self.fleet = Fleet(binary("eventrunner"), *[word for setting in settings for word in ("--set", setting)])
        self.addCleanup(self.fleet.stop)
        self.api = self.fleet.env["API"]
        self.answers: list[str] = []

    def call(self, method: str, path: str, token: str, body: object = None, form: dict | None = None) -> dict:
        """Asks the API; keeps the answer, to be searched, unless it is meant to hold a secret."""
        headers = {"Authorization": token} if token else {}
        data = None
        if form is not None:
            data = urllib.parse.urlencode(form).encode()
        elif body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/merge-patch+json" if method == "PATCH" else "application/json"
        request = urllib.request.Request(self.api + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as refused:
            text = refused.read().decode()
            self.answers.append(text)
        return json.loads(text or "null")

    def test_planted_secrets_are_nowhere(self) -> None:
        once = re.search(r"one-time password (\S+):", self.fleet.said()).group(1)
        first = self.call("POST", "/api/v1/login", "", {"username": "admin", "password": once})
        bearer = f"Bearer {first['access_token']}"
        self.call("PUT", "/api/v1/me/password", bearer, {"current_password": once, "new_password": PASSWORD})
        self.call("POST", "/api/v1/login", "", {"username": "admin", "password": WRONG})
        self.call("POST", "/api/v1/login", "", {"username": "nobody", "password": WRONG})
        session = self.call("POST", "/api/v1/login", "", {"username": "admin", "password": PASSWORD})
        renewed = self.call("POST", "/api/v1/sessions/refresh", "", {"refresh_token": session["refresh_token"]})
        admin = f"Bearer {renewed['access_token']}"

        tenant = "/api/v1/tenants/demo"
        key = self.call("POST", f"{tenant}/keys", admin, {"system": "demo", "scopes": ["read"]})["key"]
        grant = {"grant_type": "client_credentials", "client_id": key.split("_")[1], "client_secret": key}
        client = self.call("POST", "/oauth2/token", "", form=grant)["access_token"]
        self.call("GET", f"{tenant}/systems", f"Bearer {client}")
        basic = base64.b64encode(f"{grant['client_id']}:{key}".encode()).decode()
        self.call("POST", "/oauth2/token", f"Basic {basic}", form={"grant_type": "client_credentials"})
        self.call("GET", f"{tenant}/systems", f"Bearer {STRANGE}")
        self.call("GET", f"{tenant}/systems?access_token={STRANGE}", "")

        scheme = {"scheme": {"type": "github"}, "secrets": [WEBHOOK], "tolerance_seconds": 60}
        source = {"id": "hub", "system": "demo", "preset": "github", "verification": scheme}
        self.answers.append(json.dumps(self.call("POST", f"{tenant}/sources", admin, source)))
        self.call("POST", f"{tenant}/sources", admin, {**source, "id": "bad", "verification": {**scheme, "secrets": [WEBHOOK, 7]}})
        target = {"type": "webhook", "url": "https://x.example/hook", "secret_headers": {"authorization": HEADER}}
        action = {"id": "tell", "system": "demo", "target": target}
        self.answers.append(json.dumps(self.call("POST", f"{tenant}/actions", admin, action)))
        for what in ("sources", "actions", "keys", "audit?limit=1000"):
            self.answers.append(json.dumps(self.call("GET", f"{tenant}/{what}", admin)))
        self.answers.append(json.dumps(self.call("GET", "/api/v1/audit?limit=1000", admin)))
        with urllib.request.urlopen(self.metrics(), timeout=30) as metrics:
            self.answers.append(metrics.read().decode())

        secrets = {
            "the one-time password": once,
            "a password": PASSWORD,
            "a wrong password": WRONG,
            "a key": key[-24:],
            "a key nobody has": STRANGE,
            "a Basic header": basic,
            "a source's secret": WEBHOOK,
            "an action's header": HEADER,
            "the refresh token": session["refresh_token"][-24:],
            "the next refresh token": renewed["refresh_token"][-24:],
            "the key of the demo tenant": self.fleet.env["KEY"][-24:],
        }
        for name, token in (("first", bearer), ("renewed", admin), ("client's", client)):
            secrets[f"the signature of the {name} access token"] = token.rsplit(".", 1)[1]
        self.look(secrets, "audit")

    def metrics(self) -> str:
        return re.search(r"admin\s+(http://\S+)", self.fleet.said()).group(1) + "/metrics"

    def look(self, secrets: dict[str, str], known: str) -> None:
        """Looks for each secret in what was logged, answered, kept and told the collector; and for something known, so that it can find."""
        # What waits to be sent is sent at the end.
        self.fleet.process.send_signal(signal.SIGTERM)
        self.fleet.process.wait(60)
        collected = self.collector.lines.read_text()
        self.assertIn("/api/v1/login", {span.attributes.get("http.route") for span in self.collector.spans()})
        self.assertGreater(len(self.collector.logs()), 20)
        data = self.fleet.folder / "data"
        kept = {path.relative_to(data): path.read_bytes() for path in data.rglob("*") if path.is_file() and path.name not in KEPT}
        # The banner shows two to whoever started the fleet, once; it is no log line.
        logged = "\n".join(line for line in self.fleet.said().splitlines() if re.match(r"(\x1b\S+)?\d{4}-\d\d-\d\dT|\{", line))
        self.assertGreater(logged.count("\n"), 20)
        self.assertTrue(any(known.encode() in content for content in kept.values()))
        for name, secret in secrets.items():
            with self.subTest(name):
                self.assertGreater(len(secret), 11)
                self.assertNotIn(secret, logged)
                self.assertNotIn(secret, collected)
                self.assertFalse([answer for answer in self.answers if secret in answer])
                self.assertEqual([str(path) for path, content in kept.items() if secret.encode() in content], [])


if __name__ == "__main__":
    unittest.main()
