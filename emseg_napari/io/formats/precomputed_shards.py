"""Which file of a sharded precomputed volume holds a chunk.

Specification: https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/sharded.md.
The hash is MurmurHash3_x86_128 by Austin Appleby (https://github.com/aappleby/smhasher, public domain).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emseg_napari.io.axes import Size

_C1, _C2, _C3 = 0x239B961B, 0xAB0E9789, 0x38B34AE5
_WORD = 0xFFFFFFFF


@dataclass(frozen=True)
class Sharding:
    """How chunks are divided among shards.

    Attributes
    ----------
    preshift_bits, minishard_bits, shard_bits : int
    is_hashed : bool
        Whether by MurmurHash3_x86_128, and not by their numbers as they are.
    """

    preshift_bits: int
    minishard_bits: int
    shard_bits: int
    is_hashed: bool

    @classmethod
    def stated(cls, scale: Mapping[str, Any]) -> Sharding | None:
        """Return what a scale, which TensorStore has accepted, states; None if each chunk is a file."""
        stated = scale.get("sharding")
        if stated is None:
            return None
        preshift, minishard, shard = (
            int(stated[f"{name}_bits"]) for name in ("preshift", "minishard", "shard")
        )
        return cls(preshift, minishard, shard, stated["hash"] != "identity")

    def file(self, place: Size, grid: Size) -> str:
        """Return the name of the shard of a chunk, by its place among so many along x, y, z."""
        number = _morton(place, grid) >> self.preshift_bits
        number = (_hashed(number) if self.is_hashed else number) >> self.minishard_bits
        return f"{number & ((1 << self.shard_bits) - 1):0{-(-self.shard_bits // 4)}x}.shard"


def _morton(place: Size, grid: Size) -> int:
    """Return the compressed Morton code: bits of x, y and z in turn, as far as the grid needs them."""
    code = position = 0
    for bit in range(max(grid).bit_length()):
        for n, count in zip(place, grid, strict=True):
            if count > 1 << bit:
                code |= (n >> bit & 1) << position
                position += 1
    return code


def _hashed(number: int) -> int:
    """Return the lower 64 bits of the hash of a number of 64 bits, with seed 0."""
    high = _times(_rotated(_times(number >> 32, _C2), 16), _C3)
    low = _times(_rotated(_times(number & _WORD, _C1), 15), _C2)
    words = [low ^ 8, high ^ 8, 8, 8]  # of 8 bytes
    first, second, _, _ = _summed([_mixed(word) for word in _summed(words)])
    return first | second << 32


def _summed(words: Sequence[int]) -> list[int]:
    first = sum(words) & _WORD
    return [first, *((word + first) & _WORD for word in words[1:])]


def _mixed(word: int) -> int:
    word = _times(word ^ word >> 16, 0x85EBCA6B)
    word = _times(word ^ word >> 13, 0xC2B2AE35)
    return word ^ word >> 16


def _times(a: int, b: int) -> int:
    return a * b & _WORD


def _rotated(word: int, by: int) -> int:
    return (word << by | word >> (32 - by)) & _WORD
