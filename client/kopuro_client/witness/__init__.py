"""A witness, which cosigns a log's checkpoint after it has verified that the log only grew.

Source: https://c2sp.org/tlog-witness.
"""

from kopuro_client.witness.following import Follower
from kopuro_client.witness.record import WitnessRecord
from kopuro_client.witness.request import AddCheckpoint
from kopuro_client.witness.server import serve
from kopuro_client.witness.witness import Witness, WitnessResponse

__all__ = ["AddCheckpoint", "Follower", "Witness", "WitnessRecord", "WitnessResponse", "serve"]
