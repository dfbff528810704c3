"""Packages that only an extra brings: a sentence where one is missing."""

import sys

import pytest

from emseg_napari.core.extras import import_extra
from emseg_napari.core.jobs import UserError


def test_an_installed_module_is_imported():
    assert import_extra("json.decoder", "stores", "It") is sys.modules["json.decoder"]


@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.part"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(module):
    with pytest.raises(UserError) as caught:
        import_extra(module, "stores", "An N5 volume")
    assert str(caught.value) == (
        "An N5 volume needs the package no_such_package, which is not installed: run "
        'pip install "emseg-napari[stores]" in this environment.'
    )


def test_another_package_that_is_missing_inside_is_not_hidden(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import no_such_package\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match="no_such_package"):
        import_extra("broken_package", "stores", "It")
