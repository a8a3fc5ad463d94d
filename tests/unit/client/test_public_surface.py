import importlib.resources
import inspect

import kopuro_client
from kopuro_client import errors


def test_public_names_are_exactly_as_listed() -> None:
    assert kopuro_client.__all__ == [
        "AuthenticationError",
        "CaseError",
        "ClientError",
        "DefectError",
        "Discovery",
        "FieldError",
        "InvalidArgumentError",
        "Kopuro",
        "Problem",
        "RefusedError",
        "RetryPolicy",
        "SealingError",
        "Submission",
        "Transport",
        "TransportError",
        "UnavailableError",
        "UnreadableError",
        "WrongKeyError",
        "check_case",
        "continuing_trace",
        "generate_key",
        "open_sealed",
        "public_key",
        "seal",
        "thumbprint",
    ]
    assert all(hasattr(kopuro_client, name) for name in kopuro_client.__all__)


def test_error_tree_docstring_lists_every_error() -> None:
    drawn = errors.__doc__ or ""
    for name, value in vars(errors).items():
        if inspect.isclass(value) and issubclass(value, Exception):
            assert issubclass(value, errors.ClientError)
            assert name in drawn
            assert name in kopuro_client.__all__


def test_package_has_py_typed_marker() -> None:
    assert importlib.resources.files(kopuro_client).joinpath("py.typed").is_file()
