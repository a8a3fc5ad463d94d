"""The JSON Schemas of the Kubernetes resources that deploy/kubernetes uses, in kubernetes_schema.json.

That file is taken from the package `kubernetes-validate` (Apache-2.0), which has those of Kubernetes' OpenAPI
documents. The package is 70 MB with all its versions, so it is no dependency; the file is written again with

    uv run --no-project --with kubernetes-validate==1.37.0 python tests/deploy/kubernetes_schema.py

The schemas are strict: a field that a resource does not have is an error.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

VERSION: Final = "1.34.0"
FILE: Final = Path(__file__).with_name("kubernetes_schema.json")
RESOURCES: Final = {
    ("apps/v1", "Deployment"): "io.k8s.api.apps.v1.Deployment",
    ("apps/v1", "StatefulSet"): "io.k8s.api.apps.v1.StatefulSet",
    ("batch/v1", "Job"): "io.k8s.api.batch.v1.Job",
    ("networking.k8s.io/v1", "NetworkPolicy"): "io.k8s.api.networking.v1.NetworkPolicy",
    ("policy/v1", "PodDisruptionBudget"): "io.k8s.api.policy.v1.PodDisruptionBudget",
    ("v1", "ConfigMap"): "io.k8s.api.core.v1.ConfigMap",
    ("v1", "Namespace"): "io.k8s.api.core.v1.Namespace",
    ("v1", "Secret"): "io.k8s.api.core.v1.Secret",
    ("v1", "Service"): "io.k8s.api.core.v1.Service",
    ("v1", "ServiceAccount"): "io.k8s.api.core.v1.ServiceAccount",
}
_REFERENCE: Final = re.compile(r'"#/\$defs/([^"]+)"')


def schema_of(api_version: str, kind: str) -> dict[str, Any]:
    """Return the schema of a resource. Raises KeyError for another resource."""
    definitions = json.loads(FILE.read_text(encoding="utf-8"))["$defs"]
    return {"$ref": f"#/$defs/{RESOURCES[api_version, kind]}", "$defs": definitions}


def needed(definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the definitions that the resources need, without their descriptions."""
    found: dict[str, Any] = {}
    waiting = list(RESOURCES.values())
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _bare(definitions[name])
            waiting += _REFERENCE.findall(json.dumps(found[name]))
    return dict(sorted(found.items()))


def _bare(part: Any) -> Any:
    if isinstance(part, list):
        return [_bare(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        name: _bare(value)
        for name, value in part.items()
        if not name.startswith("x-kubernetes") and not (name == "description" and isinstance(value, str))
    }


def main() -> None:
    import kubernetes_validate  # type: ignore[import-not-found]  # installed for this only

    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"v{VERSION}-local-strict"
    definitions = json.loads((folder / "_definitions.json").read_text(encoding="utf-8"))["$defs"]
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in needed(definitions).items()]
    comment = f"Kubernetes {VERSION}, from kubernetes-validate: see kubernetes_schema.py"
    text = "{" + f'"$comment": "{comment}", "$defs": {{\n' + ",\n".join(lines) + "\n}}\n"
    FILE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
