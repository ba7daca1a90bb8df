"""The section of importers in ``metatomic doctor``."""

import dataclasses

from doctor_cases import by_name

from metatomic_core.adapters import Plugin
from metatomic_core.adapters.diagnoses import Trial
from metatomic_importers import registry
from metatomic_importers._doctor import DIAGNOSIS
from metatomic_importers.family import Family

TOY = Family(
    name="toy",
    description="toys",
    requirements=("click>=1",),
    read=lambda request: None,
    recognises=lambda contents: False,
)


def findings(monkeypatch, tmp_path, *families):
    """Give the findings where these are the families; an error stands for one that does not load."""
    known = {getattr(family, "name", "broken"): family for family in families}
    monkeypatch.setattr(registry, "families", lambda: {name: Plugin(name, "toys", None) for name in known})

    def family(name):
        if isinstance(known[name], Exception):
            raise known[name]
        return known[name]

    monkeypatch.setattr(registry, "family", family)
    return by_name(DIAGNOSIS.findings(Trial(tmp_path)))


def test_families_are_told_apart_by_their_packages(monkeypatch, tmp_path):
    missing = dataclasses.replace(TOY, name="far", requirements=("no-such-package>=1",))
    found = findings(monkeypatch, tmp_path, TOY, missing)
    assert {finding.status for finding in found.values()} == {"ok"}
    assert found["can be imported"].value.startswith("toy (")
    assert found["without their packages"].value == "far"


def test_package_in_a_version_that_was_not_tried_is_a_warning(monkeypatch, tmp_path):
    found = findings(monkeypatch, tmp_path, dataclasses.replace(TOY, requirements=("click>=999",)))
    assert found["toy"].status == "warning"
    assert "expected click>=999 to import toy" in found["toy"].value
    assert "pip install 'click>=999'" in found["toy"].advice
    assert found["can be imported"].value == "none"


def test_family_that_does_not_load_is_a_problem_and_keeps_the_rest(monkeypatch, tmp_path):
    found = findings(monkeypatch, tmp_path, TOY, ValueError("expected a module, got none; upgrade or remove toys"))
    assert found["broken"].status == "problem"
    assert found["broken"].advice == "upgrade or remove toys"
    assert found["can be imported"].value.startswith("toy (")
