"""A fleet of a test's own: `eventrunner up` in an empty folder, on free ports."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
START_SECONDS = 120
STOP_SECONDS = 60


def binary(name: str, profile: str = "debug") -> Path:
    """A binary of the tree, as cargo has built it."""
    path = TARGET / profile / name
    if not path.is_file():
        raise AssertionError(f"there is no {path}: cargo build --workspace --bins")
    return path.resolve()


def free_ports(count: int) -> int:
    """The first of a row of free ports."""
    for first in range(30_000 + os.getpid() % 100 * 20, 32_700, 20):
        sockets = [socket.socket() for _ in range(count)]
        try:
            for offset, each in enumerate(sockets):
                each.bind(("127.0.0.1", first + offset))
            return first
        except OSError:
            continue
        finally:
            for each in sockets:
                each.close()
    raise AssertionError("no free ports in a row")


class Fleet:
    """Starts, and waits until it is ready."""

    def __init__(self, program: Path, *arguments: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="eventrunner-fleet-"))
        self.log = self.folder / "log"
        command = [str(program), "up", "--data-dir", str(self.folder / "data"), "--port-base", str(free_ports(6)), *arguments]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise
        context = tomllib.loads((self.folder / "data" / "context.toml").read_text())
        (self.folder / "bin").mkdir()
        (self.folder / "bin" / "eventrunner").symlink_to(program)
        # What an example needs, and nothing of whoever runs the tests.
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("EVENTRUNNER_")},
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "EVENTRUNNER_DATA_DIR": str(self.folder / "data"),
            "EXAMPLES": str(ROOT / "examples"),
            "URL": context["url"],
            "API": context["api_url"],
            "KEY": context["key"],
        }

    def said(self) -> str:
        return self.log.read_text()

    def wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while "Ctrl-C" not in self.said():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the fleet does not start:\n{self.said()}")
            time.sleep(0.02)

    def stop(self) -> int:
        """Drains it, and gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
