import base64
import threading

import pytest

from kopuro_client import AuthenticationError, DefectError, Kopuro, Transport
from kopuro_client.tokens import ClientCredentials, TokenSource
from tests.unit.client.conftest import Passing
from tests.unit.client.fake_hub import Answer, FakeHub, answer, problem

TOKEN = "/directory/oauth/token"
REFERRAL = "/intake/v1/referrals/r1"


def tokens_of(hub: FakeHub, passing: Passing, client_secret: str | None = None) -> TokenSource:
    credentials = ClientCredentials(client_id="kg.osh-legal-aid", client_secret=client_secret or "a secret")
    transport = Transport(sleep=passing.sleep, clock=passing.clock)
    return TokenSource(transport, token_url=hub.base + TOKEN, credentials=credentials)


def test_the_token_is_asked_for_as_rfc_6749_says(hub: FakeHub, passing: Passing) -> None:
    assert tokens_of(hub, passing, client_secret="a+b:c/%é").current() == "token-1"
    [request] = hub.requests_to(TOKEN)
    assert request.body == b"grant_type=client_credentials"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    scheme, pair = request.headers["authorization"].split()
    assert scheme == "Basic"
    assert base64.b64decode(pair) == b"kg.osh-legal-aid:a%2Bb%3Ac%2F%25%C3%A9"


def test_a_token_is_kept_until_shortly_before_it_expires(hub: FakeHub, passing: Passing) -> None:
    tokens = tokens_of(hub, passing)
    assert tokens.current() == "token-1"
    passing.now += 900 - 60 - 1
    assert tokens.current() == "token-1"
    passing.now += 1
    assert tokens.current() == "token-2"


def test_a_short_lived_token_is_kept_for_most_of_its_life(hub: FakeHub, passing: Passing) -> None:
    hub.token_lifetime = 20.0
    tokens = tokens_of(hub, passing)
    tokens.current()
    passing.now += 17.9
    assert tokens.current() == "token-1"
    passing.now += 0.2
    assert tokens.current() == "token-2"


def test_threads_that_need_a_token_at_once_ask_for_one(hub: FakeHub, passing: Passing) -> None:
    tokens = tokens_of(hub, passing)
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.append(tokens.current())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == ["token-1"] * 8


def test_only_the_refused_token_is_discarded(hub: FakeHub, passing: Passing) -> None:
    tokens = tokens_of(hub, passing)
    first = tokens.current()
    tokens.discard(first)
    second = tokens.current()
    tokens.discard(first)  # another thread's late word about the old one
    assert tokens.current() == second == "token-2"


@pytest.mark.parametrize(
    "refusal",
    [
        problem(401, "invalid-client", "The client is unknown"),
        answer({"error": "invalid_client"}, status=400),
    ],
)
def test_wrong_credentials_are_an_authentication_error(
    hub: FakeHub, passing: Passing, refusal: Answer
) -> None:
    hub.script("POST", TOKEN, refusal)
    with pytest.raises(AuthenticationError) as caught:
        tokens_of(hub, passing).current()
    assert "a secret" not in str(caught.value)


@pytest.mark.parametrize("body", [{}, {"access_token": 7, "expires_in": 900}, {"access_token": "t"}])
def test_half_a_token_is_a_defect(hub: FakeHub, passing: Passing, body: dict[str, object]) -> None:
    hub.script("POST", TOKEN, answer(body))
    with pytest.raises(DefectError):
        tokens_of(hub, passing).current()


def test_the_secret_is_not_shown() -> None:
    assert "hidden" not in repr(ClientCredentials(client_id="x", client_secret="hidden"))


def test_a_401_is_answered_once_with_a_new_token(hub: FakeHub, client: Kopuro) -> None:
    hub.script("GET", REFERRAL, problem(401, "invalid-token", "No"), answer({"id": "r1"}))
    assert client.referral("r1")["id"] == "r1"
    used = [request.headers["authorization"] for request in hub.requests_to(REFERRAL)]
    assert used == ["Bearer token-1", "Bearer token-2"]


def test_a_401_is_answered_for_a_post_too(hub: FakeHub, client: Kopuro) -> None:
    accept = "/intake/v1/offers/o1/accept"
    hub.script(
        "POST", accept, problem(401, "expired-token", "No"), answer({"id": "s1", "status": "submitted"})
    )
    assert client.accept("o1")["id"] == "s1"


def test_a_second_401_is_an_authentication_error(hub: FakeHub, client: Kopuro) -> None:
    hub.script("GET", REFERRAL, problem(401, "invalid-token", "The bearer token is invalid"))
    with pytest.raises(AuthenticationError, match="cannot be trusted"):
        client.referral("r1")
    assert len(hub.requests_to(REFERRAL)) == 2
