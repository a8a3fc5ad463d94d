from __future__ import annotations

import base64
import hmac
from hashlib import sha256

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from services.delivery.webhooks.domain.signature import SECRET_BYTES, SigningSecret, signed_headers

# The vectors of the Standard Webhooks reference libraries (`v1`) and of the server that they are taken from
# (`v1a`): the same message signed with each scheme.
VECTOR_MAC_KEY = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
VECTOR_PRIVATE = base64.b64decode(
    "6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
)
VECTOR_PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
VECTOR_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
VECTOR_TIMESTAMP = 1614265330
VECTOR_BODY = b'{"test": 2432232314}'
VECTOR_V1 = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
VECTOR_V1A = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
VECTOR = SigningSecret(mac_key=VECTOR_MAC_KEY, seed=VECTOR_PRIVATE[:32])

SECRETS = st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES)


def test_signatures_match_published_vectors() -> None:
    headers = signed_headers([VECTOR], message_id=VECTOR_ID, timestamp=VECTOR_TIMESTAMP, body=VECTOR_BODY)
    assert headers == {
        "webhook-id": VECTOR_ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": f"{VECTOR_V1} {VECTOR_V1A}",
    }
    assert VECTOR.shared == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert VECTOR.public_key == VECTOR_PUBLIC


@given(SECRETS, st.binary(max_size=200))
def test_receiver_verifies_both_signatures_with_what_it_was_given(content: bytes, body: bytes) -> None:
    secret = SigningSecret.of(content)
    headers = signed_headers([secret], message_id="m", timestamp=7, body=body)
    v1, v1a = headers["webhook-signature"].split(" ")
    key = base64.b64decode(secret.shared.removeprefix("whsec_"))
    signed = b"m.7." + body
    assert v1 == "v1," + base64.b64encode(hmac.digest(key, signed, sha256)).decode()
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(secret.public_key.removeprefix("whpk_")))
    signature = base64.b64decode(v1a.removeprefix("v1a,"))
    public.verify(signature, signed)
    with pytest.raises(InvalidSignature):
        public.verify(signature, signed + b" ")


def test_two_live_secrets_sign_newest_first() -> None:
    other = SigningSecret.of(bytes(SECRET_BYTES))
    both = signed_headers([other, VECTOR], message_id="m", timestamp=1, body=b"")["webhook-signature"]
    each = [signed_headers([one], message_id="m", timestamp=1, body=b"") for one in (other, VECTOR)]
    assert both == " ".join(one["webhook-signature"] for one in each)


def test_representation_of_secret_shows_no_key() -> None:
    secret = SigningSecret.of(b"s" * SECRET_BYTES)
    assert repr(secret) == "SigningSecret()"


def test_secret_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="64 bytes"):
        SigningSecret.of(b"short")
