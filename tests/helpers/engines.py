"""Engine processes that one window leaves warm for the next: to import Keras takes each of them seconds."""

import subprocess
from typing import IO, ClassVar

from emseg_napari.engine.client import Engine


class WarmEngine(Engine):
    """An engine that, closed while idle, gives its process to the next that starts."""

    idle: ClassVar[list[tuple[subprocess.Popen[bytes], IO[bytes] | None]]] = []

    def close(self) -> None:
        if self._process is not None and self.process_id is not None and not self.busy:
            self.idle.append((self._process, self._log))
            self._process = self._log = None
        super().close()

    def _start(self) -> None:
        if self._process is None and self.idle:
            self._process, self._log = self.idle.pop()
        super()._start()

    @classmethod
    def end_all(cls) -> None:
        """End the idle processes."""
        while cls.idle:
            engine = Engine()
            engine._process, engine._log = cls.idle.pop()
            engine.close()
