"""The pages, a module for each part of the console. Each is a function from a `Visit` to an answer."""
