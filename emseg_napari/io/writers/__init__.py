"""Writers of the formats in which results leave for other programs; `io.convert` chooses one."""
