"""How good a prediction is: the official metrics, where its errors are, and reports of both.

metrics      V_rand, V_info and pixel error as the ISBI 2012 challenge counts them
             (thinning, partitions, pixels)
predictions  what a file or an array holds, by its record, its values or the user
pairing      a prediction and the labels it is scored by: slices (matching), threshold, what its run has
             seen of them (training_overlap, recognition); the same for window, command line and API
evaluation   every score of every slice at every threshold (scores)
errors       every merge and split, with its wall and its size
review       both together, as one job
report       as CSV and as one page (report_html, report_figures)
"""
