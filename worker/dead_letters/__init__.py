"""Dead letters: read, choose, mend, send back, export."""
