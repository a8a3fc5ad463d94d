"""Bytecode for the workers of a run (`pytest -n`), compiled once.

On a fresh clone every worker would otherwise compile the project and rewrite the assertions of all test
modules, all at the same moment: 9 s of CPU time each.
"""

from __future__ import annotations

import compileall
import os
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import pytest
from _pytest.assertion.rewrite import (
    PYC_TAIL,
    _read_pyc,
    _rewrite_test,
    _write_pyc,
    assertstate_key,
    get_cache_dir,
    try_makedirs,
)

ROOT: Final = Path(__file__).resolve().parent.parent
_PACKAGES: Final = (
    "admin",
    "benchmarks",
    "client",
    "contracts",
    "docs",
    "runtime",
    "sandbox",
    "services",
    "tests",
)


def compile_ahead(config: pytest.Config) -> None:
    """Write the missing or outdated bytecode of the project and of its test modules, on all processors.

    pytest offers no interface for its rewritten modules: these are the functions of its import hook.
    """
    modules = sorted(
        file
        for file in (ROOT / "tests").rglob("*.py")
        if file.name.startswith("test_") or file.name == "conftest.py"
    )
    missing = [file for file in modules if _read_pyc(file, cache_of(file)) is None]
    if not missing:
        return
    count = os.cpu_count() or 1
    parts = [missing[first::count] for first in range(count)]
    processes = [get_context("fork").Process(target=_rewrite, args=(config, part)) for part in parts]
    for process in processes:
        process.start()
    for package in _PACKAGES:
        compileall.compile_dir(ROOT / package, quiet=2, workers=1)
    for process in processes:
        process.join()


def cache_of(module: Path) -> Path:
    """Return the file with the bytecode of a test module whose assertions are rewritten."""
    return get_cache_dir(module) / (module.name.removesuffix(".py") + PYC_TAIL)


def _rewrite(config: pytest.Config, modules: Sequence[Path]) -> None:
    for module in modules:
        cache = cache_of(module)
        if not try_makedirs(cache.parent):
            return  # the tree is read-only
        try:
            stat, code = _rewrite_test(module, config)
        except SyntaxError:
            continue  # pytest reports it when it collects the module
        _write_pyc(config.stash[assertstate_key], code, stat, cache)
