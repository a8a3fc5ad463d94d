"""The records that the hub's resources return, one module for each part of the API.

A response's JSON is made from its record (`responses/form.py`), and the published OpenAPI document describes
the same record, so the two cannot differ. Every member is always present unless it is marked `omitted`.
"""
