"""What a run trained, merged into its base, described and published."""
