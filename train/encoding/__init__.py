"""Encoding: a mixture's conversations become packed ids and labels in the tokens folder."""
