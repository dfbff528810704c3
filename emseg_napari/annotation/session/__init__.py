"""A session on disk: the folder NAME.emseg that brings labels and all that belongs to them back.

store       reads and writes a whole session
contents    what session.json states
slicefiles  labels as one small file per slice
images      the image, opened or copied in
scratch     the labels on which one paints, where they do not fit in memory

autosave    keeps the session on which somebody works up to date, in a thread
backlog     what of it is not on disk yet
writer      writes it piece by piece
recovery    which sessions are open, and which were left by a window that is gone
"""
