"""The network's contracts: pure types, schemas, vocabularies. Reads its own files; no other I/O."""
