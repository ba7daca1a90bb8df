"""The section of i-PI in ``metatomic doctor``."""

from importlib.metadata import version

import pytest
from doctor_cases import by_name, saved_trial

from metatomic_core.adapters.diagnoses import Trial
from metatomic_ipi import _doctor

STEP = f"a step of i-PI {version('ipi')}"


def test_client_and_ipi_that_work_are_ok(tmp_path):
    found = by_name(_doctor.DIAGNOSIS.findings(saved_trial(tmp_path)))
    assert {name: finding.status for name, finding in found.items()} == {"client": "ok", STEP: "ok"}, found


def test_wrong_numbers_are_problems(tmp_path):
    found = by_name(_doctor.DIAGNOSIS.findings(saved_trial(tmp_path, epsilon=0.0104)))
    assert {name: finding.status for name, finding in found.items()} == {"client": "problem", STEP: "problem"}
    assert all(finding.value.startswith("wrong energy") for finding in found.values())


def test_client_that_does_not_keep_to_the_protocol_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr("metatomic_ipi.client.Client._status", lambda self: self._connection.send([b"WHATEVER    "]))
    with pytest.raises(RuntimeError, match="expected NEEDINIT from the client, got b'WHATEVER"):
        list(_doctor.client(saved_trial(tmp_path)))


def test_client_that_fails_is_a_problem(tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("no energy today")

    monkeypatch.setattr("metatomic_ipi.evaluation.Evaluator.__call__", broken)
    with pytest.raises(RuntimeError, match="no energy today"):
        list(_doctor.client(saved_trial(tmp_path)))


def test_ipi_that_fails_is_a_problem(tmp_path, monkeypatch):
    script = tmp_path / "i-pi"
    script.write_text("raise SystemExit('no i-PI today')")
    monkeypatch.setattr("metatomic_ipi.runner.find_ipi", lambda: str(script))
    (finding,) = _doctor.step(saved_trial(tmp_path))
    assert finding.status == "problem"
    assert finding.value == "ended with status 1: no i-PI today"


def test_ipi_that_is_missing_is_a_problem(tmp_path, monkeypatch):
    def none():
        raise RuntimeError("expected the command i-pi, got none; run `pip install ipi`")

    monkeypatch.setattr("metatomic_ipi.runner.find_ipi", none)
    found = by_name(_doctor.DIAGNOSIS.findings(saved_trial(tmp_path)))
    assert found["client"].status == "ok"
    assert found["step"].status == "problem"


def test_without_a_model_nothing_is_tried(tmp_path):
    found = list(_doctor.DIAGNOSIS.findings(Trial(tmp_path)))
    assert [finding.value.partition(":")[0] for finding in found] == ["not tried", "not tried"]
