"""Repairs of labels by a click or a stroke: arrays in, an `Edit` out that changes nothing by itself.

Labels are those of one slice with their states, uint8 (y, x) as in `emseg_napari.core.labels`. Membrane is
what is boundary, proposed or not, and is connected over corners too; a cell is all else that is
connected by the sides of its pixels. Clicks are seen through a window, so that their time does not grow
with the slice (benchmarks/repairs.py).

close_gap             draws the membrane between two loose ends
drop_membrane         removes the membrane between two junctions, or all that separates two cells
drop_island           removes an island, a speck or a ring by one click
split_cell            splits a cell by a stroke
copy_slice            copies labels of the neighbouring slice, aligned
interpolate           fills the slices between two labelled ones

edit                  the change that a tool proposes
slice_window          the part of a slice in which a tool works
skeleton              centre lines of membranes, and the cells that they separate
clicked_cells         cells under a click, and cells beside centre lines
passages              passages through thick membrane from cell to cell
membrane_removal      removal of membrane that leaves the rest as thick as it was
loose_ends            loose ends of membranes, and clicks that snap to them
known_values          grey values and probabilities where some are not known
cheapest_path         cheapest paths along probable boundary, as thick as the membranes around
row_segments          cells as stretches of rows (compiled)
interpolation_kernel  distances between the same cells of two slices (compiled)
"""
