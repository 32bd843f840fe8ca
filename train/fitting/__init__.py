"""The training itself: its batches, its steps, what it keeps and what it tells."""
