"""The audit service: events go into a Merkle log; checkpoints, history and proofs come out."""
