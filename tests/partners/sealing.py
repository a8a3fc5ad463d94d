"""Seal and open for a shell, which has no JWE: `sealing.py seal KEY < CONTENT`, `sealing.py open KEY < JWE`.

KEY is a file with a JWK: public to seal, private to open. Content and JWE go from stdin to stdout.
"""

import json
import sys
from pathlib import Path

from joserfc import jwe
from joserfc.jwk import OKPKey

SEALED = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "cty": "application/json"}


class Registry(jwe.JWERegistry):
    """Raises the library's limit of 64 KiB to what a case may have."""

    max_ciphertext_length = 1_049_600


REGISTRY = Registry(algorithms=[SEALED["alg"], SEALED["enc"]])


def main(act: str, file: str) -> None:
    """Seal or open stdin with the key in `file`."""
    key = OKPKey.import_key(json.loads(Path(file).read_bytes()))
    content = sys.stdin.buffer.read()
    if act == "seal":
        header = {**SEALED, "kid": key.thumbprint()}
        sys.stdout.write(jwe.encrypt_compact(header, content, key, registry=REGISTRY))
    else:
        opened = jwe.decrypt_compact(content.strip(), key, registry=REGISTRY).plaintext
        sys.stdout.buffer.write(opened or b"")


if __name__ == "__main__":
    main(*sys.argv[1:])
