"""What was promised is kept, whatever is done to the fleet: the short forms of what `make proof` runs."""

import json
import subprocess
import tempfile
import unittest

from fleet import binary

# Connections and events a second that a debug build keeps up with on two cores.
LOAD = ("--rate", "3000", "--connections", "9")


def judged(scenario: str, *options: str) -> dict:
    """Runs a scenario, which must hold, and gives its last line."""
    with tempfile.TemporaryDirectory(prefix="eventrunner-load-") as folder:
        done = subprocess.run(
            [binary("eventrunner-load"), scenario, "--bin", binary("eventrunner"), "--dir", folder, *LOAD, *options],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    report = json.loads(done.stdout.splitlines()[-1])
    for what in ("lost", "doubled", "altered", "stream_doubled_unexplained", "out_of_order_unexplained"):
        assert report[what] == 0, done.stdout
    assert report["scenario"] == scenario
    return report


class Conservation(unittest.TestCase):
    def test_kills_lose_and_double_nothing(self) -> None:
        report = judged("chaos", "--events", "12000", "--kills", "4", "--seed", "7")
        self.assertEqual((report["events"], report["kills"]), (12_000, 4))
        # The kills came in the middle: some requests were left without an answer, or found nobody.
        self.assertGreater(report["sent_again"] + report["unsent"], 0)

    def test_an_outage_of_the_broker_is_said_and_waited_out(self) -> None:
        report = judged("outage", "--seconds", "4")
        self.assertEqual(report["failed"], 0)
        self.assertGreater(report["refused"], 0)

    def test_a_restart_fails_no_request(self) -> None:
        report = judged("restart", "--events", "9000", "--rounds", "2")
        self.assertEqual((report["failed"], report["late"], report["restarts"]), (0, 0, 2))

    def test_keys_keep_their_order(self) -> None:
        report = judged("order", "--events", "9000", "--faults", "3", "--seed", "7")
        self.assertEqual((report["kills"], report["pauses"]), (1, 2))


if __name__ == "__main__":
    unittest.main()
