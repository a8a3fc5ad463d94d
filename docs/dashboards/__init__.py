"""Grafana dashboards of a hub. `python -m docs.diagrams` writes them as JSON into deploy/grafana."""
