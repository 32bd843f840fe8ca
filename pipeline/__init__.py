"""What happens to records: collect, mix, push; `python -m pipeline` is its command line."""
