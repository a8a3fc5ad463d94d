"""Advice to the receiver of each problem. Published with the list of problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_REPEAT = "Send the request again after `Retry-After`, under the same Idempotency-Key if it had one."

ADVICE: Final[Mapping[str, str]] = {
    "malformed-request": "Use an HTTP library; send the whole body without long pauses.",
    "head-too-large": "Send fewer or shorter headers, or a shorter address.",
    "duplicate-header": "Send each header once.",
    "misspelt-header": "Spell headers with hyphens, as in `Idempotency-Key`.",
    "invalid-path": "Build the path from the ids as they were given, without dots or escaped slashes.",
    "unsupported-content-encoding": "Send the body uncompressed.",
    "duplicate-name": "Send each member of an object once; `errors` names it.",
    "malformed-json": "Send JSON as RFC 8259 defines it; `detail` and `errors` say where the fault is.",
    "invalid-cursor": "Pass `after` exactly as it came in `next`, or start again without it.",
    "invalid-parameter": "Correct the parameter that `errors` or `detail` names.",
    "missing-token": "Get a token from `/oauth/token` and send it as `Authorization: Bearer`.",
    "invalid-token": "Get a new token. If it is refused too, ask the operators.",
    "expired-token": "Get a new token and repeat the request.",
    "invalid-client": "Check the client id and its secret or key. If they are right, ask the operators.",
    "unauthorized-client": "Do not repeat it: ask the operators. `detail` says why the client gets no token.",
    "clock-skew": "Set the clock; `detail` states the difference and the hub's time.",
    "forbidden": "Do not repeat it: the role, the organisation or its standing does not permit it.",
    "proof-required": "Sign the request and send the proof in `Kopuro-Proof`.",
    "invalid-proof": "Make a new proof for this request; check the clock and the client's key.",
    "not-found": "Check the id. The response is the same for an id that you may not see.",
    "method-not-allowed": "Use one of the methods in the `Allow` header.",
    "method-not-implemented": "Use a registered method in upper case.",
    "conflict": "Read the current state and decide again, not before `until` if the problem has it.",
    "idempotency-conflict": "Repeat the first body under this key, or send this body under a new key.",
    "idempotency-key-unsupported": "Send the request without the key; use a precondition if there is one.",
    "offer-closed": "Do nothing: the offer has ended.",
    "not-in-this-state": (
        "Read `detail` and the referral; its state does not permit the request, before `until` if the problem"
        " has it."
    ),
    "not-a-party": "Do not repeat it: only another organisation may do this.",
    "precondition-failed": "Read the record again, and send the change with its present revision.",
    "body-too-large": "Send a smaller body: fewer lines, or fewer and smaller documents.",
    "unsupported-media-type": "Send the body with the media type that `detail` names.",
    "expectation-failed": "Send the request without `Expect`, or with `100-continue`.",
    "invalid-submission": "Correct the members that `errors` names.",
    "invalid-token-request": "Send a form as RFC 6749 describes it, with one way of authentication.",
    "unsupported-grant-type": "Send `grant_type=client_credentials`.",
    "invalid-scope": "Send no `scope`: the roles of the client decide.",
    "case-not-sealed": "Seal the content on your machine as the contract requires, to a current key.",
    "case-unreadable": "Seal the case again from your own copy, and replace it or submit it again.",
    "unknown-organization": "Choose an organisation of the directory.",
    "receiver-has-no-key": "Choose another receiver, or wait until this one has published a key.",
    "bundle-too-large": "Read the history in pages instead.",
    "precondition-required": "Read the record, and send its `ETag` as `If-Match`.",
    "too-many-open-requests": "Wait until some of the open requests are decided, or withdraw one.",
    "response-too-large": "Report it to the operators: no response of the hub should have this size.",
    "content-mismatch": "Tell the operators and the auditors: the hub's data was damaged.",
    "too-many-requests": "Send fewer requests, and wait as `Retry-After` says: `RateLimit` has what is left.",
    "too-many-statements": "Wait as `Retry-After` says; report less often about one referral.",
    "too-many-submissions": (
        "Repeat the submission under the same key after `retry_after` seconds; in a batch, repeat only the"
        " lines with this problem. Admitted lines stay admitted."
    ),
    "custody-full": (
        "End or withdraw open referrals that are done with, or send smaller documents or shorter notes."
        " Emergencies have a reserve. If your open referrals need more, ask the operators."
    ),
    "unavailable": _REPEAT,
    "internal": "Report it to the operators with the `reference`. " + _REPEAT,
}
