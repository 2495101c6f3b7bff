"""The API does what its document says; `make contract` asks for longer."""

import json
import subprocess
import sys
import unittest

from fleet import ROOT


class Contract(unittest.TestCase):
    def test_the_edges_of_every_operation(self) -> None:
        phases = ["--phases", "examples,coverage", "--no-shrink"]
        done = subprocess.run(
            [sys.executable, ROOT / "scripts/contract/run.py", "debug", "1", *phases],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout[-20_000:] + done.stderr)
        self.assertGreater(json.loads(done.stdout.splitlines()[-1])["requests"], 5_000)
