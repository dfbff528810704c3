"""The three steps of a watershed that look at every pixel. (Compiled: import with first use.)

Each does what scipy or scikit-image do, in a fifth to a thirtieth of the time, since all values are whole
numbers here: they need no heap and no sorting.
"""

from __future__ import annotations

import numpy as np

from emseg_napari.core.compiled import compiled


@compiled
def squared_distances(interior: np.ndarray) -> np.ndarray:
    """Return how far each pixel is from the nearest one outside.

    Column by column, then row by row as the lower envelope of parabolas (Meijster, Roerdink and Hesselink
    2000, doi:10.1007/0-306-47025-X_36).

    Parameters
    ----------
    interior : numpy.ndarray
        bool (y, x), somewhere False.

    Returns
    -------
    numpy.ndarray
        int64 (y, x): squares of distances in pixels, 0 outside.
    """
    height, width = interior.shape
    far = height + width  # more than any distance
    down = np.empty(interior.shape, np.int64)  # distances within the column
    for x in range(width):
        down[0, x] = far if interior[0, x] else 0
    for y in range(1, height):
        for x in range(width):
            down[y, x] = min(far, down[y - 1, x] + 1) if interior[y, x] else 0
    for y in range(height - 2, -1, -1):
        for x in range(width):
            down[y, x] = min(down[y, x], down[y + 1, x] + 1)
    found = np.empty(interior.shape, np.int64)
    column, begin = np.empty(width, np.int64), np.empty(width, np.int64)  # of each parabola, its part
    for y in range(height):
        last = 0
        column[0] = begin[0] = 0
        for x in range(1, width):
            low = down[y, x] ** 2
            while last >= 0:
                other, at = column[last], begin[last]
                if (at - other) ** 2 + down[y, other] ** 2 <= (at - x) ** 2 + low:
                    break
                last -= 1
            if last < 0:
                last = 0
                column[0], begin[0] = x, 0
                continue
            other = column[last]
            meet = (x * x - other * other + low - down[y, other] ** 2) // (2 * (x - other)) + 1
            if meet < width:
                last += 1
                column[last], begin[last] = x, meet
        for x in range(width - 1, -1, -1):
            other = column[last]
            found[y, x] = (x - other) ** 2 + down[y, other] ** 2
            if x == begin[last]:
                last -= 1
    return found


@compiled
def reconstructed(marker: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the reconstruction by dilation of a mask from a marker, over the eight neighbours.

    Two scans, then a queue for what they leave (Vincent 1993, doi:10.1109/83.217222).

    Parameters
    ----------
    marker, mask : numpy.ndarray
        int32 (y, x), the marker nowhere above the mask.

    Returns
    -------
    numpy.ndarray
        int32 (y, x).
    """
    height, width = mask.shape
    found = marker.copy()
    for y in range(height):
        for x in range(width):
            level = found[y, x]
            if y > 0:
                for at in range(max(0, x - 1), min(width, x + 2)):
                    level = max(level, found[y - 1, at])
            if x > 0:
                level = max(level, found[y, x - 1])
            found[y, x] = min(level, mask[y, x])
    size = height * width
    queue, is_queued = np.empty(size, np.int64), np.zeros(size, np.bool_)
    count = 0
    for y in range(height - 1, -1, -1):
        for x in range(width - 1, -1, -1):
            level = found[y, x]
            if y < height - 1:
                for at in range(max(0, x - 1), min(width, x + 2)):
                    level = max(level, found[y + 1, at])
            if x < width - 1:
                level = max(level, found[y, x + 1])
            level = min(level, mask[y, x])
            found[y, x] = level
            goes_on = False
            if y < height - 1:
                for at in range(max(0, x - 1), min(width, x + 2)):
                    goes_on |= found[y + 1, at] < min(level, mask[y + 1, at])
            if x < width - 1:
                goes_on |= found[y, x + 1] < min(level, mask[y, x + 1])
            if goes_on:
                queue[count], is_queued[y * width + x] = y * width + x, True
                count += 1
    head, tail = 0, count % size  # a ring: no pixel is in it twice
    while count > 0:
        place = queue[head]
        head, count = (head + 1) % size, count - 1
        is_queued[place] = False
        y, x = place // width, place % width
        for down in range(max(0, y - 1), min(height, y + 2)):
            for at in range(max(0, x - 1), min(width, x + 2)):
                level = min(found[y, x], mask[down, at])
                if found[down, at] < level:
                    found[down, at] = level
                    place = down * width + at
                    if not is_queued[place]:
                        queue[tail], is_queued[place] = place, True
                        tail, count = (tail + 1) % size, count + 1
    return found


@compiled
def flooded(height: np.ndarray, levels: int, seeds: np.ndarray) -> np.ndarray:
    """Grow seeds over their four neighbours, the lowest pixels first, of a level the first met.

    A queue for each level (Meyer 1991). Water that came over a higher level does not fall below it: so
    levels are emptied from the lowest to the highest.

    Parameters
    ----------
    height : numpy.ndarray
        int32 (y, x), 0 to `levels` - 1.
    levels : int
    seeds : numpy.ndarray
        int32 (y, x), 0 outside of the seeds, beside which nothing is lower; those of one level start in
        reading order.

    Returns
    -------
    numpy.ndarray
        int32 (y, x): the seed from which a pixel was reached.
    """
    rows, width = height.shape
    heights, numbers = height.ravel(), seeds.copy().ravel()
    first, last = np.full(levels, -1, np.int32), np.empty(levels, np.int32)
    after = np.full(numbers.size, -1, np.int32)  # of each pixel that waits, the next one of its level
    for place in range(numbers.size):
        if numbers[place]:
            level = heights[place]
            if first[level] < 0:
                first[level] = place
            else:
                after[last[level]] = place
            last[level] = place
    for water in range(levels):
        place = first[water]
        while place >= 0:
            y, x = place // width, place % width
            for side in range(4):
                if side == 0 and y > 0:
                    beside = place - width
                elif side == 1 and x > 0:
                    beside = place - 1
                elif side == 2 and x < width - 1:
                    beside = place + 1
                elif side == 3 and y < rows - 1:
                    beside = place + width
                else:
                    continue
                if numbers[beside]:
                    continue
                numbers[beside] = numbers[place]
                level = max(heights[beside], water)
                if first[level] < 0:
                    first[level] = beside
                else:
                    after[last[level]] = beside
                last[level] = beside
            place = after[place]
    return numbers.reshape(height.shape)
