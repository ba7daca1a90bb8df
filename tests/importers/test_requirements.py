"""What must be installed to import a family, and the licences of what is."""

import dataclasses

import pytest
from command_line import fail

from metatomic_importers.requirements import check_requirements, installed_version, licence_text


@pytest.fixture
def distribution(monkeypatch, tmp_path):
    """Install a distribution of a version, with fields of metadata and files."""

    def make(version, about="", files=None):
        folder = tmp_path / f"fake_net-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: fake-net\nVersion: {version}\n{about}")
        for name, text in (files or {}).items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
        record = ["METADATA", "RECORD", *(files or {})]
        (folder / "RECORD").write_text("".join(f"{folder.name}/{name},,\n" for name in record))
        monkeypatch.syspath_prepend(str(tmp_path))

    return make


INSTALL = "in an environment of its own if it does not go with what is here"


@pytest.mark.parametrize(
    ("requirements", "version", "message"),
    [
        (("fake-net>=1.2,<2",), None, "fake-net>=1.2,<2 to import toy, got none installed; run `pip install "),
        (("fake-net>=1.2,<2",), "2.0", "expected fake-net>=1.2,<2 to import toy, got 2.0; run `pip install 'fake-n"),
        (("fake-net>=1.2,<2",), "1.2rc1", "expected fake-net>=1.2,<2 to import toy, got 1.2rc1; run"),
        (
            ("ase", "fake-net>1"),
            "1.0",
            f"fake-net>1 to import toy, got 1.0; run `pip install 'ase' 'fake-net>1'`, {INSTALL}",
        ),
    ],
)
def test_packages_that_are_missing_or_of_other_versions_are_named(
    requirements, version, message, toy, changed, checkpoint, distribution, tmp_path
):
    if version is not None:
        distribution(version)
    changed(requirements=requirements)
    output = tmp_path / "out.pt"
    assert message in fail("import", "toy", checkpoint, "-o", output)
    assert not output.exists()


@pytest.mark.parametrize("version", ["1.2", "1.9.3", "1.9.dev3+g12ab", "1.3rc1"])
def test_versions_in_the_range_are_taken(version, toy, distribution):
    distribution(version)
    assert installed_version("fake-net[extra]>=1.2") == version
    check_requirements(dataclasses.replace(toy.FAMILY, requirements=("fake-net>=1.2,<2",)))


@pytest.mark.parametrize(
    ("about", "files", "expected"),
    [
        (
            "License-Expression: MIT\n",
            {"licenses/LICENSE": "Copyright Ångström\n", "NOTICE.txt": "and others", "LICENCE.md": "too"},
            ["Copyright Ångström", "and others", "too"],
        ),
        ("License-Expression: MIT\nAuthor: A. Body\n", {"entry_points.txt": "x"}, ["MIT\nCopyright A. Body"]),
        ("License: BSD\nAuthor-email: A <a@b.org>\n", {}, ["BSD\nCopyright A <a@b.org>"]),
        (
            "Classifier: Topic :: Chemistry\nClassifier: License :: OSI Approved :: MIT License\n",
            {},
            ["MIT License\nCopyright its authors"],
        ),
        ("", {}, ["no licence in its metadata"]),
    ],
)
def test_licences_are_the_texts_or_what_metadata_say(about, files, expected, distribution):
    distribution("1.0", about, files)
    text = licence_text("fake-net>=0.5")
    assert text.startswith("fake-net 1.0\n\n")
    assert all(part in text for part in expected)
    assert "x\n" not in text
