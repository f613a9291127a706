"""One file a payload family: bytes to readings, or a reason why not. Strict about size, depth and numbers."""
