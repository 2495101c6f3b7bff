"""The tree says of itself what is so."""

import json
import re
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> list[Path]:
    """Files of the repository, or of the unpacked archive where there is no git."""
    listed = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True, check=False)
    names = [name for name in listed.stdout.split("\0") if name]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="ignore")


class Sizing(unittest.TestCase):
    """docs/sizing.md."""

    def test_its_tables_are_what_the_model_makes_of_what_was_measured(self) -> None:
        made = subprocess.run([ROOT / "scripts/sizing.py", "--check"], capture_output=True, text=True, check=False)
        self.assertEqual(made.returncode, 0, made.stderr)


class Rooms(unittest.TestCase):
    """The rooms table of docs/architecture.md."""

    @classmethod
    def setUpClass(cls) -> None:
        section = text_of(ROOT / "docs/architecture.md").split("\n## The rooms\n")[1].split("\n## ")[0]
        rows = re.findall(r"^\| `([^`]+)` \| .+ \| ([^|]+) \|$", section, re.MULTILINE)
        cls.may_use = {folder: may_use.strip() for folder, may_use in rows}
        metadata = json.loads(
            subprocess.run(
                ["cargo", "metadata", "--format-version=1", "--no-deps", "--locked"],
                cwd=ROOT,
                capture_output=True,
                check=True,
            ).stdout
        )
        cls.uses = {}
        for package in metadata["packages"]:
            folder = str(Path(package["manifest_path"]).parent.relative_to(ROOT))
            used = {
                str(Path(d["path"]).relative_to(ROOT))
                for d in package["dependencies"]
                if d.get("path") and d["kind"] != "dev"
            }
            cls.uses[folder] = used

    def test_each_crate_is_named_and_no_other(self) -> None:
        self.assertEqual(sorted(self.may_use), sorted(self.uses))

    def test_each_crate_uses_what_it_may(self) -> None:
        above: list[str] = []
        for folder, words in self.may_use.items():
            if words == "nothing here":
                allowed = set()
            elif words == "all above":
                allowed = set(above)
            elif words == "crates":
                allowed = {f for f in self.uses if f.startswith("crates/")}
            elif words == "services, crates":
                allowed = set(self.uses)
            else:
                allowed = {f"crates/{name.strip()}" for name in words.split(",")}
                self.assertLessEqual(allowed, set(self.uses), f"{folder}: {words}")
            self.assertLessEqual(self.uses[folder], allowed, folder)
            above.append(folder)


class Documents(unittest.TestCase):
    def test_links_lead_somewhere(self) -> None:
        for page in tracked("*.md"):
            prose = re.sub(r"^```.*?^```", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
            for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose):
                if not re.match(r"[a-z]+:", link):
                    self.assertTrue((page.parent / link).exists(), f"{page.relative_to(ROOT)} links to {link}")

    def test_each_decision_is_listed(self) -> None:
        index = text_of(ROOT / "docs/adr/README.md")
        for page in (ROOT / "docs/adr").glob("[0-9]*.md"):
            self.assertIn(f"({page.name})", index)

    def test_each_claim_has_a_command_and_a_figure(self) -> None:
        rows = [line for line in text_of(ROOT / "docs/numbers.md").splitlines() if line.startswith("| ")]
        claims = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows[1:]]
        self.assertGreater(len(claims), 5)
        for claim, command, figure in claims:
            self.assertRegex(command, r"^`.+`$", claim)
            self.assertRegex(figure, r"\d", claim)


class Hygiene(unittest.TestCase):
    """Nothing of one machine, one network or one person."""

    WRONG = {
        "a path of one machine": re.compile(r"(?<![\w.$~}-])/(?:root|home/\w+|Users/\w+)/[\w.]"),
        "the host of a package registry": re.compile(
            r"\b(?:pypi\.org|pythonhosted\.org|registry\.npmjs\.org|(?:static|index)\.crates\.io|proxy\.golang\.org|artifactory)\b"
        ),
        "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"),
    }

    def test_no_traces(self) -> None:
        for path in tracked():
            if path == Path(__file__).resolve() or path.suffix in {".lock", ".sum"}:
                continue
            content = text_of(path)
            for what, pattern in self.WRONG.items():
                found = pattern.search(content)
                self.assertIsNone(found, f"{path.relative_to(ROOT)} holds {what}: {found and found[0]}")

    def test_no_binaries(self) -> None:
        for path in tracked():
            self.assertNotIn(b"\0", path.read_bytes()[:8000], f"{path.relative_to(ROOT)} is binary")


if __name__ == "__main__":
    unittest.main()
