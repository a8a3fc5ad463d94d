"""The log as values: leaves, tree, proofs, notes, checkpoints. No I/O, no clock, no chance."""
