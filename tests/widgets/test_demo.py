"""The demo by itself: what a step did not do ends it with that step's sentence."""

from types import SimpleNamespace

import pytest
from qtpy.QtWidgets import QLabel

from emseg_napari.core.jobs import UserError
from emseg_napari.widgets.demo import ScriptedDemo


def test_a_step_that_did_not_do_its_work_ends_the_demo_with_its_sentence(qtbot):
    step = SimpleNamespace(status=QLabel("Nothing was exported."))
    qtbot.addWidget(step.status)
    ScriptedDemo._demand(True, step)
    with pytest.raises(UserError, match=r"^Nothing was exported\.$"):
        ScriptedDemo._demand(False, step)
