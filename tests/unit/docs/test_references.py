"""References of the pages exist: files, headings, commands, make targets, variables, metrics."""

import functools
import json
import re
import shlex
from pathlib import Path
from urllib.parse import unquote

import pytest
from typer import TyperException
from typer.core import TyperGroup

from kopuro_client.commands import ExitCode, _application, main
from tests.unit.docs.pages import PAGES, ROOT, inline_code, name_of, prose, shell_lines

_ROOMS = "contracts|runtime|services|admin|client|kopuro_client|sandbox|deploy|docs|tests|benchmarks"
_PATH = re.compile(rf"(?:{_ROOMS})/[\w./-]*")

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def links(page: Path) -> list[str]:
    return [
        target
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(page))
        if not target.startswith(("http://", "https://", "mailto:"))
    ]


def paths() -> list[tuple[Path, str]]:
    found = []
    for page in PAGES:
        texts = [text for text in inline_code(page) if _PATH.fullmatch(text)]
        for line in shell_lines(page):
            texts += [word for word in line.split() if _PATH.fullmatch(word)]
        found += [(page, text) for text in texts]
    return sorted(set(found))


def commands() -> dict[str, list[str]]:
    """Return each command of the pages with the names of the pages that have it."""
    found: dict[str, list[str]] = {}
    for page in PAGES:
        if page.name == "integrating.md":
            continue  # tests/unit/client runs its commands
        texts = [text for text in inline_code(page) if text.startswith("kopuro ")]
        for line in shell_lines(page):
            texts += re.findall(r"\bkopuro [^)]+", line)
        for text in {text.strip() for text in texts}:
            found.setdefault(text, []).append(name_of(page))
    return dict(sorted(found.items()))


def targets() -> list[str]:
    texts = [text for page in PAGES for text in (*inline_code(page), *shell_lines(page))]
    return sorted({match[1] for text in texts if (match := re.fullmatch(r"make ([a-z-]+)", text))})


@functools.cache
def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings on common forges."""
    titles = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_targets_of_links_exist(page: Path) -> None:
    assert [target for target in links(page) if not _exists(page, target)] == []


def _exists(page: Path, target: str) -> bool:
    file, _, anchor = unquote(target).partition("#")
    destination = (page.parent / file).resolve() if file else page
    return destination.exists() and (not anchor or anchor in headings(destination))


@pytest.mark.parametrize(("page", "path"), paths(), ids=lambda part: str(part).removeprefix(str(ROOT)))
def test_path_in_text_exists(page: Path, path: str) -> None:
    assert (ROOT / path).exists() or (page.parent / path).exists()


def test_extraction_finds_known_references() -> None:
    assert sum(len(links(page)) for page in PAGES) > 100
    assert len(paths()) > 20
    assert len(COMMANDS) > 10
    assert {"demo", "up", "test", "check"} <= set(targets())


@pytest.mark.parametrize("target", targets())
def test_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", MAKEFILE, flags=re.MULTILINE)


COMMANDS = commands()


# Help is printed only when the commands and options before it are known.
@pytest.mark.parametrize("command", COMMANDS)
def test_documented_command_parses(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # an option without a value would consume `--help` as its value
    assert main([*shlex.split(command)[1:], "--help"]) == ExitCode.OK, COMMANDS[command]
    assert "Usage: kopuro" in capsys.readouterr().out


def test_command_in_a_sentence_has_no_argument_that_the_command_does_not_take() -> None:
    """`--help` ends before superfluous arguments are refused. The runbook is read in a hurry."""
    surplus = {}
    for page in PAGES:
        for text in inline_code(page):
            if re.fullmatch(r"kopuro [^|>(]+", text) and "..." not in text:
                command, left = _application(), shlex.split(text)[1:]
                while left and isinstance(command, TyperGroup) and left[0] in command.commands:
                    command = command.commands[left.pop(0)]
                try:
                    _, extra, _ = command.make_parser(command.context_class(command)).parse_args(left)
                except TyperException:
                    continue  # an option that is named without its value, such as `--revision`
                if extra:
                    surplus[f"{name_of(page)}: {text}"] = extra
    assert surplus == {}


def test_readme_names_every_environment_variable() -> None:
    sources = [ROOT / "runtime" / "settings.py", ROOT / "sandbox" / "hub.py"]
    read = {name for source in sources for name in re.findall(r"KOPURO_[A-Z_]+", source.read_text("utf-8"))}
    assert read <= set(re.findall(r"KOPURO_[A-Z_]+", README))


def test_contributing_names_the_python_that_setup_makes() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    modules = re.findall(r"(\S*python) -m (\w+(?:\.\w+)*)", page)
    assert {"tests.golden_messages.freeze", "docs.diagrams"} <= {module for _, module in modules}
    assert {python.lstrip("`") for python, _ in modules} == {".venv/bin/python"}


def test_operations_page_explains_every_readiness_check_and_warning() -> None:
    sources = [ROOT / "runtime" / "service_platform.py", *(ROOT / "services").glob("*/bootstrap.py")]
    code = "".join(source.read_text(encoding="utf-8") for source in sources)
    named = set(
        re.findall(r'\("([a-z ]+)", [\w.: ]*(?:unready|alarm|directory_\w+|published|low_space)', code)
    )
    assert {"broker", "custody key", "parked", "log directory"} <= named
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| `([a-z ]+)` \| .+ \| .+ \|$", page, flags=re.MULTILINE))
    assert named <= explained


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_table_explains_each_thing_once(page: Path) -> None:
    for table in re.findall(r"(?:^\|(?:[^|\n]*\|){2,3}\n)+", prose(page), re.MULTILINE):
        rows = [tuple(cell.strip() for cell in line.split(" | ")[:2]) for line in table.splitlines()]
        named = [row for row in rows if row[0].strip("| ")]
        assert len(named) == len(set(named)), table[:200]


def test_operations_page_explains_every_file_of_a_hub() -> None:
    code = (ROOT / "sandbox" / "hub_files.py").read_text(encoding="utf-8")
    code += (ROOT / "sandbox" / "hub.py").read_text(encoding="utf-8")
    files = set(re.findall(r'directory / "([\w.]+)"', code))
    assert {"hub.json", "owner.lock"} <= files
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert files <= {
        name.rstrip("/") for name in re.findall(r"^\| `([\w.]+/?)` \|", page, flags=re.MULTILINE)
    }


def test_documented_metrics_exist() -> None:
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    sources = "".join(
        source.read_text(encoding="utf-8")
        for room in ("runtime", "services")
        for source in sorted((ROOT / room).rglob("*.py"))
    )
    named = {re.sub("_(total|info)$", "", name) for name in re.findall(r"`(kopuro_[a-z_]+)", operations)}
    assert len(named) > 10
    assert [name for name in sorted(named) if f'"{name}"' not in sources] == []


def test_index_lists_every_page_and_decision() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = [page for page in (ROOT / "docs").rglob("*.md") if page.name != "README.md"]
    assert [name_of(page) for page in pages if str(page.relative_to(ROOT / "docs")) not in index] == []


def test_pages_name_no_local_folder() -> None:
    homes = re.compile(r"(?:^|[\s`\"'(])/(?:home|Users|root|work|tmp)/")
    assert [name_of(page) for page in PAGES if homes.search(page.read_text(encoding="utf-8"))] == []


def test_paths_of_the_published_log_are_resources_of_the_hub() -> None:
    text = (ROOT / "docs" / "auditing.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `/.*$", text.partition("## The published log")[2].partition("\n## ")[0], re.MULTILINE
    )
    named = [path for row in rows for path in re.findall(r"`(/[^`]+)`", row.split("|")[1])]
    assert len(named) == 7
    document = json.loads((ROOT / "contracts" / "openapi.json").read_text(encoding="utf-8"))
    resources = [path.replace("{path}", "") for path in document["paths"]]
    assert [path for path in named if not any(_is_below(path, one) for one in resources)] == []


def _is_below(path: str, resource: str) -> bool:
    return path.startswith(resource) if resource.endswith("/") else path == resource
