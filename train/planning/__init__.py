"""What a training will take, told before anything is loaded."""
