"""What two mixtures, or two corpora, do not have in common."""
