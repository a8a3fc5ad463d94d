"""Bearer tokens: their keys, their signer, their verification."""
