"""From a mixture to an adapter: encode, pack, train; `python -m train` is its command line."""
