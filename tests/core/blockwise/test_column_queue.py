"""Which worker gets which block: a column is of one worker."""

from collections import Counter, defaultdict, deque
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emseg_napari.core.blockwise.column_queue import ColumnQueue
from helpers.block_work import Cube, Writing


class InColumns(Writing):
    """Blocks with the same place along x lie in the same chunks."""

    def column(self, block: Cube) -> int:
        return block.index[2]


def columns(*depths: int) -> list[Cube]:
    return [Cube((z, 0, x)) for x, depth in enumerate(depths) for z in range(depth)]


def queue(blocks: list[Cube]) -> ColumnQueue:
    return ColumnQueue(InColumns(Path()), blocks)


def takers(blocks: list[Cube], workers: int) -> dict[int, Counter[int]]:
    """Let workers take blocks in turn, and return how many of each column each of them got."""
    waiting, found = queue(blocks), defaultdict(Counter)
    for turn in range(workers * (len(blocks) + 1)):
        block = waiting.take(turn % workers)
        if block is not None:
            found[block.index[2]][turn % workers] += 1
    assert sum(sum(one.values()) for one in found.values()) == len(blocks)
    return found


@pytest.mark.parametrize(("count", "workers"), [(9, 3), (4, 3), (3, 4), (1, 9), (1, 1)])
def test_a_column_of_blocks_goes_to_one_worker(count, workers):
    assert all(len(one) == 1 for one in takers(columns(*[16] * count), workers).values())


def test_blocks_of_work_without_columns_go_to_whichever_worker_is_free():
    waiting = ColumnQueue(Writing(Path()), columns(4))
    assert [waiting.take(n % 2).index[0] for n in range(4)] == [0, 1, 2, 3]
    assert waiting.take(0) is None


def test_blocks_of_a_lost_worker_come_next_and_one_worker_does_the_rest_of_its_column():
    waiting = queue(columns(4, 4))
    taken = [waiting.take("lost"), waiting.take("lost")]
    waiting.put_back("lost", taken)
    assert [waiting.take("next").index for _ in range(4)] == [(z, 0, 0) for z in range(4)]
    assert waiting.take("other").index == (0, 0, 1)


def test_no_more_columns_are_made_than_are_taken():
    made = []
    waiting = queue(made.append(cube) or cube for cube in columns(*[2] * 100))
    waiting.take("one")
    assert len(made) <= 4


@given(st.data())
def test_a_chunk_is_decoded_once_and_once_more_for_every_worker_lost_over_it(data):
    """Workers take up to two blocks at any time, end the first, or are lost and replaced."""
    blocks = columns(*data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=9)))
    count = data.draw(st.integers(1, 20))
    waiting = queue(blocks)
    hands: dict[int, deque[Cube]] = {worker: deque() for worker in range(count)}
    decoded: dict[int, set[int]] = defaultdict(set)  # of each column, by whom
    lost, done, new = Counter[int](), [], count
    while len(done) < len(blocks):
        worker = data.draw(st.sampled_from(sorted(hands)))
        hand = hands[worker]
        while len(hand) < 2 and (block := waiting.take(worker)):
            hand.append(block)
        for block in list(hand)[:1]:
            decoded[block.index[2]].add(worker)
        if lost.total() < 5 and data.draw(st.integers(0, 9)) == 9:
            lost.update({block.index[2] for block in [*hand, *waiting._held.get(worker, ())]})
            waiting.put_back(worker, hands.pop(worker))
            hands[new], new = deque(), new + 1
        elif hand:
            done.append(hand.popleft())
    assert sorted(done, key=lambda one: one.index) == sorted(blocks, key=lambda one: one.index)
    assert all(len(workers) <= 1 + lost[column] for column, workers in decoded.items())
