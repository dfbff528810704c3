"""Which worker gets which block: those of a column go to one, as long as there are columns for all."""

from collections import defaultdict
from pathlib import Path

from emseg_napari.core.blockwise.waiting import Waiting
from helpers.block_work import Cube, Writing


class InColumns(Writing):
    """Blocks with the same place along x lie in the same chunks."""

    def column(self, block: Cube) -> int:
        return block.index[2]


def columns(count: int, depth: int) -> list[Cube]:
    return [Cube((z, 0, x)) for x in range(count) for z in range(depth)]


def hands_at(waiting: Waiting, workers: int) -> dict[int, set[int]]:
    """Let workers take blocks in turn, and return which of them worked at each column."""
    hands: dict[int, set[int]] = defaultdict(set)
    turn = 0
    while waiting:
        hands[waiting.take(turn % workers).index[2]].add(turn % workers)
        turn += 1
    return hands


def test_a_column_of_blocks_goes_to_one_worker():
    hands = hands_at(Waiting(InColumns(Path()), columns(9, 16)), 3)
    assert sorted(hands) == list(range(9))
    assert all(len(one) == 1 for one in hands.values())


def test_workers_that_would_be_idle_help_with_what_is_left():
    hands = hands_at(Waiting(InColumns(Path()), columns(4, 16)), 3)
    assert [len(hands[x]) for x in range(4)] == [1, 1, 1, 3]
    assert len(hands_at(Waiting(InColumns(Path()), columns(1, 16)), 4)[0]) == 4


def test_a_column_with_fewer_workers_is_helped_first():
    waiting = Waiting(InColumns(Path()), columns(2, 9))
    for _ in range(8):
        waiting.take("one")
    waiting.take("two")
    assert [waiting.take(name).index[2] for name in ("three", "four")] == [1, 0]


def test_blocks_of_work_without_columns_go_to_whoever_is_free():
    waiting = Waiting(Writing(Path()), columns(1, 4))
    assert [waiting.take(n % 2).index[0] for n in range(4)] == [0, 1, 2, 3]
    assert not waiting


def test_blocks_of_a_worker_that_died_come_next_and_its_column_is_finished():
    waiting = Waiting(InColumns(Path()), columns(1, 4))
    taken = [waiting.take("dead"), waiting.take("dead")]
    waiting.put_back(taken)
    assert [waiting.take("next").index[0] for _ in range(4)] == [0, 1, 2, 3]
    assert not waiting
