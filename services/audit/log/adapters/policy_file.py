"""The witness policy, from the file that KOPURO_WITNESS_POLICY names."""

from __future__ import annotations

from pathlib import Path

import orjson

from contracts.errors import Defect
from services.audit.log.domain.witness_policy import PolicyError, WitnessPolicy


def load_witness_policy(file: Path | None) -> WitnessPolicy:
    """Return the policy in the file; without a file, one without witnesses. Raises Defect."""
    if file is None:
        return WitnessPolicy()
    try:
        return WitnessPolicy.read(orjson.loads(file.read_bytes()))
    except PolicyError as error:
        raise Defect(f"The file in KOPURO_WITNESS_POLICY is not a witness policy: {error}.") from None
    except (OSError, ValueError):
        raise Defect("The file in KOPURO_WITNESS_POLICY is missing or not JSON.") from None
