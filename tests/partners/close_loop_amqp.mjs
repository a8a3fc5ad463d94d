// Close a loop between two organisations over AMQP, from the published documents alone. Only the case is fetched
// over HTTP.
//
// Besides the variables of close_loop.mjs: KOPURO_BROKER, the address of the partners' broker, and KOPURO_LINES, JSON
// with the access of each organisation, by its id.

import { deepStrictEqual } from "node:assert";
import { readFileSync } from "node:fs";
import { Line } from "./amqp.mjs";
import { Contracts } from "./contracts.mjs";
import { Organization } from "./organization.mjs";

const SENDER = "kg.osh-legal-aid";
const RECEIVER = "ru.moscow-common-table";

const { KOPURO_DISCOVERY_URL, KOPURO_CREDENTIALS, KOPURO_CONTRACTS, KOPURO_REFERRAL } = process.env;
const { KOPURO_BROKER, KOPURO_LINES } = process.env;
const contracts = new Contracts(KOPURO_CONTRACTS);
const credentials = JSON.parse(readFileSync(KOPURO_CREDENTIALS, "utf8")).organizations;
const lines = JSON.parse(KOPURO_LINES);
const sender = await new Line(contracts, KOPURO_BROKER, lines[SENDER]).open();
const receiver = await new Line(contracts, KOPURO_BROKER, lines[RECEIVER]).open();
const overHttp = await new Organization(contracts, KOPURO_DISCOVERY_URL, credentials[RECEIVER]).connect();
const run = Date.now();

const { case: person, ...facts } = JSON.parse(readFileSync(KOPURO_REFERRAL, "utf8"));
const record = await overHttp.send("GET", "directory", `/v1/organizations/${RECEIVER}`);
const sealed = await Organization.seal(person, record.sealing_key);
const submission = { submit: "referral", ...facts, to: RECEIVER, case: sealed };

// A refusal comes back with the problem that HTTP would have answered, and changes nothing.
const refused = await sender.submit({ ...submission, urgency: "yesterday" }, `amqp-${run}-wrong`);
deepStrictEqual(refused.type, "kopuro.submission.refused.v1");
deepStrictEqual(refused.data.problem.errors.map((one) => one.pointer), ["/urgency"]);

const admitted = await submit(sender, submission, `amqp-${run}`);
const referral = admitted.data.submission_id;

const offer = await receiver.message("offer.opened", referral);
await submit(receiver, { submit: "accept", offer_id: offer.data.offer_id }, `accept-${run}`);
await receiver.message("case.released", referral);
const released = await overHttp.send("GET", "delivery", `/v1/case/${referral}`);
deepStrictEqual(await overHttp.open(released.case), person);

await submit(receiver, { submit: "progress", referral_id: referral, status: "in_progress" }, `progress-${run}`);
await submit(receiver, { submit: "complete", referral_id: referral, outcome: "resolved" }, `complete-${run}`);
for (const type of ["offer.accepted", "referral.progressed"]) await sender.message(type, referral);
const completed = await sender.message("referral.completed", referral);
deepStrictEqual(completed.data.outcome, "resolved");

// Every message of the loop was acknowledged at the broker only. The mailbox learns it: nothing of it waits.
for (let waiting = true; waiting; ) {
  const page = await overHttp.send("GET", "delivery", "/v1/mailbox?limit=200");
  waiting = page.items.some((message) => message.data.referral_id === referral);
  if (waiting) await new Promise((resolve) => setTimeout(resolve, 1000));
}
await Promise.all([sender.close(), receiver.close()]);
console.log(JSON.stringify({ referral, checked: contracts.checked }));

/** Submit a document that follows the contract; return the answer, which admits it. */
async function submit(line, document, key) {
  contracts.submission(document);
  const answer = await line.submit(document, key);
  deepStrictEqual(answer.type, "kopuro.submission.admitted.v1");
  return answer;
}
