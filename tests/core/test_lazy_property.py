"""What a lazy property keeps, and who waits for it."""

from threading import Barrier, Event, Thread

from emseg_napari.core.lazy_property import lazy_property
from helpers.timing import PATIENCE_S


class Slow:
    """Has a value that comes when it may."""

    def __init__(self, may_come):
        self.may_come, self.begun, self.computed = may_come, Event(), 0

    @lazy_property
    def value(self):
        """What comes."""
        self.begun.set()
        self.may_come.wait(PATIENCE_S)
        self.computed += 1
        return self.computed


def free():
    event = Event()
    event.set()
    return event


def test_an_object_does_not_wait_for_the_value_of_another_one():
    stalled, quick = Slow(Event()), Slow(free())
    thread = Thread(target=lambda: stalled.value)
    thread.start()
    assert stalled.begun.wait(PATIENCE_S)
    assert quick.value == 1
    assert stalled.computed == 0
    stalled.may_come.set()
    thread.join()
    assert stalled.value == 1


def test_threads_that_want_the_same_value_have_it_computed_once():
    slow, together, found = Slow(Event()), Barrier(5), []

    def want():
        together.wait()
        found.append(slow.value)

    threads = [Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    together.wait()
    slow.may_come.set()
    for thread in threads:
        thread.join()
    assert found == [1] * 4


def test_nothing_but_the_value_is_kept_in_the_object():
    slow = Slow(free())
    assert slow.value == 1
    assert set(slow.__dict__) == {"may_come", "begun", "computed", "value"}
    assert Slow.value.__doc__ == "What comes."
