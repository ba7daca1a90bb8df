"""What ``metatomic doctor`` looks at for importers: which families can be imported here."""

from collections.abc import Iterator

from metatomic_core.adapters.diagnoses import PROBLEM, WARNING, Diagnosis, Finding, Trial


def importable_families(_: Trial) -> Iterator[Finding]:
    """Name the families whose packages are here, those that are not, and those in versions that were not tried."""
    from .registry import families, family
    from .requirements import check_requirements, installed_version

    here, elsewhere = [], []
    for name in sorted(families()):
        try:
            found = family(name)
        except ValueError as error:
            text, _separator, advice = str(error).partition("; ")
            yield Finding(name, text, PROBLEM, advice)
            continue
        versions = {text: installed_version(text) for text in found.requirements}
        if None in versions.values():
            # nothing is wrong: who has no checkpoints of it needs none of it
            elsewhere.append(name)
            continue
        try:
            check_requirements(found)
        except ValueError as error:
            text, _separator, advice = str(error).partition("; ")
            yield Finding(name, text, WARNING, advice)
        else:
            here.append(f"{name} ({', '.join(str(version) for version in versions.values())})")
    yield Finding("can be imported", ", ".join(here) or "none")
    yield Finding("without their packages", ", ".join(elsewhere) or "none")


DIAGNOSIS = Diagnosis("Importers", (importable_families,))
