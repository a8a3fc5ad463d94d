"""The witness policy, from the file that KOPURO_WITNESS_POLICY names."""

from __future__ import annotations

from pathlib import Path

import orjson

from contracts.errors import Defect
from services.audit.log.domain.witness_policy import PolicyError, WitnessPolicy


def load_witness_policy(file: Path | None) -> WitnessPolicy:
    """The policy; one without witnesses where no file is named. Raises Defect."""
    if file is None:
        return WitnessPolicy()
    try:
        return WitnessPolicy.read(orjson.loads(file.read_bytes()))
    except PolicyError as error:
        raise Defect(f"The file of KOPURO_WITNESS_POLICY is no policy: {error}.") from None
    except (OSError, ValueError):
        raise Defect("The file of KOPURO_WITNESS_POLICY holds no JSON.") from None
