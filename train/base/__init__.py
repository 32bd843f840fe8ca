"""The base model: where it comes from, which of its code may run, in which numbers it is held."""
