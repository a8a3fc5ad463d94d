import inspect

from kopuro_client import ClientError, tlog
from kopuro_client.commands.exit_codes import ExitCode, exit_code_of
from kopuro_client.tlog import errors


def test_public_names_exist_and_have_docstrings() -> None:
    for name in tlog.__all__:
        value = getattr(tlog, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), name


def test_public_functions_keep_their_arguments() -> None:
    arguments = {
        name: list(inspect.signature(getattr(tlog, name)).parameters)
        for name in ("leaf_hash", "verify_inclusion", "verify_consistency", "parse_checkpoint")
    }
    assert arguments == {
        "leaf_hash": ["data"],
        "verify_inclusion": ["leaf_hash", "index", "tree_size", "proof", "root"],
        "verify_consistency": ["size1", "size2", "proof", "root1", "root2"],
        "parse_checkpoint": ["text", "verifiers"],
    }


def test_error_tree_matches_its_docstring() -> None:
    drawn = errors.__doc__ or ""
    family = [value for value in vars(errors).values() if inspect.isclass(value) and value is not ClientError]
    for error in family:
        assert issubclass(error, tlog.TlogError)
        assert error.__name__ in drawn
        assert error.__name__ in tlog.__all__
        assert exit_code_of(error("what does not hold")) is ExitCode.NOT_VERIFIED
