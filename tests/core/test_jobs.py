"""What a job and its caller tell each other when neither says anything special."""

import pytest

from emseg_napari.core.jobs import Cancelled, Failed, JobContext, JobControl, Message, UserError


def test_a_context_of_nothing_lets_a_job_run():
    context = JobContext()
    context.check_stop()
    context.report(Message("nobody hears it"))
    assert context.control() == JobControl(z=None, paused=False, enough=False)
    assert context.inbox is not JobContext().inbox


def test_a_job_that_has_to_stop_is_cancelled():
    with pytest.raises(Cancelled):
        JobContext(should_stop=lambda: True).check_stop()


def test_another_receiver_of_events_changes_nothing_else():
    first, second = [], []
    context = JobContext(first.append, should_stop=lambda: True, control=lambda: JobControl(z=3))
    other = context.reporting_to(second.append)
    other.report(Message("heard once"))
    assert (first, second) == ([], [Message("heard once")])
    assert other.inbox is context.inbox
    assert other.began == context.began
    assert other.should_stop()
    assert other.control().z == 3


def test_an_error_of_the_user_is_its_sentence_and_the_settings_that_it_names():
    error = UserError("Choose another size.", ("size_px",))
    assert (str(error), error.settings) == ("Choose another size.", ("size_px",))
    assert UserError("Choose.").settings == ()
    assert Failed("Choose.") == Failed("Choose.", cancelled=False, details="", settings=())
