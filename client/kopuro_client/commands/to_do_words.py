"""What to do next about a traced id, in English, Russian and Kyrgyz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kopuro_client.commands.code_words import Texts, filled
from kopuro_client.commands.whose_turn_words import fields_of
from kopuro_client.tracing.next_action import Action, NextAction, Owner

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
        "Без ответа к этому сроку предложение перейдёт к следующей организации. Если её нет, передать "
        "направление должен координатор.",
        "Ошол мөөнөткө чейин жооп болбосо, сунуш бүтүп, кийинки уюмга берилет. Андай уюм жок болсо, "
        "координатор жайгаштырышы керек.",
    ),
    (Owner.network, Action.place): _PLACE,
    (Owner.network, Action.place_elsewhere): _PLACE,
    (Owner.network, Action.place_named): (
        "A coordinator can ask it again: kopuro coordination place {subject} {organizations}. To ask others, "
        "the sender withdraws the referral (kopuro referral withdraw {subject} --reason other) and submits "
        'it again without "to".',
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
        "withdraw {subject} --reason other, then submit it again.",
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
        "you cannot continue: kopuro referral hand-back {subject} --reason REASON",
        "kopuro referral progress {subject} in_progress или kopuro referral complete {subject} ИТОГ. Если "
        "не можете продолжать: kopuro referral hand-back {subject} --reason ПРИЧИНА",
        "kopuro referral progress {subject} in_progress же kopuro referral complete {subject} ЖЫЙЫНТЫК. "
        "Уланта албасаңыз: kopuro referral hand-back {subject} --reason СЕБЕП",
    ),
    (Owner.other, Action.report_overdue): _CALL,
    (Owner.you, Action.submit_again): (
        "Submit the referral again with its case, under a new key.",
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


def to_do(action: NextAction, language: str) -> str:
    """Return what the viewer does next, or what happens by itself."""
    return filled(TO_DO[action.owner, action.action], language, fields_of(action))
