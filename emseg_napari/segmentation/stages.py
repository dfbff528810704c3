"""Stages in which a volume is divided into cells, with the progress of one job."""

from __future__ import annotations

from collections.abc import Collection

from emseg_napari.core.blockwise import BlockWork, Scheduler, run_blocks
from emseg_napari.core.jobs import (
    BlockDone,
    BlockFailed,
    Event,
    JobContext,
    Message,
    Progress,
    UserError,
)
from emseg_napari.io.layout import Block

FLOOD, JOIN, OVERLAP, NUMBER, FINISH = "cells", "joining tiles", "overlaps", "numbers", "coarser levels"
# Part of the time that each stage takes, about.
_SHARES = {FLOOD: 0.85, JOIN: 0.02, OVERLAP: 0.05, NUMBER: 0.05, FINISH: 0.03}


class Stages:
    """Runs one stage after the other, and reports the progress of all as of one job."""

    def __init__(self, scheduler: Scheduler, context: JobContext) -> None:
        self.scheduler, self._context = scheduler, context
        self._reported: set[Message] = set()

    def check_stop(self) -> None:
        """Raise `Cancelled` if asked to stop."""
        self._context.check_stop()

    def report(self, event: Event) -> None:
        """Report something that belongs to no single stage."""
        self._context.report(event)

    def do(self, stage: str, step: BlockWork, blocks: Collection[Block]) -> list[BlockFailed]:
        """Do a stage, and return what failed."""
        if not blocks:  # nothing to start workers for
            return []
        return run_blocks(step, blocks, self.scheduler, self.context(stage))

    def must(self, stage: str, step: BlockWork, blocks: Collection[Block]) -> None:
        """Do a stage of which every block is needed."""
        failures = self.do(stage, step, blocks)
        if failures:
            first = failures[0]
            raise UserError(f"Slice {first.index[0]} cannot be continued: {first.text}", first.settings)

    def _report_once(self, message: Message) -> None:
        """Report once what every stage reports, such as the address of the workers."""
        if message not in self._reported:
            self._reported.add(message)
            self._context.report(message)

    def context(self, stage: str) -> JobContext:
        """Return the context of one stage, whose progress becomes a part of the whole."""
        names = list(_SHARES)
        before = sum(_SHARES[name] for name in names[: names.index(stage)])

        def report(event: Event) -> None:
            if isinstance(event, Progress):
                fraction = min(before + _SHARES[stage] * event.fraction, 1.0)
                self._context.report(Progress(fraction, event.seconds_left, f"{stage}: {event.text}"))
            elif isinstance(event, Message):
                self._report_once(event)
            elif not isinstance(event, BlockDone) or stage == NUMBER:
                self._context.report(event)

        return self._context.reporting_to(report)
