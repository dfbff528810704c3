"""Repairs of labels by a click or a stroke: arrays in, an `Edit` out that changes nothing by itself.

Labels are those of one slice with their states, uint8 (y, x) as in `emseg_napari.core.labels`. Membrane is
what is boundary, proposed or not, and is connected over corners too; a cell is all else that is
connected by the sides of its pixels. Clicks are seen through a window, so that their time does not grow
with the slice (benchmarks/repairs.py).

closing        a gap in a membrane, or a new membrane, by its two ends
dropping       the segment of a membrane between two junctions; all that parts two cells
filling        a false island, speck or ring, by one click
splitting      a cell by a stroke
copying        labels of the neighbouring slice, aligned
interpolating  labels between two slices

edits          the change that a tool proposes
windows        the part of a slice in which a tool works
skeletons      the centre lines of membranes, and which cells they part
cells          what lies under a click, and which cells lie beside the lines
passages       ways through thick membrane, from cell to cell
removing       membrane that goes without making the rest thinner
ends           loose ends of membranes, and clicks that snap to them
compiled       what compiles functions over single pixels
stretches      cells as stretches of rows, compiled
reaching       what of a cell is near the same cell in another slice, compiled
paths          cheapest paths along what looks like boundary, as thick as the membranes around
"""
