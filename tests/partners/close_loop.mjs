// Close a loop between two organisations from the published documents alone, over HTTP and webhook.
//
// KOPURO_DISCOVERY_URL, KOPURO_CREDENTIALS: the hub and a file with the credentials of its organisations.
// KOPURO_CONTRACTS: the directory with the published contracts. The last line of stdout is JSON: the referral
// and how many requests, answers, messages and webhooks followed their schemas.

import { deepStrictEqual } from "node:assert";
import { readFileSync } from "node:fs";
import { Contracts } from "./contracts.mjs";
import { Organization } from "./organization.mjs";
import { Endpoint } from "./webhooks.mjs";

const SENDER = "kg.osh-legal-aid";
const RECEIVER = "ru.moscow-common-table";

const { KOPURO_DISCOVERY_URL, KOPURO_CREDENTIALS, KOPURO_CONTRACTS, KOPURO_REFERRAL } = process.env;
const contracts = new Contracts(KOPURO_CONTRACTS);
const credentials = JSON.parse(readFileSync(KOPURO_CREDENTIALS, "utf8")).organizations;
const sender = await new Organization(contracts, KOPURO_DISCOVERY_URL, credentials[SENDER]).connect();
const receiver = await new Organization(contracts, KOPURO_DISCOVERY_URL, credentials[RECEIVER]).connect();

const endpoint = new Endpoint(contracts);
await endpoint.listen();
try {
  const registered = await receiver.send("POST", "delivery", "/v1/webhooks", { url: endpoint.url }, { status: 201 });
  endpoint.trust(registered);
  const webhook = `/v1/webhooks/${registered.endpoint.id}`;
  await receiver.send("POST", "delivery", `${webhook}/test`, undefined, { status: 202 });

  // The sender excludes every other organisation, so that this one is asked.
  const { case: person, ...facts } = JSON.parse(readFileSync(KOPURO_REFERRAL, "utf8"));
  const offering = await sender.send("GET", "directory", `/v1/services?need=${facts.needs[0]}&limit=200`);
  const others = new Set(offering.items.map((one) => one.organization));
  others.delete(RECEIVER);
  facts.consent.excluded_organizations = [...others].sort();

  const submission = { ...facts, case: await Organization.seal(person, sender.hub.custody_key) };
  const options = { status: 202, key: `node-${registered.endpoint.id}` };
  const submitted = await sender.send("POST", "intake", "/v1/referrals", submission, options);
  deepStrictEqual(await sender.send("POST", "intake", "/v1/referrals", submission, options), submitted);
  const referral = submitted.id;

  // A webhook names the message; the mailbox has it.
  const notice = await endpoint.notice("offer.opened", referral);
  const [offer] = (await receiver.get(notice.data.mailbox)).items;
  contracts.message(offer);
  deepStrictEqual(offer.id, notice.data.id);
  await receiver.acknowledge(offer.id);
  await receiver.send("POST", "intake", `/v1/offers/${offer.data.offer_id}/accept`, {}, { status: 202 });

  await endpoint.notice("case.released", referral);
  const released = await receiver.send("GET", "delivery", `/v1/case/${referral}`);
  deepStrictEqual(await receiver.open(released.case), person);
  for (const [step, report] of [["progress", { status: "in_progress" }], ["complete", { outcome: "resolved" }]]) {
    await receiver.send("POST", "intake", `/v1/referrals/${referral}/${step}`, report, { status: 202 });
  }

  for (const type of ["offer.accepted", "referral.progressed"]) await sender.message(type, referral);
  const completed = await sender.message("referral.completed", referral);
  deepStrictEqual(completed.data.outcome, "resolved");
  await receiver.send("DELETE", "delivery", webhook, undefined, { status: 204 });
  console.log(JSON.stringify({ referral, checked: contracts.checked }));
} finally {
  endpoint.close();
}
