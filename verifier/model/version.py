"""The version of this package. A run that another version has interrupted is not resumed."""

__version__ = "0.1.0"
