from __future__ import annotations

import pytest
from marshmallow import RAISE, Schema, ValidationError, fields, validate, validates_schema

from contracts.errors import PointerError
from runtime.web.validation import invalid, pointer, pointer_errors

PERSON = "Aigerim Toktogulova"


class Consent(Schema):
    given = fields.Boolean(required=True)

    class Meta:
        unknown = RAISE


class Thing(Schema):
    needs = fields.List(fields.String(validate=validate.OneOf(["legal"])), required=True)
    urgency = fields.String(validate=validate.OneOf(["routine"]))
    count = fields.Integer()
    consent = fields.Nested(Consent)

    class Meta:
        unknown = RAISE

    @validates_schema(skip_on_field_errors=False)
    def whole(self, data: object, **_: object) -> None:
        raise ValidationError("The thing as a whole is wrong.")


def messages(document: object) -> dict[str, object]:
    with pytest.raises(ValidationError) as caught:
        Thing().load(document)  # type: ignore[arg-type]  # a wrong type is one of the cases
    found = caught.value.messages
    assert isinstance(found, dict)
    return found


def test_pointers_are_escaped_as_rfc_6901_asks() -> None:
    assert pointer(()) == ""
    assert pointer(("consent", "given")) == "/consent/given"
    assert pointer(("needs", 0, "a/b~c")) == "/needs/0/a~1b~0c"


def test_marshmallows_messages_become_pointers() -> None:
    found = {e.pointer for e in pointer_errors(messages({"needs": ["x"], "consent": {"more": 1}}))}
    assert found == {"/needs/0", "/consent/given", "/consent/more", ""}


def test_a_document_that_is_no_object_is_wrong_as_a_whole() -> None:
    assert PointerError(pointer="", detail="Invalid input type.") in pointer_errors(messages([]))


def test_no_value_is_repeated() -> None:
    document = {"needs": [PERSON], "urgency": PERSON, "count": PERSON, "consent": {"given": PERSON}}
    assert PERSON not in str(invalid(messages(document)).problem())


def test_the_answer_stays_small_whatever_was_sent() -> None:
    document = {f"{i}" + "x" * 10_000: 1 for i in range(500)}
    refused = invalid(messages(document))
    assert len(refused.errors) == 50
    assert len(str(refused.problem())) < 10_000


def test_the_refusal_is_a_422_of_the_contract() -> None:
    refused = invalid({"needs": ["Missing."]})
    assert (refused.slug, refused.status) == ("invalid-submission", 422)
    assert refused.errors == (PointerError(pointer="/needs", detail="Missing."),)
