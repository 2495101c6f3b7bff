"""The catalog at some size, and how soon its changes take effect: the short forms of what `make numbers` runs."""

import json
import subprocess
import tempfile
import unittest

from fleet import binary


def reported(scenario: str, *options: str) -> dict:
    """Runs a scenario, whose claims must hold, and gives its last line."""
    with tempfile.TemporaryDirectory(prefix="eventrunner-load-") as folder:
        done = subprocess.run(
            [binary("eventrunner-load"), scenario, "--bin", binary("eventrunner"), "--dir", folder, *options],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["scenario"] == scenario
    return report


class Catalog(unittest.TestCase):
    def test_many_entries_are_written_read_and_listed(self) -> None:
        size = ("--tenants", "200", "--subscriptions", "1000", "--keys", "500", "--lists", "60", "--list-ms-max", "500")
        size += ("--paths", "1", "--events", "5000")
        report = reported("catalog", *size)
        self.assertEqual(report["entries"], 3 * 200 + 1000 + 500)
        self.assertGreater(report["list_ms_p99"], 0)
        self.assertGreater(report["ratio"], 0)

    def test_changes_take_effect_within_a_second(self) -> None:
        report = reported("changes", "--changes", "56")
        self.assertEqual(report["changes"], 56)
        self.assertEqual([of["changes"] for of in report["sorts"]], [8] * 7)


if __name__ == "__main__":
    unittest.main()
