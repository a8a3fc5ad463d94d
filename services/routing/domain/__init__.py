"""Routing's pure decisions: values in, values out. Time and identifiers are arguments."""
