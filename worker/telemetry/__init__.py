"""What the worker says of itself: the hook, and a file for each form that is made of it."""
