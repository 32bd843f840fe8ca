"""judge: what is known about every record, beside it and never in it: language, flags, near-duplicates, leaks."""
