"""The host's settings that a new machine needs."""

from __future__ import annotations

import pytest

from tests.machines.hosting import HostError, Mirrors, mirrors_in, pip_options

TARGETS = """\
http://mirror.example/debian/ bookworm main
http://mirror.example/debian/ bookworm contrib
http://mirror.example/debian/ bookworm-updates main
http://mirror.example/debian-security/ bookworm-security main
http://other.example/tools/ nodistro main
"""


def test_mirrors_of_own_release_serve_other_releases() -> None:
    mirrors = mirrors_in(TARGETS, codename="bookworm")

    assert mirrors.sources("trixie").splitlines() == [
        "deb http://mirror.example/debian trixie main",
        "deb http://mirror.example/debian trixie-updates main",
        "deb http://mirror.example/debian-security trixie-security main",
    ]


def test_missing_security_archive_is_left_out() -> None:
    assert "security" not in Mirrors(archive="http://mirror.example/debian").sources("trixie")


@pytest.mark.parametrize("codename", ["noble", ""])
def test_machine_without_debian_mirror_is_refused(codename: str) -> None:
    with pytest.raises(HostError, match="--mirror"):
        mirrors_in(TARGETS, codename=codename)


def test_pip_options_come_from_files_and_environment_without_local_directories() -> None:
    listing = """\
:env:.default-timeout='180'
:env:.disable-pip-version-check='1'
global.extra-index-url='file:///opt/simple http://packages.example/simple'
global.find-links='/opt/wheels'
global.index-url='http://mirror.example/simple'
global.timeout='15'
"""

    assert pip_options(listing) == {
        "extra-index-url": "http://packages.example/simple",
        "index-url": "http://mirror.example/simple",
        "timeout": "180",
    }


def test_pip_without_configuration_needs_none() -> None:
    assert pip_options("") == {}
