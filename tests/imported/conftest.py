"""Each test that takes a model runs for each file that the sessions `importers` left."""

from imported_files import FILES


def pytest_generate_tests(metafunc):
    if "model" in metafunc.fixturenames:
        metafunc.parametrize("model", FILES, ids=[f"{path.parent.name}-{path.stem}" for path in FILES], scope="module")
