"""From boundary probability to cells.

instances    seeds, watershed and joining, slice by slice
regions      neighbouring regions and the border between them
linking      the same cell through the slices
"""
