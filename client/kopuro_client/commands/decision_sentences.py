"""The sentences of a decision's explanation besides its failed rules, in English, Russian and Kyrgyz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kopuro_client.commands.code_words import CAPACITIES, Texts, values_in_words
from kopuro_client.commands.labels import LANGUAGES
from kopuro_client.commands.printable import day_or_moment, moment, one_line
from kopuro_client.records import Candidate, Decision, NobodyConsidered

PHRASES: Final[Mapping[str, Texts]] = {
    "decision": ("Decision at {time}", "Решение от {time}", "{time} учурунда чыккан чечим"),
    "candidates": ("Candidates at {time}", "Кандидаты на {time}", "{time} учурундагы талапкерлер"),
    "cause": ("cause", "причина", "себеби"),
    "policy": ("policy", "правила", "эрежелер"),
    "directory": ("directory", "справочник", "маалымдама"),
    "order": ("Order of asking:", "Порядок обращения:", "Сунуштоо тартиби:"),
    "may_be_asked": ("May be asked:", "Можно предложить:", "Сунуштоого болот:"),
    "in_parts": (
        "No organisation could take all needs now. In parts:",
        "Сейчас ни одна организация не может взять на себя все потребности. По частям:",
        "Азыр бир да уюм бардык муктаждыктарды камтый албайт. Бөлүп алганда:",
    ),
    "in_one_part": (
        "Could take all needs:",
        "Могут взять на себя все потребности:",
        "Бардык муктаждыктарды камтый алат:",
    ),
    "asked_now": ("Asked now:", "Сейчас предложено:", "Азыр сунушталган:"),
    "asked_until": (
        "{organization}, until {time}",
        "{organization}, до {time}",
        "{organization}, {time} учуруна чейин",
    ),
    "accepted_by": (
        "Accepted by {organization}.",
        "Направление приняла {organization}.",
        "Жолдомону {organization} кабыл алган.",
    ),
    "nobody_takes": ("nobody", "никто", "эч ким"),
    "service": (
        "{organization}, service {service}",
        "{organization}, услуга {service}",
        "{organization}, {service} кызматы",
    ),
    "score": ("score {score}", "оценка {score}", "упайы {score}"),
    "second": (
        "not asked: another service of this organisation ranks higher",
        "не предлагается: другая услуга этой организации выше в списке",
        "сунушталбайт: бул уюмдун башка кызматы тизмеде жогору",
    ),
    "score_legend": (
        "A score is the mean of the values (0 to 1), each weighted: weight×value.",
        "Оценка — среднее значений (от 0 до 1) с весами: вес×значение.",
        "Упай — маанилердин (0дөн 1ге чейин) салмактуу орточосу: салмак×маани.",
    ),
    "classes": (
        "The referral's sender sees load and prompt answers in classes; the order follows the exact values.",
        "Отправитель видит загрузку и быстроту ответов по классам; порядок определяют точные значения.",
        "Жөнөтүүчү жүктү жана жооптун тездигин класстар боюнча көрөт; ирет так маанилерге жараша.",
    ),
    "excluded": ("Excluded:", "Исключены:", "Четтетилгендер:"),
    "may_be_placed": (
        "a coordinator may place it there",
        "координатор может направить туда",
        "координатор ал жакка жөнөтө алат",
    ),
    "overridden": (
        "A coordinator decided to ask although:",
        "Координатор решил предложить, хотя:",
        "Координатор төмөнкүлөргө карабай сунуштоону чечти:",
    ),
    "nobody": ("no candidates", "кандидатов нет", "талапкерлер жок"),
    "nobody_because": ("no candidates: {reason}", "кандидатов нет: {reason}", "талапкерлер жок: {reason}"),
    "all_excluded": (
        "Nobody could be asked: every candidate is excluded.",
        "Предложить некому: все кандидаты исключены.",
        "Сунуштай турган уюм жок: бардык талапкерлер четтетилген.",
    ),
    "only_one": (
        "{organization} was asked because it was the only eligible organisation.",
        "Выбор пал на {organization}: другим организациям предложить нельзя.",
        "{organization} тандалды: башка уюмдарга сунуштоого болбойт.",
    ),
    "best": (
        "{organization} was asked because it comes first by capacity and score.",
        "Выбор пал на {organization}: по наличию мест и по оценке эта организация первая.",
        "{organization} тандалды: орундары жана упайы боюнча ал биринчи.",
    ),
    "turn": (
        "{organization} was asked because it was asked least recently among {equals} equals "
        "(last asked {time}).",
        "Выбор пал на {organization}: среди равных (всего {equals}) этой организации дольше всех ничего не "
        "предлагали (последний раз {time}).",
        "{organization} тандалды: тең келген {equals} уюмдун ичинен ага эң көптөн бери сунуш болгон эмес "
        "(акыркы жолу {time}).",
    ),
    "turn_never": (
        "{organization} was asked because it was asked least recently among {equals} equals "
        "(never asked before).",
        "Выбор пал на {organization}: среди равных (всего {equals}) этой организации дольше всех ничего не "
        "предлагали (до этого — ни разу).",
        "{organization} тандалды: тең келген {equals} уюмдун ичинен ага эң көптөн бери сунуш болгон эмес "
        "(буга чейин бир да жолу).",
    ),
    "first_by_score": (
        "{organization} was asked because none of the {equals} equals was asked before, and its score is the "
        "highest.",
        "Выбор пал на {organization}: никому из равных (всего {equals}) ещё ничего не предлагали, и оценка "
        "этой организации самая высокая.",
        "{organization} тандалды: тең келген {equals} уюмдун бирине да мурда сунуш болгон эмес, анын упайы "
        "эң жогору.",
    ),
    "first_by_lot": (
        "{organization} was asked because none of the {equals} equals was asked before, and the referral's "
        "id decided between those with the highest score.",
        "Выбор пал на {organization}: никому из равных (всего {equals}) ещё ничего не предлагали, и между "
        "теми из них, у кого оценка самая высокая, решил идентификатор направления.",
        "{organization} тандалды: тең келген {equals} уюмдун бирине да мурда сунуш болгон эмес, упайы эң "
        "жогорулардын ортосунда жолдомонун идентификатору чечти.",
    ),
    "turn_by_score": (
        "{organization} was asked because, of {equals} equals, {never} were never asked before, and its "
        "score is the highest of these.",
        "Выбор пал на {organization}: {never} из равных (всего {equals}) ещё не получали предложений, и "
        "оценка этой организации среди них самая высокая.",
        "{organization} тандалды: тең келген {equals} уюмдун ичинен {never} уюмга мурда сунуш болгон эмес, "
        "алардын ичинен анын упайы эң жогору.",
    ),
    "turn_by_lot": (
        "{organization} was asked because, of {equals} equals, {never} were never asked before, and the "
        "referral's id decided between those with the highest score.",
        "Выбор пал на {organization}: {never} из равных (всего {equals}) ещё не получали предложений, и "
        "между теми из них, у кого оценка самая высокая, решил идентификатор направления.",
        "{organization} тандалды: тең келген {equals} уюмдун ичинен {never} уюмга мурда сунуш болгон эмес, "
        "упайы эң жогорулардын ортосунда жолдомонун идентификатору чечти.",
    ),
    "tie_by_score": (
        "{organization} was asked because, of {equals} equals, {tied} were asked least recently (all at "
        "{time}), and its score is the highest of these.",
        "Выбор пал на {organization}: {tied} из равных (всего {equals}) дольше всех не получали предложений "
        "(последний раз одновременно, {time}), и оценка этой организации среди них самая высокая.",
        "{organization} тандалды: тең келген {equals} уюмдун ичинен {tied} уюмга эң көптөн бери сунуш "
        "болгон эмес (акыркы жолу бир убакта, {time}), алардын ичинен анын упайы эң жогору.",
    ),
    "tie_by_lot": (
        "{organization} was asked because, of {equals} equals, {tied} were asked least recently (all at "
        "{time}), and the referral's id decided between those with the highest score.",
        "Выбор пал на {organization}: {tied} из равных (всего {equals}) дольше всех не получали предложений "
        "(последний раз одновременно, {time}), и между теми из них, у кого оценка самая высокая, решил "
        "идентификатор направления.",
        "{organization} тандалды: тең келген {equals} уюмдун ичинен {tied} уюмга эң көптөн бери сунуш "
        "болгон эмес (акыркы жолу бир убакта, {time}), упайы эң жогорулардын ортосунда жолдомонун "
        "идентификатору чечти.",
    ),
    "chance": (
        "{organization} was asked so that it gets a chance: it is hardly known, or others score higher.",
        "Выбор пал на {organization}, чтобы дать ей шанс: её мало знают, или оценка других выше.",
        "{organization} тандалды, ага мүмкүнчүлүк берүү үчүн: ал аз белгилүү же башкалардын упайы жогору.",
    ),
    "pause": (
        "the case waits until {time}: {organization} replaced its sealing key "
        "without proof of the earlier one",
        "дело ждёт до {time}: {organization} сменила ключ запечатывания без подтверждения прежним ключом",
        "иш {time} учуруна чейин күтөт: {organization} мөөрлөө ачкычын мурункусу менен ырастабай алмаштырган",
    ),
    "split": (
        "No organisation that could be asked covers all needs, so the referral was split. Its parts have "
        "decisions of their own: {parts}",
        "Ни одна организация, которой можно предложить, не охватывает все потребности, поэтому направление "
        "разделено. У его частей свои решения: {parts}",
        "Сунуштоого боло турган бир да уюм бардык муктаждыктарды камтыбайт, ошондуктан жолдомо бөлүндү. Анын "
        "бөлүктөрүнүн өз чечимдери бар: {parts}",
    ),
    "part_of": (
        "This referral is a part of {whole}.",
        "Это направление — часть направления {whole}.",
        "Бул жолдомо — {whole} жолдомосунун бөлүгү.",
    ),
    "no_decision": (
        "no decision: none has been made yet, or they were erased some time after the referral's end",
        "решений нет: их ещё не было, или они стёрты спустя время после завершения направления",
        "чечим жок: азырынча чыга элек же жолдомо аяктагандан кийин бир топ убакыт өтүп өчүрүлгөн",
    ),
}

# The hub's codes of the event that caused a decision.
TRIGGERS: Final[Mapping[str, Texts]] = {
    "submitted": ("the referral was submitted", "направление отправлено", "жолдомо жөнөтүлдү"),
    "declined": (
        "the organisation that was asked declined",
        "организация, которой предлагали, отказалась",
        "сунуш алган уюм баш тартты",
    ),
    "expired": (
        "the organisation that was asked did not answer in time",
        "организация, которой предлагали, не ответила в срок",
        "сунуш алган уюм өз убагында жооп берген жок",
    ),
    "no_answer_yet": (
        "an organisation that was asked has not answered yet",
        "запрошенная организация ещё не ответила",
        "суралган уюм азырынча жооп бере элек",
    ),
    "handed_back": (
        "the acceptor handed the referral back",
        "принявшая организация вернула направление",
        "кабыл алган уюм жолдомону кайтарып берди",
    ),
    "organization_suspended": (
        "the organisation that was asked was suspended or left the network",
        "участие запрошенной организации в сети приостановлено или прекращено",
        "суралган уюмдун тармакка катышуусу токтотулду",
    ),
    "approval_ended": (
        "the service that was asked is no longer approved for a sensitive need",
        "запрошенная услуга больше не одобрена для деликатной потребности",
        "суралган кызмат купуя муктаждык үчүн мындан ары бекитилген эмес",
    ),
    "agreement_ended": (
        "no agreement with the organisation that was asked covers it any more",
        "с запрошенной организацией больше нет соглашения для направления",
        "суралган уюм менен макулдашуулар жолдомого мындан ары тиешелүү эмес",
    ),
    "organization_changed": (
        "the record of the organisation that was asked changed",
        "запись запрошенной организации изменилась",
        "суралган уюмдун жазуусу өзгөрдү",
    ),
    "placed_by_coordinator": (
        "a coordinator chose the organisation",
        "организацию выбрал координатор",
        "уюмду координатор тандады",
    ),
    "moved_on_by_coordinator": (
        "a coordinator moved the referral on",
        "координатор передал направление дальше",
        "координатор жолдомону андан ары өткөрдү",
    ),
    "place_may_be_free": (
        "a place may have become free",
        "возможно, освободилось место",
        "орун бошогон болушу мүмкүн",
    ),
    "directory_changed": (
        "the directory changed",
        "изменился справочник организаций",
        "уюмдардын маалымдамасы өзгөрдү",
    ),
    "time_passed": (
        "a reason for an exclusion expired with time",
        "срок одной из причин исключения истёк",
        "четтетүүнүн бир себебинин мөөнөтү өттү",
    ),
    "review": (
        "waiting referrals were decided again",
        "ожидающие направления рассмотрены заново",
        "күтүп турган жолдомолор кайра каралды",
    ),
}

# The hub's codes of the reason for a decision without candidates.
LACKS: Final[Mapping[str, Texts]] = {
    "unknown_organization": (
        "{organization} is not in the directory",
        "организации {organization} нет в справочнике",
        "{organization} маалымдамада жок",
    ),
    "organization_without_services": (
        "{organization} offers no service",
        "у организации {organization} нет услуг",
        "{organization} кызмат көрсөтпөйт",
    ),
    "need_not_offered": (
        "no organisation in the directory helps with this need: {need}",
        "ни одна организация справочника этого не предлагает: {need}",
        "маалымдамадагы бир да уюм муну сунуштабайт: {need}",
    ),
    "need_not_offered_in_region": (
        "no organisation in the region {region} helps with this need: {need}; organisations helping with it "
        "elsewhere: {elsewhere}",
        "в регионе {region} никто этого не предлагает: {need}; в других местах таких организаций: "
        "{elsewhere}",
        "{region} аймагында муну эч ким сунуштабайт: {need}; башка жерлерде сунуштаган уюмдар: {elsewhere}",
    ),
}

# The names of a score's values: the higher the value, the better, also for load and cost.
CRITERIA: Final[Mapping[str, Texts]] = {
    "needs_covered": ("needs covered", "охват потребностей", "муктаждыктарды камтуу"),
    "nearness": ("nearness", "близость", "жакындык"),
    "language": ("language", "язык", "тил"),
    "responsiveness": ("prompt answers", "быстрота ответов", "тез жооп берүү"),
    "load": ("low load", "малая загрузка", "жүктүн аздыгы"),
    "freshness": ("fresh capacity", "свежесть данных о местах", "орундар тууралуу маалыматтын жаңылыгы"),
    "cost": ("low cost", "низкая стоимость", "арзандык"),
}


def phrase(name: str, language: str, **values: object) -> str:
    """Return the phrase with the values filled in, on one line."""
    return _filled(PHRASES[name], language, values)


def trigger_of(decision: Decision, language: str) -> str:
    """Return what caused the decision, or the hub's code if it is unknown here."""
    texts = TRIGGERS.get(decision["trigger"])
    return one_line(decision["trigger"]) if texts is None else _filled(texts, language, {})


def capacity_of(candidate: Candidate, language: str) -> str:
    """Return the stated capacity in words: "" if unknown, the hub's code if it is unknown here."""
    code = candidate.get("capacity")
    texts = CAPACITIES.get(code or "")
    return one_line(code) if texts is None else _filled(texts, language, {})


def criterion(name: str, language: str) -> str:
    """Return the name of a value of the score, or the hub's code if it is unknown here."""
    texts = CRITERIA.get(name)
    return one_line(name) if texts is None else _filled(texts, language, {})


def nobody_considered(nobody: NobodyConsidered | None, language: str = "en") -> str:
    """Return why a decision has no candidates."""
    texts = LACKS.get(nobody["reason"]) if nobody else None
    if nobody is None or texts is None:
        return phrase("nobody", language)
    values = values_in_words(dict(nobody), language)
    return phrase("nobody_because", language, reason=_filled(texts, language, values))


def why_first(decision: Decision, eligible: list[Candidate], language: str) -> str | None:
    """Return why the first organisation was asked before others.

    None if the trigger says it (a placement), and for decisions of earlier builds, which do not record it.
    """
    turn = decision.get("turn")
    first = next((one for one in eligible if one["rank"] == 1), None)
    if turn is None or first is None or decision["trigger"] == "placed_by_coordinator":
        return None
    name = first["organization"]
    if turn["explored"] is not None:
        return phrase("chance", language, organization=name)
    if len({one["organization"] for one in eligible}) < 2:
        return phrase("only_one", language, organization=name)
    if turn["equals"] < 2:
        return phrase("best", language, organization=name)
    contender = turn["organizations"].get(name)
    asked = contender["last_asked"] if contender else None
    values: dict[str, object] = {"organization": name, "equals": turn["equals"]}
    contenders = turn["organizations"].items()
    tied = {each for each, one in contenders if one["equal"] and one["last_asked"] == asked}
    others = [one["score"] or 0.0 for one in eligible if one["organization"] in tied - {name}]
    by = "score" if others and (first["score"] or 0.0) > max(others) else "lot"
    return turn_phrase(language, values, asked, tied=len(tied) if others else 1, by=by)


def turn_phrase(language: str, values: Mapping[str, object], asked: str | None, *, tied: int, by: str) -> str:
    """Return why an organisation comes first among its equals.

    values: `organization` and `equals`. asked: when it was asked last; the sender of a referral sees the day
    only. tied: how many of the equals were asked least recently, it included. by: what decided between them,
    `score` or `lot`.
    """
    if asked is None:
        among = "first" if tied == values["equals"] else "turn"
        which = "turn_never" if tied < 2 else f"{among}_by_{by}"
        return phrase(which, language, **values, never=tied)
    time = day_or_moment(asked)
    # Moments of one day may differ.
    which = f"tie_by_{by}" if tied > 1 and time == moment(asked) else "turn"
    return phrase(which, language, **values, tied=tied, time=time)


def _filled(texts: Texts, language: str, values: Mapping[str, Any]) -> str:
    text = texts[LANGUAGES.index(language)]
    return one_line(text.format_map({name: one_line(value) for name, value in values.items()}))
