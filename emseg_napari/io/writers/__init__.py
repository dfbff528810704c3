"""Writers of the formats in which results leave for other programs, one module each; `convert` chooses one."""
