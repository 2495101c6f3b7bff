"""A control plane of Kubernetes of a test's own, on loopback: etcd, API server, controllers, scheduler, and KWOK, whose nodes only say that
their pods run. Everything that the API server and the controllers decide is real; no container runs.
"""

import atexit
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eventrunner"
BIN = CACHE / "k8s/bin"
HERE = Path(__file__).resolve().parent
START_SECONDS = 120

NODE = """
apiVersion: v1
kind: Node
metadata:
  name: {name}
  annotations: {{kwok.x-k8s.io/node: fake}}
  labels: {{kubernetes.io/hostname: {name}, kubernetes.io/os: linux, topology.kubernetes.io/zone: {zone}}}
status:
  allocatable: {{cpu: "32", memory: 256Gi, pods: "110"}}
  capacity: {{cpu: "32", memory: 256Gi, pods: "110"}}
"""
STORAGE = """
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: kwok-volume
  annotations: {storageclass.kubernetes.io/is-default-class: "true"}
provisioner: kwok.x-k8s.io/volume
"""


def free_port() -> int:
    with socket.socket() as each:
        each.bind(("127.0.0.1", 0))
        return each.getsockname()[1]


class Cluster:
    """Starts, and waits until its nodes are ready."""

    def __init__(self, nodes: int = 3) -> None:
        if not (BIN / "kubectl").is_file():
            sys.exit("there is no control plane: scripts/tools.sh k8s")
        self.folder = Path(tempfile.mkdtemp(prefix="eventrunner-k8s-"))
        self.kubeconfig = self.folder / "kubeconfig"
        self.processes: list[subprocess.Popen] = []
        # Helm keeps what it has seen of the API; not in whoever's home.
        self.env = {**os.environ, "PATH": f"{BIN}:{CACHE / 'bin'}:{os.environ['PATH']}", "KUBECONFIG": str(self.kubeconfig)}
        self.env |= {f"HELM_{name}_HOME": str(self.folder / "helm") for name in ("CACHE", "CONFIG", "DATA")}
        # Also when a test is interrupted.
        atexit.register(self.stop)
        try:
            self.start()
            self.make_nodes(nodes)
        except BaseException:
            self.stop()
            raise

    def run(self, *words: str | Path, check: bool = True, stdin: str | None = None, timeout: float = 300) -> subprocess.CompletedProcess:
        done = subprocess.run([str(w) for w in words], env=self.env, input=stdin, capture_output=True, text=True, check=False, timeout=timeout)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, words))}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def kubectl(self, *words: str, **options) -> str:
        return self.run("kubectl", *words, **options).stdout

    def keys(self) -> Path:
        """Keys and certificates that nobody needs tomorrow."""
        pki = self.folder / "pki"
        pki.mkdir()
        openssl = lambda *words: self.run("openssl", *words)  # noqa: E731
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test-ca", "-keyout", pki / "ca.key", "-out", pki / "ca.crt")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=kube-apiserver", "-keyout", pki / "api.key", "-out", pki / "api.csr")
        (pki / "names").write_text("subjectAltName=IP:127.0.0.1,IP:10.0.0.1,DNS:localhost,DNS:kubernetes.default.svc")
        signed_by = ("-CA", pki / "ca.crt", "-CAkey", pki / "ca.key", "-CAcreateserial", "-days", "2")
        openssl("x509", "-req", "-in", pki / "api.csr", *signed_by, "-out", pki / "api.crt", "-extfile", pki / "names")
        openssl("genrsa", "-out", pki / "sa.key", "2048")
        openssl("rsa", "-in", pki / "sa.key", "-pubout", "-out", pki / "sa.pub")
        self.token = secrets.token_hex(16)
        (pki / "tokens.csv").write_text(f"{self.token},admin,admin,system:masters\n")
        return pki

    def spawn(self, program: str, *options: str) -> None:
        with (self.folder / f"{program}.log").open("w") as log:
            self.processes.append(subprocess.Popen([str(BIN / program), *options], stdout=log, stderr=log, cwd=self.folder))

    def start(self) -> None:
        pki = self.keys()
        etcd, peer, self.port = free_port(), free_port(), free_port()
        self.spawn("etcd", "--data-dir", str(self.folder / "etcd"), "--unsafe-no-fsync", "--log-level", "warn",
            f"--listen-client-urls=http://127.0.0.1:{etcd}", f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}", f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}")  # fmt: skip
        self.spawn("kube-apiserver", f"--etcd-servers=http://127.0.0.1:{etcd}", "--bind-address=127.0.0.1", f"--secure-port={self.port}",
            "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none", f"--tls-cert-file={pki / 'api.crt'}",
            f"--tls-private-key-file={pki / 'api.key'}", f"--client-ca-file={pki / 'ca.crt'}", f"--cert-dir={pki}",
            "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={pki / 'sa.pub'}",
            f"--service-account-signing-key-file={pki / 'sa.key'}", "--service-cluster-ip-range=10.0.0.0/16",
            "--authorization-mode=RBAC", f"--token-auth-file={pki / 'tokens.csv'}")  # fmt: skip
        configure = lambda *words: self.kubectl("config", *words)  # noqa: E731
        configure("set-cluster", "c", f"--server=https://127.0.0.1:{self.port}", f"--certificate-authority={pki / 'ca.crt'}", "--embed-certs")
        configure("set-credentials", "admin", f"--token={self.token}")
        configure("set-context", "c", "--cluster=c", "--user=admin")
        configure("use-context", "c")
        self.wait_for(lambda: self.run("kubectl", "get", "--raw", "/readyz", check=False).returncode == 0, "the API server", START_SECONDS)
        common = (f"--kubeconfig={self.kubeconfig}", "--bind-address=127.0.0.1", "--leader-elect=false")
        self.spawn("kube-controller-manager", *common, f"--secure-port={free_port()}", f"--service-account-private-key-file={pki / 'sa.key'}",
            f"--root-ca-file={pki / 'ca.crt'}", f"--cert-dir={pki / 'kcm'}", "--node-monitor-grace-period=1h", "--kube-api-qps=200", "--kube-api-burst=400")  # fmt: skip
        self.spawn("kube-scheduler", *common, f"--secure-port={free_port()}", f"--cert-dir={pki / 'sched'}")
        stages = self.folder / "stages.yaml"
        stages.write_text((BIN / "stages.yaml").read_text() + (HERE / "stages.yaml").read_text())
        self.spawn("kwok", f"--config={stages}", f"--kubeconfig={self.kubeconfig}", "--manage-all-nodes=true", f"--server-address=127.0.0.1:{free_port()}",
            "--node-ip=127.0.0.1", "--cidr=10.1.0.0/16")  # fmt: skip

    def make_nodes(self, nodes: int) -> None:
        made = "---".join(NODE.format(name=f"node-{n}", zone=f"zone-{n % 3}") for n in range(nodes))
        self.kubectl("apply", "--filename", "-", stdin=f"{made}---{STORAGE}")
        self.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=60s")

    def wait_for(self, condition, what: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            gone = [p.args[0] for p in self.processes if p.poll() is not None]
            assert not gone, f"{gone} ended; see {self.folder}"
            assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
            time.sleep(0.2)

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
