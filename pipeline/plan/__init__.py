"""What a mixture will be, told before it is built: rows, tokens, shares, what policies remove, steps of training."""
