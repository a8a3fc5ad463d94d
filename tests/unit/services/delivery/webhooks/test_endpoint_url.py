from __future__ import annotations

import pytest

from services.delivery.webhooks.domain.endpoint_url import EndpointUrl, InvalidUrlError


def test_url_is_split_and_written_again() -> None:
    url = EndpointUrl.of("https://Cases.Example.org:8443/hooks/kopuro?token=s3cret")
    assert (url.scheme, url.host, url.port, url.target) == (
        "https",
        "cases.example.org",
        8443,
        "/hooks/kopuro?token=s3cret",
    )
    assert url.authority == "cases.example.org:8443"
    assert url.text == "https://cases.example.org:8443/hooks/kopuro?token=s3cret"
    assert url.shown == "https://cases.example.org:8443/hooks/kopuro"


def test_longest_accepted_url_without_path_can_be_read_back() -> None:
    url = EndpointUrl.of("https://cases.example.org?" + "x" * 973)
    assert len(url.text) == 1000
    assert EndpointUrl.of(url.text) == url


def test_default_port_and_path_are_left_out_of_authority() -> None:
    url = EndpointUrl.of("https://cases.example.org")
    assert (url.authority, url.text) == ("cases.example.org", "https://cases.example.org/")
    assert EndpointUrl.of("https://cases.example.org:443/") == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cases.example.org",
        "http://cases.example.org/",
        "ftp://cases.example.org/",
        "file:///etc/passwd",
        "https:///hooks",
        "https://user@cases.example.org/",
        "https://user:secret@cases.example.org/",
        "https://cases.example.org/#here",
        "https://cases.example.org:0x50/",
        "https://cases.example.org:99999/",
        "https://cases.example.org\\@127.0.0.1/",
        "https://cases.example.org/ two",
        "https://cases.example.org/\r\nHost: other",
        "https://кейсы.example/",
        "https://cases.example.org./",
        "https://localhost/",
        "https://127.0.0.1/",
        "https://0177.0.0.1/",
        "https://0x7f.0.0.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://127.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://cases..example.org/",
        "https://-cases.example.org/",
        "https://cases.example.org/" + "x" * 1000,
        "https://cases.example.org?" + "x" * 974,  # 1000 characters, and 1001 with its path
    ],
)
def test_url_that_names_no_public_https_host_is_refused(text: str) -> None:
    with pytest.raises(InvalidUrlError) as refused:
        EndpointUrl.of(text)
    assert text == "" or text not in str(refused.value)


def test_sandbox_takes_http_and_addresses_in_canonical_form() -> None:
    assert EndpointUrl.of("http://127.0.0.1:9000/hook", is_local=True).authority == "127.0.0.1:9000"
    assert EndpointUrl.of("http://[::1]/", is_local=True).authority == "[::1]"
    assert EndpointUrl.of("http://localhost/", is_local=True).host == "localhost"
    for text in ("http://0177.0.0.1/", "http://127.1/", "http://2130706433/", "ftp://127.0.0.1/"):
        with pytest.raises(InvalidUrlError):
            EndpointUrl.of(text, is_local=True)
