"""HTTP: requests in, answers out, problems for everything that goes wrong in between."""
