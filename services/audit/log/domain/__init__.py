"""The log as values: leaves, tree, proofs, notes, checkpoints. Pure."""
