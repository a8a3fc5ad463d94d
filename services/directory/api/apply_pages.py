"""The pages for applicants: the form, its answer, and the state of an application.

They run no script and load nothing. They need no protection against cross-site request forgery: without
cookies or credentials, a forged request has no more effect than one that the other site sends itself. A
reference is sent in a body only, because browsers and servers keep URLs in histories and logs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from hashlib import sha256
from html import escape
from typing import Final

from marshmallow import ValidationError

from contracts.base64_text import encoded
from contracts.errors import RateLimited, Refused, Unavailable
from contracts.identifiers import UUID_PATTERN, Pattern
from contracts.vocabularies import label, rows
from runtime.web.languages import in_language, preferred_language
from runtime.web.parameters import invalid_parameter
from runtime.web.request import Request
from runtime.web.response import Response
from services.directory import admission
from services.directory.api.apply_form import (
    LANGUAGE_PREFIX,
    TEXTS,
    cleaned,
    document,
    faulty,
    reference_of,
)
from services.directory.api.apply_phrases import LANGUAGES, NAMES, phrases
from services.directory.domain.application import KeptApplication, reference_digest
from services.directory.handlers import DirectoryHandlers
from services.directory.handlers.applications import LimitReached

__all__ = ["LANGUAGES", "apply", "apply_form", "apply_state", "apply_state_form", "apply_withdraw"]

_FORM: Final = "application/x-www-form-urlencoded"
_STYLE: Final = (
    "body{font:1rem/1.5 sans-serif;max-width:40rem;margin:1rem auto;padding:0 1rem;color:#111}"
    "label,legend{display:block;margin-top:1rem;font-weight:bold}"
    "fieldset label{font-weight:normal;margin:0}fieldset{border:0;padding:0;margin:0}"
    "input:not([type=checkbox]),select,textarea{width:100%;box-sizing:border-box;font:inherit;padding:.3rem}"
    ".error{color:#a00;margin:.2rem 0}.hint{margin:.2rem 0}"
    "button{font:inherit;margin-top:1rem;padding:.4rem 1rem}"
    "code{word-break:break-all}"
)
_HASH: Final = encoded(sha256(_STYLE.encode()).digest())
_HEADERS: Final[Mapping[str, str]] = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_REQUIRED: Final = frozenset({"name", "kind", "country", "description", "contact_name"})
# The longest text that a field takes, and the browser's name of what it is.
_INPUTS: Final[Mapping[str, tuple[int, str, str]]] = {
    "name": (200, "text", "organization"),
    "contact_name": (100, "text", "name"),
    "contact_email": (200, "email", "email"),
    "contact_telephone": (40, "tel", "tel"),
    "website": (200, "url", "url"),
    "parent": (100, "text", "off"),
    "proposed_id": (100, "text", "off"),
}
_uuid: Final = Pattern(UUID_PATTERN)


def apply_form(handlers: DirectoryHandlers, request: Request) -> Response:
    """Return the empty form, or say that the network takes no applications."""
    language = _language(request)
    if not handlers.applications.taken:
        return _page(language, 503, "title", _paragraph(phrases(language)["full"]), path="/apply")
    return _form(language, 200, {}, handlers.applications.new_reference())


def apply(handlers: DirectoryHandlers, request: Request) -> Response:
    """Take an application. After a fault the form comes back with what was typed."""
    language, texts = _language(request), phrases(_language(request))
    fields = _fields(request)
    reference = reference_of(fields) or handlers.applications.new_reference()
    try:
        handlers.application_rates.take_application(request.origin)
        stated = {**document(fields), "reference_sha256": reference_digest(reference)}
        kept = handlers.applications.apply(admission.application(stated)).application
    except RateLimited as fault:
        return _form(language, 429, fields, reference, notice=texts["too_many"], retry=fault.retry_after)
    except Unavailable as fault:
        notice = texts["full" if isinstance(fault, LimitReached) else "unavailable"]
        return _form(language, 503, fields, reference, notice=notice, retry=fault.retry_after)
    except Refused as fault:
        if fault.slug == "conflict":
            return _form(language, 409, fields, handlers.applications.new_reference(), notice=texts["used"])
        if fault.slug != "invalid-submission":
            raise
        return _form(language, 422, fields, reference, wrong=faulty(fault.errors), notice=texts["correct"])
    body = (
        _paragraph(texts["received"])
        + _shown(texts["application_id"], kept.id)
        + _shown(texts["reference"], reference)
        + f'<p><a href="/apply/state?language={language}">{escape(texts["show_state"])}</a></p>'
    )
    return _page(language, 201, "received_title", body, path="/apply")


def apply_state_form(_handlers: DirectoryHandlers, request: Request) -> Response:
    """Return the page that asks for an id and its reference."""
    return _state_form(_language(request), 200)


def apply_state(handlers: DirectoryHandlers, request: Request) -> Response:
    """Show the state of an application."""
    return _about_one(request, handlers, handlers.applications.status)


def apply_withdraw(handlers: DirectoryHandlers, request: Request) -> Response:
    """Withdraw an application and show its state."""
    return _about_one(request, handlers, handlers.applications.withdraw)


def _about_one(
    request: Request, handlers: DirectoryHandlers, work: Callable[[str, str], KeptApplication]
) -> Response:
    language, texts = _language(request), phrases(_language(request))
    fields = _fields(request)
    application_id, reference = cleaned(fields.get("id", "")), cleaned(fields.get("reference", ""))
    try:
        handlers.application_rates.take_status_request(request.origin)
        _require_uuid(application_id)
        kept = work(application_id, reference)
    except RateLimited as fault:
        return _state_form(language, 429, notice=texts["too_many"], retry=fault.retry_after)
    except Refused as fault:
        notice = texts["not_now" if fault.slug == "conflict" else "not_found"]
        return _state_form(language, 409 if fault.slug == "conflict" else 404, notice=notice)
    return _page(language, 200, "state_title", _state(texts, language, kept, reference), path="/apply/state")


def _require_uuid(text: str) -> None:
    try:
        _uuid(text)
    except ValidationError:
        raise Refused("not-found", "There is no application with this id and reference.") from None


def _language(request: Request) -> str:
    language = request.query_params.get("language", preferred_language(request.headers, LANGUAGES))
    if language not in LANGUAGES:
        raise invalid_parameter("language", f"must be one of {', '.join(LANGUAGES)}.")
    return language


def _fields(request: Request) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise Refused("unsupported-media-type", f"The media type of a form must be {_FORM}.")
    return request.form()


def _form(
    language: str,
    status: int,
    fields: Mapping[str, str],
    reference: str,
    *,
    wrong: Collection[str] = (),
    notice: str = "",
    retry: int | None = None,
) -> Response:
    texts = phrases(language)
    parts = [_paragraph(texts["intro"]), _alert(notice)]
    parts.append(f'<form method="post" action="/apply?language={language}">')
    parts.append(f'<input type="hidden" name="reference" value="{escape(reference)}">')
    for name in TEXTS:
        if name == "description":
            parts.append(_languages(texts, language, fields, wrong))
        parts.append(_field(texts, language, name, fields.get(name, ""), name in wrong))
    parts.append(f"<button>{escape(texts['send'])}</button></form>")
    return _page(language, status, "title", "".join(parts), path="/apply", retry=retry)


def _field(texts: Mapping[str, str], language: str, name: str, value: str, wrong: bool) -> str:
    required = " required" if name in _REQUIRED else ""
    described = f' aria-invalid="true" aria-describedby="{name}-error"' if wrong else ""
    common = f'id="{name}" name="{name}"{required}{described}'
    head = f'<label for="{name}">{escape(texts[name])}{" *" if required else ""}</label>'
    if name == "contact_email":
        head += f'<p class="hint">{escape(texts["contact_hint"])}</p>'
    if wrong:
        head += f'<p class="error" id="{name}-error">{escape(texts["error_" + name])}</p>'
    if name == "kind":
        codes = {code: label("organization_kinds", code, language) for code in rows("organization_kinds")}
        return head + _select(common, codes, value, texts["choose"])
    if name == "country":
        countries = {code: label("regions", code, language) for code in rows("regions") if len(code) == 2}
        return head + _select(common, countries, value, texts["choose"])
    if name == "description":
        # A browser drops a line feed at the start of a text area.
        return head + f'<textarea {common} rows="6" maxlength="2000">\n{escape(value)}</textarea>'
    longest, kind, filled = _INPUTS[name]
    return (
        head + f'<input {common} type="{kind}" maxlength="{longest}" autocomplete="{filled}" '
        f'value="{escape(value)}">'
    )


def _select(common: str, options: Mapping[str, str], value: str, choose: str) -> str:
    shown = "".join(
        f'<option value="{escape(code)}"{" selected" if code == value else ""}>{escape(text)}</option>'
        for code, text in options.items()
    )
    return f'<select {common}><option value="">{escape(choose)}</option>{shown}</select>'


def _languages(
    texts: Mapping[str, str], language: str, fields: Mapping[str, str], wrong: Collection[str]
) -> str:
    error, described = "", ""
    if "languages" in wrong:
        error = f'<p class="error" id="languages-error">{escape(texts["error_languages"])}</p>'
        described = ' aria-describedby="languages-error"'
    boxes = "".join(
        f'<label><input type="checkbox" name="{LANGUAGE_PREFIX}{code}" value="1"'
        f"{' checked' if LANGUAGE_PREFIX + code in fields else ''}> "
        f"{escape(label('languages', code, language))}</label>"
        for code in rows("languages")
    )
    return f"<fieldset{described}><legend>{escape(texts['languages'])} *</legend>{error}{boxes}</fieldset>"


def _state_form(language: str, status: int, *, notice: str = "", retry: int | None = None) -> Response:
    texts = phrases(language)
    body = (
        _alert(notice) + f'<form method="post" action="/apply/state?language={language}">'
        f'<label for="id">{escape(texts["application_id"])}</label>'
        '<input id="id" name="id" required maxlength="36" autocomplete="off">'
        f'<label for="reference">{escape(texts["reference"])}</label>'
        '<input id="reference" name="reference" type="password" required maxlength="100" autocomplete="off">'
        f"<button>{escape(texts['show_state'])}</button></form>"
    )
    return _page(language, status, "state_title", body, path="/apply/state", retry=retry)


def _state(texts: Mapping[str, str], language: str, kept: KeptApplication, reference: str) -> str:
    parts = [_shown(texts["application_id"], kept.id), _paragraph(texts[kept.state])]
    if kept.state == "vetted":
        parts += [_paragraph(texts["vetted_next"]), f"<p><code>{escape(kept.organization or '')}</code></p>"]
    if kept.reason is not None:
        parts.append(_paragraph(f"{texts['reason']}: {texts[kept.reason]}"))
    if kept.note is not None:
        parts.append(_paragraph(f"{texts['note']}: {kept.note}"))
    if kept.is_open:
        parts.append(
            f'<form method="post" action="/apply/withdraw?language={language}">'
            f'<input type="hidden" name="id" value="{escape(kept.id)}">'
            f'<input type="hidden" name="reference" value="{escape(reference)}">'
            f"<button>{escape(texts['withdraw'])}</button></form>"
        )
    return "".join(parts)


def _page(
    language: str, status: int, title: str, body: str, *, path: str, retry: int | None = None
) -> Response:
    texts = phrases(language)
    others = " · ".join(
        f'<a href="{path}?language={code}" hreflang="{code}" lang="{code}">{NAMES[code]}</a>'
        for code in LANGUAGES
        if code != language
    )
    page = (
        f'<!DOCTYPE html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(texts[title])}</title><style>{_STYLE}</style></head>"
        f"<body><nav>{others}</nav><main><h1>{escape(texts[title])}</h1>{body}</main></body></html>\n"
    )
    headers = dict(_HEADERS) if retry is None else {**_HEADERS, "Retry-After": str(retry)}
    return in_language(Response(status, page.encode(), headers), language)


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _alert(text: str) -> str:
    return f'<p class="error" role="alert">{escape(text)}</p>' if text else ""


def _shown(name: str, value: str) -> str:
    return f"<p>{escape(name)}: <code>{escape(value)}</code></p>"
