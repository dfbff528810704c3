"""Segmentation: cells from boundary probability.

flooding     fragments of cells: seeds and a watershed
regions      neighbouring regions and the border between them
tiles        the same for the tiles of a large slice
joining      the cells of a large slice, from its tiles
instances    the cells of a stack in memory
overlaps     how much the cells of two slices overlap
linking      the same cell through the slices
gaps         gaps in membranes, closed by means of the cells
volumes      the cells of a volume of any size, block by block
parts        what is kept on disk meanwhile
steps        what is done to one block
"""
