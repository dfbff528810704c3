"""Images, labels and volumes of any size in and out of files."""
