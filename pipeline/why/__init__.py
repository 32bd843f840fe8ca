"""An answer to "why is this row as it is": all that the data folder knows of one record or one raw row."""
