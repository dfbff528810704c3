"""What everything else stands on: the contract of long jobs, labels, files, and work on many blocks."""
