"""The sentences of a trace in English, Russian and Kyrgyz: whose turn it is, why, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kopuro_client.commands.code_words import Texts, in_words
from kopuro_client.commands.labels import LANGUAGES
from kopuro_client.commands.printable import moment
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
        "Сейчас действуют координаторы сети",
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
        "Обращение сохранено на приёме, но ещё не передано брокеру. Ничего не потеряно.",
        "Кайрылуу кабыл алууда сакталды, бирок брокерге азырынча берилген жок. Эч нерсе жоголгон жок.",
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
        "Ни одна организация не приняла: направить должен координатор.",
        "Бир да уюм кабыл алган жок: координатор жайгаштырышы керек.",
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
        "{organizations}: принявшая организация была приостановлена и с тех пор не отчитывалась. Если её не "
        "допустили снова, координатор должен направить в другую организацию.",
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

_WAIT: Final[Texts] = (
    "Wait a minute and trace again. If nothing has changed, tell the hub's operators this id: {subject}",
    "Подождите минуту и повторите. Если ничего не изменилось, сообщите операторам хаба: {subject}",
    "Бир мүнөт күтүп, кайталаңыз. Эч нерсе өзгөрбөсө, хабдын операторлоруна айтыңыз: {subject}",
)
_READ: Final[Texts] = (
    "kopuro mailbox list, then kopuro mailbox ack {subject}",
    "kopuro mailbox list, затем kopuro mailbox ack {subject}",
    "kopuro mailbox list, андан кийин kopuro mailbox ack {subject}",
)
_PLACE: Final[Texts] = (
    "For a coordinator: kopuro coordination candidates {subject}, then kopuro coordination place "
    "{subject} ORGANISATION. The sender may withdraw it: kopuro referral withdraw {subject} --reason "
    "REASON",
    "Координатору: kopuro coordination candidates {subject}, затем kopuro coordination place {subject} "
    "ОРГАНИЗАЦИЯ. Отправитель может отозвать: kopuro referral withdraw {subject} --reason ПРИЧИНА",
    "Координаторго: kopuro coordination candidates {subject}, андан кийин kopuro coordination place "
    "{subject} УЮМ. Жөнөтүүчү кайтарып ала алат: kopuro referral withdraw {subject} --reason СЕБЕП",
)

_NOTHING: Final[Texts] = (
    "You do not need to do anything.",
    "От вас ничего не требуется.",
    "Сизден эч нерсе талап кылынбайт.",
)

_CALL: Final[Texts] = (
    "Call {organizations}. A coordinator can move on: kopuro coordination move-on {subject} --reason "
    "no_answer",
    "Позвоните: {organizations}. Координатор может передать дальше: kopuro coordination move-on {subject} "
    "--reason no_answer",
    "{organizations} уюмуна чалыңыз. Координатор кийинкисине өткөрө алат: kopuro coordination move-on "
    "{subject} --reason no_answer",
)

# The viewer's next step if it is the owner; otherwise what follows without the viewer.
_PART: Final[Texts] = ("kopuro trace {subject}", "kopuro trace {subject}", "kopuro trace {subject}")

TO_DO: Final[Mapping[tuple[Owner, Action], Texts]] = {
    (Owner.you, Action.submit): (
        "Check the id. If it is yours, submit it again under the same key.",
        "Проверьте идентификатор. Если запрос ваш, отправьте его снова с тем же ключом.",
        "Идентификаторду текшериңиз. Сурам сиздики болсо, ошол эле ачкыч менен кайра жөнөтүңүз.",
    ),
    (Owner.hub, Action.reach): (
        "Trace again in a minute. If the hub still does not answer, tell its operators.",
        "Повторите через минуту. Если хаб не ответит, сообщите его операторам.",
        "Бир мүнөттөн кийин кайталаңыз. Хаб жооп бербесе, операторлоруна айтыңыз.",
    ),
    (Owner.hub, Action.publish): _WAIT,
    (Owner.hub, Action.decide): _WAIT,
    (Owner.hub, Action.deliver): _WAIT,
    (Owner.hub, Action.close_offer): _WAIT,
    (Owner.hub, Action.release): _WAIT,
    (Owner.hub, Action.end_pause): (
        "The release follows by itself. If nobody at the acceptor replaced the key, tell the operators now.",
        "Выдача последует сама. Если ключ никто не менял, сразу сообщите операторам.",
        "Берүү өзү болот. Ачкычты эч ким алмаштырбаса, операторлорго дароо айтыңыз.",
    ),
    (Owner.you, Action.answer): (
        "kopuro offer accept {subject}, or kopuro offer decline {subject} --reason REASON",
        "kopuro offer accept {subject} или kopuro offer decline {subject} --reason ПРИЧИНА",
        "kopuro offer accept {subject} же kopuro offer decline {subject} --reason СЕБЕП",
    ),
    (Owner.other, Action.answer): (
        "Without an answer by then, the offer expires and the next candidate is asked. If none is left, a "
        "coordinator must place the referral.",
        "Без ответа к этому сроку предложение перейдёт к следующей организации. Если её нет, направить "
        "должен координатор.",
        "Ошол мөөнөткө чейин жооп болбосо, сунуш бүтүп, кийинки уюмга берилет. Андай уюм жок болсо, "
        "координатор жайгаштырышы керек.",
    ),
    (Owner.network, Action.place): _PLACE,
    (Owner.network, Action.place_elsewhere): _PLACE,
    (Owner.network, Action.place_named): (
        "A coordinator can ask it again: kopuro coordination place {subject} {organizations}. To ask others, "
        "the sender withdraws the referral (kopuro referral withdraw {subject} --reason other) and submits "
        'it anew without "to".',
        "Координатор может предложить ей снова: kopuro coordination place {subject} {organizations}. Чтобы "
        "обратиться к другим, отправитель отзывает направление (kopuro referral withdraw {subject} --reason "
        'other) и отправляет заново без "to".',
        "Координатор ага кайра сунуштай алат: kopuro coordination place {subject} {organizations}. "
        "Башкаларга кайрылуу үчүн жөнөтүүчү жолдомону кайтарып алат (kopuro referral withdraw {subject} "
        '--reason other) жана "to" жок кайра жөнөтөт.',
    ),
    (Owner.you, Action.open_case): (
        "kopuro case show {subject}",
        "kopuro case show {subject}",
        "kopuro case show {subject}",
    ),
    (Owner.other, Action.open_case): _NOTHING,
    (Owner.you, Action.replace_case): (
        "kopuro case replace {subject} referral.json",
        "kopuro case replace {subject} referral.json",
        "kopuro case replace {subject} referral.json",
    ),
    (Owner.other, Action.replace_case): _NOTHING,
    (Owner.you, Action.replace_case_overdue): (
        "kopuro case replace {subject} referral.json. If you no longer have the case: kopuro referral "
        "withdraw {subject} --reason other, then submit it anew.",
        "kopuro case replace {subject} referral.json. Если дела у вас больше нет: kopuro referral withdraw "
        "{subject} --reason other, затем отправьте направление заново.",
        "kopuro case replace {subject} referral.json. Иш сизде калбаса: kopuro referral withdraw {subject} "
        "--reason other, андан кийин жолдомону кайра жөнөтүңүз.",
    ),
    (Owner.other, Action.replace_case_overdue): _CALL,
    (Owner.you, Action.report): (
        "kopuro referral progress {subject} in_progress, or kopuro referral complete {subject} OUTCOME",
        "kopuro referral progress {subject} in_progress или kopuro referral complete {subject} ИТОГ",
        "kopuro referral progress {subject} in_progress же kopuro referral complete {subject} ЖЫЙЫНТЫК",
    ),
    (Owner.other, Action.report): _NOTHING,
    (Owner.you, Action.report_overdue): (
        "kopuro referral progress {subject} in_progress, or kopuro referral complete {subject} OUTCOME. If "
        "you cannot go on: kopuro referral hand-back {subject} --reason REASON",
        "kopuro referral progress {subject} in_progress или kopuro referral complete {subject} ИТОГ. Если "
        "не можете продолжать: kopuro referral hand-back {subject} --reason ПРИЧИНА",
        "kopuro referral progress {subject} in_progress же kopuro referral complete {subject} ЖЫЙЫНТЫК. "
        "Уланта албасаңыз: kopuro referral hand-back {subject} --reason СЕБЕП",
    ),
    (Owner.other, Action.report_overdue): _CALL,
    (Owner.you, Action.submit_again): (
        "Submit the referral anew with its case, under a new key.",
        "Отправьте направление с делом заново, с новым ключом.",
        "Жолдомону иши менен кайрадан, жаңы ачкыч менен жөнөтүңүз.",
    ),
    (Owner.you, Action.submit_unlinked): (
        "Submit it without onward_from, or with the right one, under a new key.",
        "Отправьте его без onward_from или с правильным, с новым ключом.",
        "Аны onward_from жок же туура мааниси менен, жаңы ачкыч менен жөнөтүңүз.",
    ),
    (Owner.you, Action.read_message): _READ,
    (Owner.other, Action.read_message): _NOTHING,
    (Owner.network, Action.read_message): _READ,
    (Owner.nobody, Action.message_read): _NOTHING,
    (Owner.other, Action.await_parts): _PART,
    (Owner.network, Action.await_parts): _PART,
    (Owner.nobody, Action.offer_ended): _NOTHING,
    (Owner.nobody, Action.ended): _NOTHING,
    (Owner.nobody, Action.unknown_state): (
        "Update kopuro-client.",
        "Обновите kopuro-client.",
        "kopuro-client программасын жаңыртыңыз.",
    ),
}

WORDS: Final[Mapping[str, Texts]] = {
    "since": ("since {time}", "с {time}", "{time} баштап"),
    "until": ("until {time}", "до {time}", "{time} чейин"),
    "also_coordinators": (
        ", and of the coordinators for another part",
        ", а другой части - координаторов сети",
        ", башка бөлүгү боюнча - тармактын координаторлорунда",
    ),
    "next": ("Next:", "Дальше:", "Андан ары:"),
    "nothing": ("Nothing found", "Ничего не найдено", "Эч нерсе табылган жок"),
    "hops": ("Hops", "Шаги", "Кадамдар"),
    "coordinators": ("coordinators", "координаторы", "координаторлор"),
    "published": ("published", "передано брокеру", "брокерге берилди"),
    "unpublished": ("not published yet", "ещё не передано брокеру", "брокерге азырынча берилген жок"),
    "entry": (
        "log entry {entry}, in the signed checkpoint of {size} entries",
        "запись журнала {entry}, в подписанной контрольной точке (всего записей: {size})",
        "журналдын {entry} жазуусу, {size} жазуунун кол коюлган текшерүү чекитинде",
    ),
    "unsigned": (
        "log entry {entry}, not yet in a checkpoint",
        "запись журнала {entry}, ещё не в контрольной точке",
        "журналдын {entry} жазуусу, азырынча текшерүү чекитинде жок",
    ),
    "silent": (
        "no answer from {services}: its steps may be missing",
        "нет ответа от {services}: шаги могут отсутствовать",
        "{services} жооп берген жок: кадамдары жок болушу мүмкүн",
    ),
}

# The steps of a message in a mailbox. Facts keep their names, as everywhere.
STEPS: Final[Mapping[str, Texts]] = {
    "queued": ("in the mailbox", "в почтовом ящике", "почта кутусунда"),
    "delivered": ("fetched", "получено", "алынды"),
    "acknowledged": ("acknowledged", "подтверждено", "ырасталды"),
    "closed": ("content erased", "содержимое стёрто", "мазмуну өчүрүлдү"),
    "webhook": ("webhook", "вебхук", "вебхук"),
}

# The names of what a receipt of a hop holds.
RECEIPT: Final[Mapping[str, Texts]] = {
    "message": ("message", "сообщение", "билдирүү"),
    "offer": ("offer", "предложение", "сунуш"),
    "onward": ("onward", "дальше", "андан ары"),
    "parts": ("parts", "части", "бөлүктөр"),
    "part_of": ("part of", "часть направления", "кайсы жолдомонун бөлүгү"),
    "reason": ("reason", "причина", "себеп"),
    "endpoint": ("endpoint", "адрес вебхука", "вебхуктун дареги"),
    "state": ("state", "состояние", "абалы"),
    "attempts": ("attempts", "попыток", "аракет саны"),
    "next_attempt": ("next attempt", "следующая попытка", "кийинки аракет"),
}


def receipt_of(name: str, value: str, language: str) -> str:
    """Return one part of a receipt: its name, and a reason in words."""
    texts = RECEIPT.get(name)
    named = name.replace("_", " ") if texts is None else _filled(texts, language, {})
    return f"{named} {in_words(name, value, language) if name == 'reason' else moment(value)}"


def word(name: str, language: str, **values: object) -> str:
    """Return a word or phrase of the trace."""
    return _filled(WORDS[name], language, values)


def step_of(name: str, language: str) -> str:
    """Return the name of a hop's step: words for those of messages, the fact's own name otherwise."""
    texts = STEPS.get(name)
    return name if texts is None else _filled(texts, language, {})


def whose_turn(action: NextAction, language: str) -> str:
    """Return whose turn it is and for how long, as a heading."""
    if action.action is Action.submit:
        return word("nothing", language)
    named = {"organizations": ", ".join(action.organizations)}
    parts = [_filled(OWNERS[action.owner], language, named)]
    if action.also_coordinators:
        parts[0] += word("also_coordinators", language)
    if action.since is not None:
        parts.append(word("since", language, time=moment(action.since)))
    if action.until is not None:
        parts.append(word("until", language, time=moment(action.until)))
    return ", ".join(parts)


def reason_of(action: NextAction, language: str) -> str:
    """Return why the referral waits, as a sentence."""
    return _filled(REASONS[action.action], language, _values(action))


def to_do(action: NextAction, language: str) -> str:
    """Return what the viewer does next, or what happens by itself."""
    return _filled(TO_DO[action.owner, action.action], language, _values(action))


def _values(action: NextAction) -> dict[str, object]:
    named = ", ".join(action.organizations)
    return {"subject": action.subject, "organizations": named, "services": ", ".join(action.services)}


def _filled(texts: Texts, language: str, values: Mapping[str, object]) -> str:
    return texts[LANGUAGES.index(language)].format_map(values)
