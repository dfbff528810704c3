"""Processes that this one starts find its modules, and start others as the user would."""

import os
import subprocess
import sys

import pytest

from emseg_napari.core import child

STARTED = """
import os
from emseg_napari.core import child
child.restore_environment()
child.restore_environment()
print({name: value for name, value in os.environ.items() if "PYTHONPATH" in name})
"""


@pytest.mark.parametrize("before", [{}, {"PYTHONPATH": "of the user"}])
def test_what_such_a_process_starts_has_the_former_environment(monkeypatch, before):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    environment = os.environ | child.module_path()
    done = subprocess.run([sys.executable, "-c", STARTED], env=environment, capture_output=True, text=True)
    assert done.stdout == f"{before}\n"
