"""Networks that only metrics use. Importing this package loads nothing."""
