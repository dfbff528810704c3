"""Sessions on disk: folders NAME.emseg with the labels and everything that belongs to them.

store       reads and writes a whole session
contents    the fields of session.json
slicefiles  labels as one small file per slice
images      the image, referred to or copied in
scratch     labels that do not fit in memory, as an array over a file

autosave    writes the session of the user to disk, in a thread
backlog     queue of what has to be written
writer      writes one session folder file by file
claims      locks of the folders that an autosave writes to
recovery    sessions that are open, and sessions that can be recovered
"""
