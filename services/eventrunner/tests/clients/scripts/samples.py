"""Writes the sample events of the CloudEvents conformance module as a JSON array, in the order of the files.

    samples.py FOLDER
"""

import json
import sys
from pathlib import Path

import yaml

folder = Path(sys.argv[1])
samples = []
for path in sorted(folder.rglob("*.yaml")):
    # Every scalar a string, as the module itself reads them: a time stays as it is written.
    for event in yaml.load_all(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader):
        samples.append(event)
json.dump(samples, sys.stdout)
