"""One script a source: its official layout in, a prepared dataset out."""
