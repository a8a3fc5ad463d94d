"""Mutation tests of the guarantees: each is removed in turn, and the tests must fail."""
