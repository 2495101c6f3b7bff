"""The examples of the documentation, run against a fleet of their own.

A fenced block of shell under `<!-- run -->` is run and must succeed; under `<!-- run: soon -->` it is tried again until it
does, for what takes a moment to come true. A line `# prints: text` in it is what its output must hold, in this order; `…`
stands for anything.
"""

import re
import subprocess
import sys
import time
import unittest

from fleet import ROOT, Fleet, binary

BLOCK = re.compile(r"^<!-- run(: soon)? -->\n```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = ["docs/http-api.md", "docs/billing.md", "docs/backup.md", "docs/control-plane.md", "docs/apply.md", "docs/mcp.md", "docs/moving/eventrunner.md"]
SOON_SECONDS = 20


def missing(expected: list[str], output: str) -> str | None:
    """The first expectation that the output does not hold after those before it."""
    at = 0
    for text in expected:
        pattern = ".*?".join(re.escape(part) for part in text.split("…"))
        found = re.compile(pattern, re.DOTALL).search(output, at)
        if not found:
            return text
        at = found.end()
    return None


class Newcomer(unittest.TestCase):
    def test_the_printed_curl_comes_out_at_the_other_end(self) -> None:
        done = subprocess.run(
            [sys.executable, ROOT / "scripts/newcomer.py", "debug"], capture_output=True, text=True, check=False
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Documentation(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.fleet = Fleet(binary("eventrunner"))

    @classmethod
    def tearDownClass(cls) -> None:
        code = cls.fleet.stop()
        if code != 0:
            raise AssertionError(f"the fleet stopped with {code}")

    def test_examples_do_what_they_say(self) -> None:
        for page in PAGES:
            text = (ROOT / page).read_text()
            blocks = list(BLOCK.finditer(text))
            self.assertEqual(len(blocks), text.count("<!-- run"), f"{page}: a marked block is not a block of shell")
            for block in blocks:
                line = text[: block.start()].count("\n") + 1
                with self.subTest(page=page, line=line):
                    self.run_block(block[2], soon=bool(block[1]))

    def run_block(self, script: str, *, soon: bool) -> None:
        expected = re.findall(r"^# prints: (.*)$", script, re.MULTILINE)
        deadline = time.monotonic() + (SOON_SECONDS if soon else 0)
        while True:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script],
                cwd=self.fleet.folder,
                env=self.fleet.env,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            lacking = missing(expected, done.stdout)
            if done.returncode == 0 and lacking is None:
                return
            if time.monotonic() > deadline:
                what = f"lacks {lacking!r}" if done.returncode == 0 else f"exit code {done.returncode}"
                self.fail(f"{what}\n{script}\nprinted:\n{done.stdout}\n{done.stderr}")
            time.sleep(0.1)


if __name__ == "__main__":
    unittest.main()
