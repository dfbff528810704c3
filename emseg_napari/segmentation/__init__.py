"""Segmentation: cells from boundary probability.

boundary       boundary probability as a volume states it
watershed      fragments of cells: seeds and a watershed
watershed_kernel  what of it looks at every pixel (compiled)
seed_kernel    where it begins (compiled)
agglomeration  joins fragments where the boundary between them is weak
close_gaps     closes gaps in membranes by means of the cells
stack          the cells of a stack in memory
overlaps       overlaps between the cells of two slices
linking        one number for the same cell in all slices
cell_table     the table of cells: slices and size of each

volume         the cells of a volume of any size, block by block
stages         the stages of that, with the progress of one job
block_work     the steps that are done to each block
tiles          tiles of a large slice
tile_joining   the cells of a large slice, from the fragments of its tiles
intermediate   files that are on disk meanwhile
cells_record   the record of an output
"""
