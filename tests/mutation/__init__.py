"""Proof that the guarantees are tested: each is taken out in turn, and the tests must fail."""
