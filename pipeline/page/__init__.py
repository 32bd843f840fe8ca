"""The report of a corpus: one HTML file that tells what is in it, read offline by somebody who did not build it."""
