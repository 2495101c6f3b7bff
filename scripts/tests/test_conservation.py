"""What was promised is kept, whatever is killed: the short form of `eventrunner-load kill`."""

import json
import subprocess
import tempfile
import unittest

from fleet import binary


class Conservation(unittest.TestCase):
    def test_a_kill_loses_and_doubles_nothing(self) -> None:
        with tempfile.TemporaryDirectory(prefix="eventrunner-load-") as folder:
            done = subprocess.run(
                [
                    *(binary("eventrunner-load"), "kill", "--bin", binary("eventrunner"), "--dir", folder),
                    *("--events", "6000", "--kills", "2", "--connections", "4"),
                ],
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        report = json.loads(done.stdout.splitlines()[-1])
        for what in ("lost", "doubled", "altered"):
            self.assertEqual(report[what], 0, done.stdout)
        self.assertEqual((report["events"], report["kills"]), (6000, 2))
        # The kills came in the middle: some requests were left without an answer.
        self.assertGreater(report["sent_again"], 0)


if __name__ == "__main__":
    unittest.main()
