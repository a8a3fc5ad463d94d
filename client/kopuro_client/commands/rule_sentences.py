"""The failed rules of a routing decision as sentences, in English, Russian and Kyrgyz."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from kopuro_client.commands.code_words import conditions_in_words, values_in_words
from kopuro_client.commands.labels import LANGUAGES
from kopuro_client.commands.printable import printable
from kopuro_client.records import Candidate, Rule

# The hub's reason code of a failed rule -> its sentence in each of LANGUAGES.
SENTENCES: Final[Mapping[str, tuple[str, str, str]]] = {
    "inactive": (
        "It is not active in the network.",
        "Она не действует в сети.",
        "Ал тармакта иштебейт.",
    ),
    "not_vetted": (
        "The network has not vetted it, or has suspended it.",
        "Сеть её не проверила или приостановила её участие.",
        "Тармак аны текшере элек же катышуусун токтоткон.",
    ),
    "is_the_sender": (
        "It sent the referral itself.",
        "Она сама отправила направление.",
        "Жолдомону ал өзү жөнөткөн.",
    ),
    "no_consent": (
        "The person has not consented to a referral.",
        "Человек не дал согласия на направление.",
        "Адам жолдомого макулдук берген эмес.",
    ),
    "excluded_by_the_person": (
        "The person excluded it, or its parent organisation.",
        "Человек исключил её или её головную организацию.",
        "Адам аны же анын башкы уюмун четтеткен.",
    ),
    "kind_not_opted_in": (
        "The person has not agreed to organisations of its kind ({kind}).",
        "Человек не дал согласия на организации такого вида ({kind}).",
        "Адам мындай түрдөгү уюмдарга ({kind}) макулдук берген эмес.",
    ),
    "no_agreement": (
        "No agreement lets the sender disclose this need to it: {needs}.",
        "Нет соглашения, по которому отправитель может сообщить ей об этой потребности: {needs}.",
        "Жөнөтүүчүгө бул муктаждыкты ага билдирүүгө уруксат берген макулдашуу жок: {needs}.",
    ),
    "no_sealing_key": (
        "It has no sealing key, so no case can be sent to it.",
        "У неё нет ключа запечатывания, поэтому дело ей отправить нельзя.",
        "Анын мөөрлөө ачкычы жок, ошондуктан ага иш жөнөтүүгө болбойт.",
    ),
    "sealed_for_another": (
        "The case is sealed for another organisation ({to}).",
        "Дело запечатано для другой организации ({to}).",
        "Иш башка уюм үчүн мөөрлөнгөн ({to}).",
    ),
    "need_not_offered": (
        "Its service does not meet this need: {need}.",
        "Её услуга не отвечает этой потребности: {need}.",
        "Анын кызматы бул муктаждыкка ылайык келбейт: {need}.",
    ),
    "service_not_approved": (
        "The network has not approved any of its services for this person with this sensitive need: {needs}.",
        "Сеть не одобрила ни одной её услуги для этого человека с такой деликатной потребностью: {needs}.",
        "Тармак анын бир да кызматын мындай купуя муктаждыгы бар бул адам үчүн бекиткен эмес: {needs}.",
    ),
    "out_of_area": (
        "Its service does not cover the region: {region}.",
        "Её услуга не охватывает регион: {region}.",
        "Анын кызматы аймакты камтыбайт: {region}.",
    ),
    "settlement_not_served": (
        "Its service does not cover this kind of settlement ({settlement}).",
        "Её услуга не охватывает такие населённые пункты ({settlement}).",
        "Анын кызматы мындай калктуу конушту ({settlement}) камтыбайт.",
    ),
    "not_eligible": (
        "The person does not meet the conditions of its service: {unmet}.",
        "Человек не соответствует условиям её услуги: {unmet}.",
        "Адам анын кызматынын шарттарына ылайык келбейт: {unmet}.",
    ),
    "no_common_language": (
        "It speaks none of the person's languages and has no interpreter; it speaks {spoken}.",
        "В ней не говорят ни на одном из языков человека, и переводчика нет; её языки: {spoken}.",
        "Анда бул адамдын бир да тилинде сүйлөшпөйт, котормочу да жок; анын тилдери: {spoken}.",
    ),
    "not_free": (
        "Its service costs money ({cost}), which the person cannot pay.",
        "Её услуга платная ({cost}), человек платить не может.",
        "Анын кызматы акылуу ({cost}), адам төлөй албайт.",
    ),
    "no_capacity": (
        "Its service {status}, so it cannot take this referral.",
        "Её услуга не может принять это направление: {status}.",
        "Анын кызматы бул жолдомону кабыл ала албайт: {status}.",
    ),
    "declined_no_capacity": (
        "It said at {declined_at} that it had no capacity, so its service counts as full until {until}.",
        "Она сообщила о нехватке мест ({declined_at}); считается, что мест в её услуге нет до {until}.",
        "Ал орун жок деп билдирген ({declined_at}), ошондуктан кызматы {until} учуруна чейин толук деп "
        "эсептелет.",
    ),
    "no_place": (
        "All its places are taken: {accepted} of {maximum}.",
        "Все её места заняты: {accepted} из {maximum}.",
        "Анын бардык орундары ээленген: {maximum} орундун ичинен {accepted}.",
    ),
    "share_used": (
        "The sender's share of the places there is {share}; its open offers there: {offers}.",
        "Доля мест отправителя там: {share}, а открытых предложений у него там: {offers}.",
        "Ал жердеги орундардан жөнөтүүчүнүн үлүшү: {share}, ал эми ал жердеги ачык сунуштары: {offers}.",
    ),
    "withdrawn_too_often": (
        "Referrals that were offered to it and that the sender ended soon afterwards: {withdrawn}; the next "
        "one can be offered from {until}.",
        "Направлений, которые отправитель прекратил вскоре после того, как их ей предложили: {withdrawn}; "
        "следующее можно предложить с {until}.",
        "Ага сунушталгандан көп өтпөй жөнөтүүчү токтоткон жолдомолор: {withdrawn}; кийинкисин {until} "
        "учурунан тартып сунуштоого болот.",
    ),
    "not_always_open": (
        "It is not open at all hours, as an emergency requires.",
        "Она не работает круглосуточно, как того требует экстренный случай.",
        "Ал күнү-түнү иштебейт, ал эми өзгөчө шашылыш учур муну талап кылат.",
    ),
    "storage_not_allowed": (
        "The person does not allow the case to be stored in its country ({country}).",
        "Человек не разрешил хранить дело в её стране ({country}).",
        "Адам ишти анын өлкөсүндө ({country}) сактоого уруксат берген эмес.",
    ),
    "already_asked": (
        "It has already been asked about this referral.",
        "Ей уже предлагали это направление.",
        "Ага бул жолдомо мурда сунушталган.",
    ),
    "conflict_of_interest": (
        "It has declared a conflict of interest about this person, and is not asked about any part.",
        "Она заявила о конфликте интересов в отношении этого человека, и ей не предлагают ни одну часть.",
        "Ал бул адам боюнча кызыкчылыктардын кагылышуусун билдирген, ага бир да бөлүгү сунушталбайт.",
    ),
    "person_prefers_another": (
        "The person prefers another organisation, so this one is not asked about any part.",
        "Человек предпочитает другую организацию, поэтому этой не предлагают ни одну часть.",
        "Адам башка уюмду каалайт, ошондуктан буга бир да бөлүгү сунушталбайт.",
    ),
    "no_room_reported": (
        "It declined for lack of capacity at {declined_at} and has not reported capacity since.",
        "Она отказала из-за нехватки мест ({declined_at}) и с тех пор о местах не сообщала.",
        "Ал орун жоктугунан баш тарткан ({declined_at}), андан бери орун бар деп билдирген жок.",
    ),
    "asked_lately": (
        "It declined for lack of capacity at {declined_at} and can be asked again from {until}.",
        "Она отказала из-за нехватки мест ({declined_at}); снова предложить можно с {until}.",
        "Ал орун жоктугунан баш тарткан ({declined_at}); {until} учурунан тартып кайра сунуштоого болот.",
    ),
    "held_before": (
        "It has had this person's case earlier in the chain of onward referrals.",
        "Дело этого человека уже было у неё раньше в цепочке передач.",
        "Бул адамдын иши жөнөтүүлөр чынжырында мурда анда болгон.",
    ),
}

# The sentences for a referral's sender. The hub does not show it times or numbers that follow from the
# referrals of others.
TO_SENDER: Final[Mapping[str, tuple[str, str, str]]] = {
    "declined_no_capacity": (
        "It said within {within_hours} h before this decision that it had no capacity, so its service "
        "counted as full.",
        "В течение {within_hours} ч до этого решения она сообщила о нехватке мест, поэтому считалось, что "
        "мест в её услуге нет.",
        "Бул чечимге чейинки {within_hours} саат ичинде ал орун жок деп билдирген, ошондуктан кызматы толук "
        "деп эсептелген.",
    ),
    "share_used": (
        "The sender has used its share of the places there; its open offers there: {offers}.",
        "Отправитель исчерпал свою долю мест там; открытых предложений у него там: {offers}.",
        "Жөнөтүүчү ал жердеги орундардан үлүшүн толук колдонгон; ал жердеги ачык сунуштары: {offers}.",
    ),
}

# (reason code, standing of the organisation) -> what to say instead of the reason's sentence.
BY_STANDING: Final[Mapping[tuple[str, str], tuple[str, str, str]]] = {
    ("not_vetted", "applied"): (
        "The network has not vetted it yet.",
        "Сеть её ещё не проверила.",
        "Тармак аны азырынча текшере элек.",
    ),
    ("not_vetted", "suspended"): (
        "The network has suspended it.",
        "Сеть приостановила её участие.",
        "Тармак анын катышуусун токтоткон.",
    ),
    ("not_vetted", "left"): (
        "It has left the network.",
        "Она вышла из сети.",
        "Ал тармактан чыккан.",
    ),
    **dict.fromkeys(
        (("no_agreement", "applied"), ("no_agreement", "suspended"), ("no_agreement", "left")),
        (
            "No agreement for this need ({needs}) names it, and agreements with all vetted organisations do "
            "not apply to it now.",
            "Нет соглашения об этой потребности ({needs}), где названа эта организация, а соглашения со "
            "всеми проверенными организациями сейчас на неё не распространяются.",
            "Бул муктаждык ({needs}) боюнча аны атаган макулдашуу жок, ал эми бардык текшерилген уюмдар "
            "менен макулдашуулар азыр ага тиешелүү эмес.",
        ),
    ),
}


# The rules that a coordinator may override. The hub decides; this only tells before.
OVERRIDABLE: Final = frozenset(
    {
        "need_met",
        "area_served",
        "settlement_served",
        "person_eligible",
        "language_shared",
        "capacity_left",
        "capacity_not_declined",
        "place_left",
        "open_now",
        "not_asked_before",
        "not_in_chain",
    }
)


def may_be_placed(candidate: Candidate) -> bool:
    """Return whether a coordinator may override every rule that excludes the candidate."""
    return all(rule["passed"] or rule["rule"] in OVERRIDABLE for rule in candidate["rules"])


def rules_overridden(services: Iterable[Candidate]) -> list[str]:
    """Return the rules that a placement with one of these services may override, each once."""
    placeable = [one for one in services if may_be_placed(one)]
    failed = [rule["rule"] for one in placeable for rule in one["rules"] if not rule["passed"]]
    return list(dict.fromkeys(failed))


def failed_rules(candidate: Candidate, language: str = "en") -> list[str]:
    """Return a sentence for each failed rule."""
    failed = [rule for rule in candidate["rules"] if not rule["passed"]]
    standings = (rule["detail"].get("vetting") for rule in failed if rule["reason"] == "not_vetted")
    standing = next(standings, None)
    return [sentence_of(rule, language, standing=standing) for rule in failed]


def sentence_of(rule: Rule, language: str = "en", *, standing: str | None = None) -> str:
    """Return why the rule failed; the rule and its code if the hub's reason is unknown here.

    standing: of the organisation, if it is not vetted.
    """
    reason = rule["reason"] or ""
    for known in (BY_STANDING.get((reason, standing or "")) or SENTENCES.get(reason), TO_SENDER.get(reason)):
        if known is None:
            continue
        try:
            detail = values_in_words(rule["detail"], language)
            if conditions := rule.get("conditions"):
                detail["unmet"] = conditions_in_words(rule["detail"]["unmet"], conditions, language)
            return known[LANGUAGES.index(language)].format_map(detail)
        except (KeyError, ValueError, IndexError, AttributeError):
            pass  # the sender's detail, or another version's: the code still says it
    return f"{rule['rule']}: {rule['reason']}" + (f" ({printable(rule['detail'])})" if rule["detail"] else "")
