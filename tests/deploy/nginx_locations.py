"""The `location`s of an nginx configuration, and the one that nginx takes for a path.

Source: nginx, ngx_http_core_module, "location": the longest prefix, unless a regular expression matches.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LOCATION = re.compile(r"^\s*location (~ )?(\S+)\s+\{ proxy_pass http://kopuro_(\w+); \}", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Locations:
    """prefixes, patterns: of paths, each with the service that gets them."""

    prefixes: dict[str, str]
    patterns: dict[str, str]

    def service_for(self, path: str) -> str:
        for pattern, service in self.patterns.items():
            if re.search(pattern, path):
                return service
        return self.prefixes[max((prefix for prefix in self.prefixes if path.startswith(prefix)), key=len)]


def locations_in(text: str) -> Locations:
    found = _LOCATION.findall(text)
    return Locations(
        prefixes={path: service for pattern, path, service in found if not pattern},
        patterns={path: service for pattern, path, service in found if pattern},
    )
