"""All readers that are fuzzed, by name."""

from typing import Dict

from .commands import COMMAND_TARGETS
from .foreign_files import FILE_TARGETS
from .harness import Target
from .ipi import IPI_TARGETS
from .lammps_lines import LAMMPS_TARGETS
from .texts import TEXT_TARGETS

TARGETS: Dict[str, Target] = {
    target.name: target for target in [*FILE_TARGETS, *TEXT_TARGETS, *IPI_TARGETS, *COMMAND_TARGETS, *LAMMPS_TARGETS]
}
