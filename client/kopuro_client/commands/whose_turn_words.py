"""Whose turn it is in a trace, and why, in English, Russian and Kyrgyz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kopuro_client.commands.code_words import Texts, filled
from kopuro_client.commands.printable import moment
from kopuro_client.commands.trace_words import word
from kopuro_client.tracing.next_action import Action, NextAction, Owner

OWNERS: Final[Mapping[Owner, Texts]] = {
    Owner.you: ("It is your turn", "Сейчас ваша очередь", "Кезек сизде"),
    Owner.hub: ("It is the hub's turn", "Сейчас очередь хаба", "Кезек хабда"),
    Owner.other: (
        "It is the turn of {organizations}",
        "Сейчас очередь: {organizations}",
        "Кезек: {organizations}",
    ),
    Owner.network: (
        "It is the coordinators' turn",
        "Сейчас очередь координаторов сети",
        "Кезек тармактын координаторлорунда",
    ),
    Owner.nobody: ("Nobody has to act", "Действий не требуется", "Эч кандай аракет талап кылынбайт"),
}

# Why the referral waits.
REASONS: Final[Mapping[Action, Texts]] = {
    Action.submit: (
        "Your organisation has nothing under this id or key. It never arrived, or it was refused (the "
        "response said why; over AMQP, submission.refused in the mailbox), or it belongs to another "
        "organisation, such as a referral onward from yours. The hub knows ids of answers and keys for "
        "30 days.",
        "По этому идентификатору или ключу у вашей организации ничего не найдено. Либо запрос не дошёл, либо "
        "в нём отказано (тогда причина была в ответе; по AMQP — submission.refused в почтовом ящике), либо "
        "он принадлежит другой организации: например, это новое направление, которое продолжает ваше. "
        "Идентификаторы ответов и ключи хранятся 30 дней.",
        "Бул идентификатор же ачкыч боюнча уюмуңуздан эч нерсе табылган жок. Же сурам жеткен эмес, же четке "
        "кагылган (анда себеби жоопто жазылган; AMQP аркылуу — почта кутусундагы submission.refused), же ал "
        "башка уюмга таандык: мисалы, сиздин жолдомону уланткан жаңы жолдомо. Жооптордун идентификаторлору "
        "жана ачкычтар 30 күн сакталат.",
    ),
    Action.reach: (
        "No answer from: {services}. The other services' answers are above.",
        "Нет ответа от: {services}. Известное указано выше.",
        "Жооп жок: {services}. Белгилүү болгону жогоруда.",
    ),
    Action.publish: (
        "Intake has stored the submission; the broker does not have it yet. Nothing is lost.",
        "Служба приёма сохранила обращение, но брокеру оно ещё не передано. Ничего не потеряно.",
        "Кабыл алуу кызматы кайрылууну сактады, бирок ал брокерге азырынча берилген жок. Эч нерсе жоголгон "
        "жок.",
    ),
    Action.decide: (
        "The broker has the submission; routing has not decided about it yet.",
        "Обращение у брокера, маршрутизация ещё не приняла решение.",
        "Кайрылуу брокерде, багыттоо азырынча чечим чыгара элек.",
    ),
    Action.deliver: (
        "Routing has opened the offer, but it is not in the mailbox yet.",
        "Предложение сделано, но ещё не в почтовом ящике.",
        "Сунуш жасалды, бирок азырынча почта кутусунда жок.",
    ),
    Action.close_offer: (
        "The deadline has passed, and the offer is still open: it should have expired.",
        "Срок прошёл, а предложение всё ещё открыто: оно должно было истечь.",
        "Мөөнөт өттү, сунуш болсо дагы деле ачык: ал бүтүшү керек эле.",
    ),
    Action.answer: (
        "The offer waits for an answer.",
        "Предложение ждёт ответа.",
        "Сунуш жооп күтүүдө.",
    ),
    Action.await_parts: (
        "No organisation that could be asked covers all needs: the referral continues in parts and ends with "
        "the last one.",
        "Ни одна организация, которой можно предложить, не охватывает все потребности: направление разделено "
        "на части и завершится с последней из них.",
        "Сунуштоого боло турган бир да уюм бардык муктаждыктарды камтыбайт: жолдомо бөлүктөргө бөлүндү жана "
        "акыркысы менен бүтөт.",
    ),
    Action.place: (
        "No organisation has accepted: a coordinator must place the referral.",
        "Ни одна организация не приняла направление: передать его должен координатор.",
        "Жолдомону бир да уюм кабыл алган жок: аны координатор жайгаштырышы керек.",
    ),
    Action.place_named: (
        "The referral is for {organizations} alone, which has not taken it. The case is sealed to it, so "
        "no other organisation can be asked.",
        "Направление адресовано только {organizations}, и эта организация его не приняла. Дело запечатано "
        "для неё, поэтому предложить его другой нельзя.",
        "Жолдомо {organizations} уюмуна гана арналган, ал уюм аны алган жок. Иш ошол уюмга гана "
        "мөөрлөнгөн, ошондуктан башкага сунуштоого болбойт.",
    ),
    Action.place_elsewhere: (
        "{organizations}, which accepted the referral, was suspended and has not reported since: unless it "
        "has been readmitted, a coordinator must place the referral with another organisation.",
        "{organizations}: участие принявшей организации было приостановлено, и с тех пор она не "
        "отчитывалась. Если её не допустили снова, координатор должен передать направление другой "
        "организации.",
        "Жолдомону кабыл алган {organizations} уюмунун катышуусу токтотулган, андан бери отчёт берген жок: "
        "эгер ал кайра кабыл алынбаса, координатор жолдомону башка уюмга жайгаштырышы керек.",
    ),
    Action.release: (
        "The offer is accepted; the vault has not released the case yet.",
        "Предложение принято, но хранилище ещё не выдало дело.",
        "Сунуш кабыл алынды, бирок сактагыч ишти азырынча бере элек.",
    ),
    Action.end_pause: (
        "The vault holds the case, because the acceptor's sealing key was replaced without proof.",
        "Хранилище удерживает дело: ключ принявшей организации заменён без подтверждения.",
        "Сактагыч ишти кармап турат: кабыл алган уюмдун ачкычы далилсиз алмаштырылган.",
    ),
    Action.open_case: (
        "The case is in the mailbox and has not been opened.",
        "Дело в почтовом ящике и ещё не открыто.",
        "Иш почта кутусунда, азырынча ачыла элек.",
    ),
    Action.replace_case: (
        "The acceptor cannot read the case: the sender must send it again.",
        "Принявшая организация не может прочесть дело: отправитель должен прислать его снова.",
        "Кабыл алган уюм ишти окуй албайт: жөнөтүүчү аны кайра жөнөтүшү керек.",
    ),
    Action.replace_case_overdue: (
        "The acceptor cannot read the case, and the sender has not sent it again in time. The coordinators "
        "know.",
        "Принявшая организация не может прочесть дело, а отправитель не прислал его снова в срок. "
        "Координаторы знают.",
        "Кабыл алган уюм ишти окуй албайт, жөнөтүүчү болсо аны өз убагында кайра жөнөткөн жок. "
        "Координаторлор билет.",
    ),
    Action.report: (
        "The referral is accepted; the next report is awaited.",
        "Направление принято; ожидается следующий отчёт.",
        "Жолдомо кабыл алынды; кийинки отчёт күтүлүүдө.",
    ),
    Action.report_overdue: (
        "The report is overdue; the sender and the coordinators know.",
        "Отчёт просрочен; отправитель и координаторы знают.",
        "Отчёттун мөөнөтү өттү; жөнөтүүчү жана координаторлор билет.",
    ),
    Action.submit_again: (
        "The referral has failed: the hub could not use its case.",
        "Направление не состоялось: хаб не смог использовать дело.",
        "Жолдомо ишке ашкан жок: хаб ишти колдоно алган жок.",
    ),
    Action.submit_unlinked: (
        "The referral has failed: you do not hold the referral named in onward_from and have not completed "
        "it, its consent was withdrawn, or there are too many onward referrals.",
        "Направление не состоялось: направление из onward_from вами не принято и не завершено, согласие по "
        "нему отозвано, или новых направлений слишком много.",
        "Жолдомо ишке ашкан жок: onward_from көрсөткөн жолдомону сиз кабыл алган же аяктаган эмессиз, анын "
        "макулдугу кайтарылып алынган, же жаңы жолдомолор өтө көп.",
    ),
    Action.read_message: (
        "The message is about no referral; it waits in the mailbox.",
        "Сообщение не о направлении; оно ждёт в почтовом ящике.",
        "Билдирүү жолдомо жөнүндө эмес; ал почта кутусунда күтүүдө.",
    ),
    Action.message_read: (
        "The message is about no referral, and was acknowledged.",
        "Сообщение не о направлении и уже подтверждено.",
        "Билдирүү жолдомо жөнүндө эмес жана ырасталган.",
    ),
    Action.offer_ended: (
        "Your offer has ended. You cannot see what followed.",
        "Ваше предложение закончилось. Дальнейшее касается других.",
        "Сизге берилген сунуш аяктады. Кийинкиси башкаларга тиешелүү.",
    ),
    Action.ended: ("The referral has ended.", "Направление завершено.", "Жолдомо аяктады."),
    Action.unknown_state: (
        "This version of the command does not know the state {subject}.",
        "Эта версия команды не знает состояния {subject}.",
        "Командалын бул версиясы {subject} абалын билбейт.",
    ),
}


def whose_turn(action: NextAction, language: str) -> str:
    """Return whose turn it is and for how long, as a heading."""
    if action.action is Action.submit:
        return word("nothing", language)
    named = {"organizations": ", ".join(action.organizations)}
    parts = [filled(OWNERS[action.owner], language, named)]
    if action.also_coordinators:
        parts[0] += word("also_coordinators", language)
    if action.since is not None:
        parts.append(word("since", language, time=moment(action.since)))
    if action.until is not None:
        parts.append(word("until", language, time=moment(action.until)))
    return ", ".join(parts)


def reason_of(action: NextAction, language: str) -> str:
    """Return why the referral waits, as a sentence."""
    return filled(REASONS[action.action], language, fields_of(action))


def fields_of(action: NextAction) -> Mapping[str, object]:
    """Return the values that a sentence about the action may name."""
    named = ", ".join(action.organizations)
    return {"subject": action.subject, "organizations": named, "services": ", ".join(action.services)}
