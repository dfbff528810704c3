"""How good a prediction is: the official metrics, where its errors are, and reports of both.

metrics      V_rand, V_info and pixel error as the ISBI 2012 challenge counts them
             (thinning of membranes, partitions of cells, pixels)
evaluation   every score of every slice at every threshold (scores), of predictions read from files
errors       every merge and split, with its wall and its size
review       both together, as one job
reports      as CSV and as one page (pages, pictures)
"""
