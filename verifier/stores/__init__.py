"""The stores of a stack, read-only: one package per store, each with client, source, observer and store."""
