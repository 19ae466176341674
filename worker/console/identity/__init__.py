"""Who is who at the console, and how that was proved."""
