"""The process in which one part is looked at: each finding is written as soon as it is there, a line of JSON."""

import dataclasses
import json
import sys
import warnings
from pathlib import Path

from metatomic_core.adapters.diagnoses import Trial

from .parts import diagnoses_of


def main(arguments: str) -> None:
    """Look at one part, in a fresh process.

    Parameters
    ----------
    arguments
        JSON: ``name`` and ``package`` of the part, ``folder``, ``model`` and ``build`` of the trial, and the file
        ``findings`` to write.
    """
    given = json.loads(arguments)
    warnings.simplefilter("ignore")
    model = Path(given["model"]) if given["model"] else None
    folder = Path(given["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    trial = Trial(folder, model, given["build"])
    with open(given["findings"], "a", encoding="utf-8") as output:

        def write(**row: object) -> None:
            output.write(json.dumps(row) + "\n")
            output.flush()

        for diagnosis in diagnoses_of(given["name"], given["package"]):
            write(section=diagnosis.title)
            for finding in diagnosis.findings(trial):
                write(finding=dataclasses.asdict(finding))
        write(done=True)
    sys.stdout.flush()
