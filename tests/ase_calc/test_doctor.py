"""The section of ASE in ``metatomic doctor``."""

import ase
import pytest
from doctor_cases import by_name, saved_trial

from metatomic_ase._doctor import DIAGNOSIS
from metatomic_core.adapters.diagnoses import Trial


def test_calculator_that_works_is_ok(tmp_path):
    (finding,) = DIAGNOSIS.findings(saved_trial(tmp_path))
    assert finding.status == "ok", finding
    assert finding.name == f"calculator in ASE {ase.__version__}"


@pytest.mark.parametrize("parameters", [{"epsilon": 0.0104}, {"sigma": 3.4}])
def test_wrong_numbers_are_a_problem(parameters, tmp_path):
    (finding,) = DIAGNOSIS.findings(saved_trial(tmp_path, **parameters))
    assert finding.status == "problem"
    assert finding.value.startswith("wrong energy")


def test_broken_calculator_is_a_problem(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no neighbor lists today")

    monkeypatch.setattr("metatomic_ase.calculator.MetatomicCalculator.calculate", broken)
    found = by_name(DIAGNOSIS.findings(saved_trial(tmp_path)))
    assert found["calculator"].status == "problem"
    assert "no neighbor lists today" in found["calculator"].value


def test_without_a_model_nothing_is_tried(tmp_path):
    (finding,) = DIAGNOSIS.findings(Trial(tmp_path))
    assert finding.status == "warning"
    assert finding.value.startswith("not tried")
