"""How a record is worded: task templates, suffixes and prompt formats, all sandboxed Jinja."""
