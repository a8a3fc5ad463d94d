"""The records that the hub's resources answer with, one module for each part of the API.

An answer's JSON is made from its record (`answers/form.py`), and the published OpenAPI document describes the
same record, so the two cannot differ. Every member is always present unless it is marked `omitted`.
"""
