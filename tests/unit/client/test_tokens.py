import base64
import threading

import pytest

from kopuro_client import AuthenticationError, DefectError, Kopuro, Transport
from kopuro_client.tokens import ClientCredentials, TokenSource
from tests.unit.client.conftest import FakeClock
from tests.unit.client.fake_hub import FakeHub, Response, json_response, problem

TOKEN = "/directory/oauth/token"
REFERRAL = "/intake/v1/referrals/r1"


def tokens_of(hub: FakeHub, fake_clock: FakeClock, client_secret: str | None = None) -> TokenSource:
    credentials = ClientCredentials(client_id="kg.osh-legal-aid", client_secret=client_secret or "a secret")
    transport = Transport(sleep=fake_clock.sleep, clock=fake_clock.clock)
    return TokenSource(transport, token_url=hub.base + TOKEN, credentials=credentials)


def test_token_request_follows_rfc_6749(hub: FakeHub, fake_clock: FakeClock) -> None:
    assert tokens_of(hub, fake_clock, client_secret="a+b:c/%é").current() == "token-1"
    [request] = hub.requests_to(TOKEN)
    assert request.body == b"grant_type=client_credentials"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    scheme, pair = request.headers["authorization"].split()
    assert scheme == "Basic"
    assert base64.b64decode(pair) == b"kg.osh-legal-aid:a%2Bb%3Ac%2F%25%C3%A9"


def test_token_is_cached_until_shortly_before_expiry(hub: FakeHub, fake_clock: FakeClock) -> None:
    tokens = tokens_of(hub, fake_clock)
    assert tokens.current() == "token-1"
    fake_clock.now += 900 - 60 - 1
    assert tokens.current() == "token-1"
    fake_clock.now += 1
    assert tokens.current() == "token-2"


def test_short_lived_token_is_cached_for_most_of_its_lifetime(hub: FakeHub, fake_clock: FakeClock) -> None:
    hub.token_lifetime = 20.0
    tokens = tokens_of(hub, fake_clock)
    tokens.current()
    fake_clock.now += 17.9
    assert tokens.current() == "token-1"
    fake_clock.now += 0.2
    assert tokens.current() == "token-2"


def test_concurrent_threads_request_one_token(hub: FakeHub, fake_clock: FakeClock) -> None:
    tokens = tokens_of(hub, fake_clock)
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.append(tokens.current())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == ["token-1"] * 8


def test_discard_drops_only_the_rejected_token(hub: FakeHub, fake_clock: FakeClock) -> None:
    tokens = tokens_of(hub, fake_clock)
    first = tokens.current()
    tokens.discard(first)
    second = tokens.current()
    tokens.discard(first)  # another thread reports the old token late
    assert tokens.current() == second == "token-2"


@pytest.mark.parametrize(
    "refusal",
    [
        problem(401, "invalid-client", "The client is unknown"),
        json_response({"error": "invalid_client"}, status=400),
    ],
)
def test_wrong_credentials_raise_authentication_error(
    hub: FakeHub, fake_clock: FakeClock, refusal: Response
) -> None:
    hub.script("POST", TOKEN, refusal)
    with pytest.raises(AuthenticationError) as caught:
        tokens_of(hub, fake_clock).current()
    assert "a secret" not in str(caught.value)


@pytest.mark.parametrize("body", [{}, {"access_token": 7, "expires_in": 900}, {"access_token": "t"}])
def test_incomplete_token_response_raises_defect_error(
    hub: FakeHub, fake_clock: FakeClock, body: dict[str, object]
) -> None:
    hub.script("POST", TOKEN, json_response(body))
    with pytest.raises(DefectError):
        tokens_of(hub, fake_clock).current()


def test_credentials_repr_hides_the_secret() -> None:
    assert "hidden" not in repr(ClientCredentials(client_id="x", client_secret="hidden"))


def test_get_with_401_is_repeated_once_with_new_token(hub: FakeHub, client: Kopuro) -> None:
    hub.script("GET", REFERRAL, problem(401, "invalid-token", "No"), json_response({"id": "r1"}))
    assert client.referral("r1")["id"] == "r1"
    used = [request.headers["authorization"] for request in hub.requests_to(REFERRAL)]
    assert used == ["Bearer token-1", "Bearer token-2"]


def test_post_with_401_is_repeated_once_with_new_token(hub: FakeHub, client: Kopuro) -> None:
    accept = "/intake/v1/offers/o1/accept"
    hub.script(
        "POST",
        accept,
        problem(401, "expired-token", "No"),
        json_response({"id": "s1", "status": "submitted"}),
    )
    assert client.accept("o1")["id"] == "s1"


def test_second_401_raises_authentication_error(hub: FakeHub, client: Kopuro) -> None:
    hub.script("GET", REFERRAL, problem(401, "invalid-token", "The bearer token is invalid"))
    with pytest.raises(AuthenticationError, match="is invalid"):
        client.referral("r1")
    assert len(hub.requests_to(REFERRAL)) == 2
