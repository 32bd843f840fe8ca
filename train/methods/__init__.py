"""The methods: how a base is made trainable, and how what was trained is written."""
