"""Keys of the window: whose action they do."""

from napari.components import ViewerModel
from qtpy.QtWidgets import QWidget

from emseg_napari.widgets.base.keys import bind


def test_a_key_is_of_the_last_who_asked_and_then_again_of_the_one_before(qtbot):
    viewer, pressed = ViewerModel(), []
    viewer.bind_key("C", lambda _: pressed.append("user"))
    first, second = QWidget(), QWidget()
    for owner, name in ((first, "first"), (second, "second"), (first, "first again")):
        bind(viewer, owner, {"C": lambda name=name: pressed.append(name)})

    def press():
        ((_, action),) = viewer.keymap.items()
        action(viewer)

    def end(owner):
        with qtbot.waitSignal(owner.destroyed):
            owner.deleteLater()

    press()
    end(first)
    press()
    end(second)
    press()
    assert pressed == ["first again", "second", "user"]


def test_a_key_that_somebody_else_has_taken_meanwhile_stays_theirs(qtbot):
    viewer, pressed = ViewerModel(), []
    owner = QWidget()
    bind(viewer, owner, {"C": lambda: pressed.append("plugin")})
    viewer.bind_key("C", lambda _: pressed.append("user"), overwrite=True)
    with qtbot.waitSignal(owner.destroyed):
        owner.deleteLater()
    ((_, action),) = viewer.keymap.items()
    action(viewer)
    assert pressed == ["user"]
