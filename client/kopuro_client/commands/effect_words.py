"""The effects of acts, in English, Russian and Kyrgyz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kopuro_client.commands.code_words import Texts, filled, in_words
from kopuro_client.commands.labels import LANGUAGES

EFFECTS: Final[Mapping[str, Texts]] = {
    "until": ("until {time}", "до {time}", "{time} учуруна чейин"),
    "reminded": ("reminded", "получит напоминание", "эскертүү алат"),
    "more_time": (
        "will have time until {time}",
        "получит время до {time}",
        "{time} учуруна чейин убакыт алат",
    ),
    "not_asked": ("will no longer be asked", "предложение будет отозвано", "сунуш кайтарылып алынат"),
    "taken": (
        "loses the referral and the access to its case",
        "потеряет направление и доступ к делу",
        "жолдомодон жана ишке жетүүдөн ажырайт",
    ),
    "nobody_has_it": (
        "no organisation has this referral now: the hub will refuse",
        "сейчас этого направления нет ни у одной организации: хаб откажет",
        "азыр бул жолдомо бир да уюмда жок: хаб четке кагат",
    ),
    "in_time": (
        "{organization} has missed no report and is not suspended: the hub will refuse",
        "{organization}: срок отчёта не пропущен, участие не приостановлено: хаб откажет",
        "{organization}: отчёттун мөөнөтү өтө элек, катышуусу токтотулган эмес: хаб четке кагат",
    ),
    "has_it": (
        "{organization} has this referral or an open offer of it already: the hub will refuse",
        "{organization}: направление или предложение уже у этой организации: хаб откажет",
        "{organization}: жолдомо же анын сунушу бул уюмда бар: хаб четке кагат",
    ),
    "no_service": (
        "{organization} offers no service: the hub will refuse",
        "{organization}: у этой организации нет услуг: хаб откажет",
        "{organization} кызмат көрсөтпөйт: хаб четке кагат",
    ),
    "has_ended": (
        "the referral has ended: the hub will refuse",
        "направление завершено: хаб откажет",
        "жолдомо аяктаган: хаб четке кагат",
    ),
    "asked": (
        "{organization}: will be asked",
        "{organization}: получит предложение",
        "{organization}: сунуш алат",
    ),
    "refused": (
        "{organization}: the hub will refuse, because some of these rules cannot be overridden:",
        "{organization}: хаб откажет, потому что некоторые из этих правил нельзя обойти:",
        "{organization}: хаб четке кагат, анткени бул эрежелердин айрымдарын айланып өтүүгө болбойт:",
    ),
    "ended": ("it has ended already", "оно уже завершено", "ал мурда эле аяктаган"),
    "loses_case": ("loses the case", "потеряет доступ к делу", "ишке жетүүдөн ажырайт"),
    "erased": (
        "its case and the content of its history are erased, and nobody can restore them",
        "дело и содержание истории будут стёрты, и никто не сможет их восстановить",
        "иш жана тарыхтын мазмуну өчүрүлөт, аларды эч ким калыбына келтире албайт",
    ),
    "ends": (
        "it ends, and nobody can open it again",
        "оно завершится, и никто не сможет открыть его снова",
        "ал аяктайт, аны эч ким кайра ача албайт",
    ),
    "excluded": (
        "{organization}: every service of the hub refuses it within 5 seconds",
        "{organization}: в течение 5 секунд все службы хаба закроют ей доступ",
        "{organization}: 5 секунданын ичинде хабдын бардык кызматтары ага жетүүнү жабат",
    ),
    "offers_revoked": (
        "{counted}: will be revoked; the next candidates will be asked",
        "{counted} — будут отозваны; предложение получат следующие организации",
        "{counted} — кайтарылып алынат; кийинки уюмдарга сунушталат",
    ),
    "accepted_to_place": (
        "{counted}: to be placed by the coordinators, whose mailbox names them",
        "{counted} — координаторы передадут их другим; они названы в почтовом ящике координаторов",
        "{counted} — координаторлор аларды башкаларга жайгаштырат; алар координаторлордун почта кутусунда",
    ),
    "sent_go_on": (
        "{counted} that it sent: continue, but it can neither read nor withdraw them",
        "{counted} — продолжаются, но она не может ни читать, ни отозвать их",
        "{counted} — улантылат, бирок ал аларды окуй да, кайтарып ала да албайт",
    ),
    "sent_need_you": (
        "list those that need you: {command}",
        "из них требуют вашего участия: {command}",
        "алардын ичинен сизге керектүүлөрү: {command}",
    ),
    "none_of_them": ("no {name}", "{name}: нет", "{name}: жок"),
    "counted": ("{total} {name} ({parts})", "{name}: {total} ({parts})", "{name}: {total} ({parts})"),
    "of_urgency": ("{number} {urgency}", "{urgency}: {number}", "{urgency}: {number}"),
    "member": (
        "{organization}: may send, accept and hold referrals",
        "{organization}: сможет отправлять, принимать и вести направления",
        "{organization}: жолдомолорду жөнөтүп, кабыл алып жана жүргүзө алат",
    ),
    "services_asked": (
        "{services}: will be asked from then on",
        "{services}: с этого времени будут получать предложения",
        "{services}: ушул убактан баштап сунуш алышат",
    ),
    "one_service": ("1 service", "услуг: 1", "кызмат: 1"),
    "services": ("{number} services", "услуг: {number}", "кызмат: {number}"),
    "still_holds": (
        "it can again read the cases of the referrals that it still holds",
        "у неё остались направления: она снова сможет читать их дела",
        "анда калган жолдомолор: алардын иштерин кайра окуй алат",
    ),
    "no_longer_approved": (
        "{organization}, service {service}: no longer asked for {needs}",
        "{organization}, услуга {service}: больше не получит предложений о {needs}",
        "{organization}, {service} кызматы: мындан ары сунуш албайт: {needs}",
    ),
    "approved_now": (
        "{organization}, service {service}: approved now for {needs}",
        "{organization}, услуга {service}: сейчас одобрена для: {needs}",
        "{organization}, {service} кызматы: азыр бекитилген: {needs}",
    ),
    "not_approved_now": (
        "{organization}, service {service}: not approved now for any sensitive need",
        "{organization}, услуга {service}: сейчас не одобрена ни для одной деликатной потребности",
        "{organization}, {service} кызматы: азыр бир да купуя муктаждык үчүн бекитилген эмес",
    ),
    "approved_then": (
        "approved instead for exactly these needs: {needs}",
        "вместо этого будет одобрена только для: {needs}",
        "анын ордуна ушулар үчүн гана бекитилет: {needs}",
    ),
    "approved_first": (
        "approved from then on for exactly these needs: {needs}",
        "с этого времени будет одобрена только для: {needs}",
        "ушул убактан баштап ушулар үчүн гана бекитилет: {needs}",
    ),
    "approval_unchanged": (
        "approved already for exactly these needs: nothing changes",
        "уже одобрена именно для этих потребностей: ничего не изменится",
        "дал ушул муктаждыктар үчүн мурда эле бекитилген: эч нерсе өзгөрбөйт",
    ),
    "needs_dropped": (
        "dropped: no longer asked for {needs}",
        "исключается: больше не получит предложений о: {needs}",
        "алынып салынат: мындан ары сунуш албайт: {needs}",
    ),
    "dropped_offers": (
        "open offers about sensitive needs: {number}; those about a dropped need will be revoked",
        "открытых предложений о деликатных потребностях: {number}; те, что об исключённой потребности, "
        "будут отозваны",
        "купуя муктаждыктар боюнча ачык сунуш: {number}; алынып салынган муктаждык боюнча сунуштар "
        "кайтарылып алынат",
    ),
    "standing": ("{organization}: {standing}", "{organization}: {standing}", "{organization}: {standing}"),
    "not_asked_now": (
        "it gets no offers while it is not a vetted and active member, whatever is approved",
        "пока она не допущенная и действующая участница, предложений она не получит, что бы ни было одобрено",
        "ал кабыл алынган жана активдүү мүчө болмоюнча, эмне бекитилсе да, сунуш албайт",
    ),
    "one_sensitive_offer": (
        "1 open offer about sensitive needs will be revoked",
        "будет отозвано открытых предложений о деликатных потребностях: 1",
        "купуя муктаждыктар боюнча ачык сунуш кайтарылып алынат: 1",
    ),
    "sensitive_offers": (
        "{number} open offers about sensitive needs will be revoked",
        "будет отозвано открытых предложений о деликатных потребностях: {number}",
        "купуя муктаждыктар боюнча ачык сунуш кайтарылып алынат: {number}",
    ),
    "becomes": (
        "{name} ({kind}, {country}) becomes {organization}",
        "{name} ({kind}, {country}) вступит в сеть под кодом {organization}",
        "{name} ({kind}, {country}) {organization} катары мүчө болот",
    ),
    "no_branch": (
        "it is a branch of no organisation",
        "она не отделение другой организации",
        "ал эч бир уюмдун бөлүмү эмес",
    ),
    "branch": (
        "it becomes a branch of {parent}: {name} ({kind}, {country})",
        "она станет отделением {parent}: {name} ({kind}, {country})",
        "ал {parent} уюмунун бөлүмү болот: {name} ({kind}, {country})",
    ),
    "any_member": (
        "a member may send, accept and hold referrals",
        "участница может отправлять, принимать и вести направления",
        "мүчө жолдомолорду жөнөтүп, кабыл алып жана жүргүзө алат",
    ),
    "write_down": (
        "write down the contact, which is erased then: {contact}",
        "запишите, кому звонить, потом это будет стёрто: {contact}",
        "кимге чалууну жазып алыңыз, кийин өчүрүлөт: {contact}",
    ),
    "application_refused": (
        "{name} ({state}): will be refused, which cannot be undone; the organisation may apply again",
        "{name} ({state}): будет отказ, отменить его нельзя; организация может подать новую заявку",
        "{name} ({state}): четке кагылат, муну жокко чыгарууга болбойт; уюм жаңы арыз бере алат",
    ),
    "closing": (
        "{organization}: every service of the hub refuses it within 5 seconds, and it gets no token",
        "{organization}: в течение 5 секунд все службы хаба закроют ей доступ, и она не получит токена",
        "{organization}: 5 секунданын ичинде хабдын бардык кызматтары ага жетүүнү жабат, ал токен албайт",
    ),
    "closing_moves": (
        "its open offers go to others; its accepted referrals go to the coordinators",
        "её открытые предложения перейдут другим, а принятое ею — координаторам",
        "анын ачык сунуштары башкаларга, ал кабыл алгандары координаторлорго өтөт",
    ),
    "closing_undo": (
        "it cannot undo this itself: an operator readmits it, and a second operator approves "
        "(`kopuro organization readmit`)",
        "сама она этого не отменит: её снова допускает оператор, а второй утверждает "
        "(`kopuro organization readmit`)",
        "муну ал өзү жокко чыгара албайт: оператор кайра кабыл алат, экинчиси бекитет "
        "(`kopuro organization readmit`)",
    ),
    "retracted": (
        "{report}: no longer counts, which cannot be undone; its recipients are notified",
        "{report}: больше не учитывается, отменить это нельзя; получателям об этом сообщат",
        "{report}: мындан ары эсептелбейт, муну жокко чыгарууга болбойт; алуучуларга билдирилет",
    ),
    "endpoint_ends": (
        "{url} ({state}): gets no further notices, and those that wait are dropped",
        "{url} ({state}): уведомлений больше не будет, ожидающие отбрасываются",
        "{url} ({state}): мындан ары билдирүү болбойт, күтүп тургандары жок кылынат",
    ),
    "secret_ends": (
        "its secret becomes invalid: a new endpoint has another id and secret",
        "её секрет перестанет действовать: у нового адреса другие идентификатор и секрет",
        "анын сыры күчүн жоготот: жаңы дарек башка идентификаторго жана сырга ээ",
    ),
    "client_ends": (
        "{client}: gets no further token, and its tokens become invalid",
        "{client}: не получит токена, а выданные перестанут действовать",
        "{client}: токен албайт, мурункулары күчүн жоготот",
    ),
    "nothing": ("nothing was done", "ничего не сделано", "эч нерсе жасалган жок"),
}

COUNTED: Final[Mapping[str, Texts]] = {
    "open offers": ("open offers", "открытые предложения", "ачык сунуштар"),
    "open offer": ("open offer", "открытые предложения", "ачык сунуштар"),
    "accepted referrals": ("accepted referrals", "принятые направления", "кабыл алынган жолдомолор"),
    "accepted referral": ("accepted referral", "принятые направления", "кабыл алынган жолдомолор"),
    "open referrals": ("open referrals", "отправленные открытые направления", "жөнөтүлгөн ачык жолдомолор"),
    "open referral": ("open referral", "отправленные открытые направления", "жөнөтүлгөн ачык жолдомолор"),
}


def effect(name: str, language: str, /, **values: object) -> str:
    """Return a line about what an act affects."""
    return filled(EFFECTS[name], language, values)


def counted(numbers: Mapping[str, int], one: str, many: str, language: str) -> str:
    """Return `3 open offers (1 emergency, 2 routine)`. one, many: of COUNTED; numbers: by urgency."""
    total = sum(numbers.values())
    parts = ", ".join(
        effect("of_urgency", language, number=number, urgency=in_words("urgency", urgency, language))
        for urgency, number in numbers.items()
        if number
    )
    name = COUNTED[one if total == 1 else many][LANGUAGES.index(language)]
    if not total:
        return effect("none_of_them", language, name=name)
    return effect("counted", language, total=total, name=name, parts=parts)
