"""The contract for each way in which core runs a model."""

from metatomic_core.testing import standard_tests
from metatomic_core.testing.pytest import ContractTests
from metatomic_core.testing.subjects import EngineSubject

# making machine code takes half a minute for each model file, so one file is asked
ONE_FILE = "compiling one more model takes half a minute; tests/core/test_kernels.py compares compiled code of others"
OTHER_FILES = (
    "atomic_virials_add_up",
    "virials_of_batch",
    "best_device",
    "device_that_is_not_there",
    "named_device",
    "single_precision",
    "single_precision_far_away",
    "energy_of_messages",
    "missing_inputs",
    "results_that_are_not_numbers",
    "direct_forces",
    "forces_of_messages",
    "gradient_by_default",
    "inputs_of_atoms",
    "inputs_of_batch",
    "inputs_of_structures",
    "inputs_that_change",
    "default_variant",
    "outputs_of_atoms",
    "outputs_of_batch",
    "outputs_of_structures",
    "variant_of_energy",
    "forces_of_this_step",
    "forces_of_selected_atoms",
    "direct_stress",
    "virial_of_messages",
    "virial_of_nine_components",
    "energy_in_other_units",
    "forces_in_other_units",
    "virial_in_other_units",
)


class CompiledOnce(EngineSubject):
    """Compiled code of one model."""

    left_out = dict.fromkeys(OTHER_FILES, ONE_FILE)


class TestScript(ContractTests):
    subject = EngineSubject("script")


class TestEager(ContractTests):
    subject = EngineSubject("eager")


class TestCompiled(ContractTests):
    subject = CompiledOnce("compiled")


def test_compiled_code_takes_most_tests():
    assert len(standard_tests()) - len(OTHER_FILES) > 30
