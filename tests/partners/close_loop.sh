#!/usr/bin/env bash
# Close a loop between two organisations from the published documents alone, with curl, jq and openssl, over HTTP
# and webhook. Arguments: an empty directory to work in.
#
# KOPURO_DISCOVERY_URL, KOPURO_CREDENTIALS: the hub and a file with the credentials of its organisations.
# KOPURO_CONTRACTS: the directory with the published contracts. KOPURO_REFERRAL: a referral with its case.
# PYTHON has joserfc, which seals and opens, and jsonschema. The last line of stdout is JSON: the referral and how
# many requests, answers, messages and webhooks followed their schemas.

set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cd "$1"
mkdir answers webhooks
umask 077

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# request STATUS METHOD SERVICE PATH [ARGUMENT OF CURL...]: prints the answer, which has the status, and keeps it.
request() {
    local status=$1 method=$2 address=$3 told kept
    shift 3
    case $address in
        http*) ;;
        *) address=$(jq -er ".services.$address" hub.json)$1; shift ;;
    esac
    kept=answers/$(date +%s%N)
    told=$(curl -sS -X "$method" -H "Authorization: Bearer $(cat token)" -o "$kept.answer" \
        -w '%{http_code}\n%{content_type}' "$@" "$address")
    address=/${address#*://*/}
    printf '%s\n%s\n%s\n' "$method" "${address%%\?*}" "$told" >"$kept.request"
    [ "${told%%$'\n'*}" = "$status" ] || fail "$method $address: $told $(cat "$kept.answer")"
    if [ -e sent.json ]; then mv sent.json "$kept.sent"; fi
    cat "$kept.answer"
}

# with_body JSON: keeps a body for the next request, which sends sent.json.
with_body() {
    printf '%s' "$1" >sent.json
}
json=(-H 'Content-Type: application/json' --data-binary @sent.json)

# act_as ORGANIZATION: gets a token for the requests that follow.
act_as() {
    local id secret
    id=$(jq -er ".organizations[\"$1\"].client_id" "$KOPURO_CREDENTIALS")
    secret=$(jq -er ".organizations[\"$1\"].client_secret" "$KOPURO_CREDENTIALS")
    jq -e ".organizations[\"$1\"].sealing_key" "$KOPURO_CREDENTIALS" >sealing-key.json
    [ -e "token-$1" ] || curl -sS -u "$id:$secret" -d grant_type=client_credentials \
        "$(jq -er .services.directory hub.json)/oauth/token" | jq -er .access_token >"token-$1"
    cp "token-$1" token
}

# await TYPE REFERRAL: prints the message, which it acknowledges.
await() {
    local after='' page message
    while true; do
        page=$(request 200 GET delivery "/v1/mailbox?wait=5&limit=200$after")
        message=$(jq -c --arg type "kopuro.$1.v1" --arg referral "$2" \
            '[.items[] | select(.type == $type and .data.referral_id == $referral)][0]' <<<"$page")
        if [ "$message" != null ]; then
            request 204 POST delivery "/v1/mailbox/$(jq -er .id <<<"$message")/acknowledge"
            printf '%s' "$message"
            return
        fi
        after=$(jq -r 'if .resume then "&after=" + (.resume | @uri) else "" end' <<<"$page")
    done
}

header() {
    sed -n "s/^$2: //p" "$1"
}

# verify HEADERS BODY: checks the HMAC of a webhook request with the secret in webhook-secret.
verify() {
    local key expected
    key=$(sed 's/^whsec_//' webhook-secret | base64 -d | od -An -v -tx1 | tr -d ' \n')
    expected=$({ printf '%s.%s.' "$(header "$1" webhook-id)" "$(header "$1" webhook-timestamp)"; cat "$2"; } |
        openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64)
    case " $(header "$1" webhook-signature) " in
        *" v1,$expected "*) ;;
        *) fail "no signature of $2 holds" ;;
    esac
}

# notice TYPE REFERRAL: prints the body of the webhook request about a message.
notice() {
    local body
    while true; do
        for body in webhooks/*.body; do
            [ -e "$body" ] || continue
            verify "${body%.body}.headers" "$body"
            if jq -e --arg type "kopuro.$1.v1" --arg referral "$2" \
                '.type == $type and .data.referral_id == $referral' "$body" >found; then
                cat "$body"
                return
            fi
        done
        sleep 0.1
    done
}

curl -sS "$KOPURO_DISCOVERY_URL" >hub.json
sender=kg.osh-legal-aid receiver=ru.moscow-common-table

"$PYTHON" "$here/receive_webhooks.py" webhooks &
server=$!
trap 'kill "$server"' EXIT
until [ -s webhooks/port ]; do sleep 0.05; done

act_as "$receiver"
with_body "{\"url\": \"http://127.0.0.1:$(cat webhooks/port)/kopuro\"}"
request 201 POST delivery /v1/webhooks "${json[@]}" >registered
jq -er .secret registered >webhook-secret
webhook=/v1/webhooks/$(jq -er .endpoint.id registered)
request 202 POST delivery "$webhook/test" >/dev/null

# The sender excludes every other organisation, so that this one is asked.
act_as "$sender"
others=$(request 200 GET directory "/v1/services?need=legal.wage_claim&limit=200" |
    jq -c --arg receiver "$receiver" '[.items[].organization | select(. != $receiver)] | unique')
jq -e .custody_key hub.json >custody-key.json
sealed=$(jq -c .case "$KOPURO_REFERRAL" | "$PYTHON" "$here/sealing.py" seal custody-key.json)
submission=$(jq -c --arg sealed "$sealed" --argjson others "$others" \
    '.case = $sealed | .consent.excluded_organizations = $others' "$KOPURO_REFERRAL")
for attempt in 1 2; do
    with_body "$submission"
    request 202 POST intake /v1/referrals -H "Idempotency-Key: curl-$webhook" "${json[@]}" >"submitted-$attempt"
done
cmp submitted-1 submitted-2
referral=$(jq -er .id submitted-1)

# A webhook names the message; the mailbox has it.
act_as "$receiver"
notice offer.opened "$referral" >told
offer=$(request 200 GET "$(jq -er .data.mailbox told)" | jq -ec '.items[0]')
[ "$(jq -er .id <<<"$offer")" = "$(jq -er .data.id told)" ] || fail "the mailbox has another message"
request 204 POST delivery "/v1/mailbox/$(jq -er .id <<<"$offer")/acknowledge"
with_body '{}'
request 202 POST intake "/v1/offers/$(jq -er .data.offer_id <<<"$offer")/accept" "${json[@]}" >/dev/null

notice case.released "$referral" >/dev/null
request 200 GET delivery "/v1/case/$referral" | jq -er .case | "$PYTHON" "$here/sealing.py" open sealing-key.json >case
cmp <(jq -S . case) <(jq -S .case "$KOPURO_REFERRAL")
with_body '{"status": "in_progress"}'
request 202 POST intake "/v1/referrals/$referral/progress" "${json[@]}" >/dev/null
with_body '{"outcome": "resolved"}'
request 202 POST intake "/v1/referrals/$referral/complete" "${json[@]}" >/dev/null
request 204 DELETE delivery "$webhook"

act_as "$sender"
for type in offer.accepted referral.progressed; do await "$type" "$referral" >/dev/null; done
[ "$(await referral.completed "$referral" | jq -er .data.outcome)" = resolved ] || fail "another outcome"

checked=$("$PYTHON" "$here/check_kept.py" "$KOPURO_CONTRACTS" answers webhooks)
jq -nc --arg referral "$referral" --argjson checked "$checked" '{referral: $referral, checked: $checked}'
