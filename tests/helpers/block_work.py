"""Work on blocks that costs nothing; in a module of its own, since workers import it."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from emseg_napari.core.jobs import BlockDone, Cancelled, Event, ShouldStop


@dataclass(frozen=True)
class Cube:
    index: tuple[int, int, int]

    @property
    def window(self) -> tuple[slice, slice, slice]:
        z, y, x = (slice(100 * i, 100 * i + 100) for i in self.index)
        return z, y, x


@dataclass(frozen=True)
class Writing:
    """Writes a file per block, and notes who did it; `troubles` says which blocks fail, and with what."""

    folder: Path
    seconds: float = 0.0
    troubles: Sequence[tuple[int, str, Exception]] = ()

    @property
    def paths(self) -> list[Path]:
        return [self.folder]

    def read(self, block: Cube) -> int:
        self._meet_trouble(block, "read")
        return block.index[0]

    def compute(self, block: Cube, given: int, should_stop: ShouldStop) -> str:
        self._meet_trouble(block, "compute")
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            if should_stop():
                raise Cancelled
            time.sleep(0.01)
        return f"block {given}"

    def write(self, block: Cube, result: str) -> str:
        self._meet_trouble(block, "write")
        (self.folder / str(block.index[0])).write_text(result)
        return result

    def _meet_trouble(self, block: Cube, step: str) -> None:
        for number, where, error in self.troubles:
            if (number, where) == (block.index[0], step):
                raise error


class Deadly(Writing):
    """Block 3 ends the process that computes it."""

    def compute(self, block: Cube, given: int, should_stop: ShouldStop) -> str:
        if block.index[0] == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().compute(block, given, should_stop)


def cubes(count: int) -> list[Cube]:
    return [Cube((number, 0, 0)) for number in range(count)]


def written(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.iterdir())


def done(events: list[Event]) -> list[int]:
    return [event.block.index[0] for event in events if isinstance(event, BlockDone)]


def after(count: int, events: list[Event], action: Callable[[], object]) -> Callable[[Event], None]:
    """Give a report that collects events, and acts once when so many blocks are done."""

    def report(event: Event) -> None:
        events.append(event)
        if len(done(events)) == count and done([event]):
            action()

    return report


@dataclass(frozen=True)
class Layer:
    """A part of a block."""

    index: tuple[int, int, int]
    number: int

    @property
    def window(self) -> tuple[slice, slice, slice]:
        z, y, x = Cube(self.index).window
        return slice(z.start + 25 * self.number, z.start + 25 * self.number + 25), y, x


@dataclass(frozen=True)
class InLayers(Writing):
    """The same in four parts; trouble with a part is called by its number among all parts."""

    def divide(self, block: Cube) -> list[Layer]:
        return [Layer(block.index, number) for number in range(4)]

    def read(self, block: Layer) -> int:
        return super().read(Cube((4 * block.index[0] + block.number, 0, 0)))

    def compute(self, block: Layer, given: int, should_stop: ShouldStop) -> str:
        return super().compute(Cube((given, 0, 0)), given, should_stop)

    def join(self, block: Cube, results: list[str]) -> str:
        return ", ".join(results)
