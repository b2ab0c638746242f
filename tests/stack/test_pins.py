"""The lists of Python packages agree with what they were made from."""

import re
import unittest

from stack.settings import ROOT


class Pins(unittest.TestCase):
    def test_each_list_has_every_chosen_version_and_only_hashed_packages(self) -> None:
        chosen = [*ROOT.glob("tests/stack/requirements-*.in"), ROOT / "tests/bench/baseline/requirements.in"]
        for source in chosen:
            listed = re.split(r"\n(?=\S)", source.with_suffix(".txt").read_text())
            packages = {entry.split()[0]: entry for entry in listed if not entry.startswith("#")}
            lines = (line for line in source.read_text().splitlines() if not line.startswith("#"))
            missing = {re.sub(r"\[.*\]", "", line).lower() for line in lines} - packages.keys()
            unhashed = [package for package, entry in packages.items() if "--hash=sha256:" not in entry]
            self.assertFalse(missing or unhashed, f"{source.name}: run `make pins`: {missing}, {unhashed}")
