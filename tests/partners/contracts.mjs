// The published contracts, as a partner's program uses them: the files of contracts/ and a JSON Schema validator.
//
// Every described object is closed, so that a member that no document describes is a fault.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

export class Contracts {
  #ajv = addFormats(new Ajv2020({ strict: false, allErrors: true }));
  #compiled = new Map();

  /** directory: of the published files. checked counts what followed its schema, by kind. */
  constructor(directory) {
    this.directory = directory;
    this.openapi = JSON.parse(readFileSync(join(directory, "openapi.json"), "utf8"));
    this.checked = { requests: 0, answers: 0, messages: 0, webhooks: 0 };
    this.paths = Object.entries(this.openapi.paths)
      .sort(([one], [other]) => one.split("{").length - other.split("{").length)
      .map(([path, item]) => [new RegExp(`^${path.replace(/\{\w+\}/g, "[^/]+")}$`), item]);
  }

  /** Check the JSON body of a request. */
  request(method, path, body) {
    const [media] = Object.values(this.#operation(method, path).requestBody.content);
    this.#check(`request ${method} ${path}`, media.schema, body);
    this.checked.requests += 1;
  }

  /** Check the status, the media type and the body of an answer; return the parsed body, null without one. */
  answer(method, path, { status, mediaType, text }) {
    const responses = this.#operation(method, path).responses;
    if (!(status in responses)) throw new Error(`${method} ${path}: undocumented status ${status}: ${text}`);
    const response = "$ref" in responses[status] ? this.#resolved(responses[status].$ref) : responses[status];
    this.checked.answers += 1;
    if (response.content === undefined) {
      if (text !== "") throw new Error(`${method} ${path}: ${status} should have no body`);
      return null;
    }
    const described = response.content[mediaType.split(";")[0]];
    if (described === undefined) throw new Error(`${method} ${path}: undocumented media type ${mediaType}`);
    const body = JSON.parse(text);
    this.#check(`${status} of ${method} ${path}`, described.schema, body);
    return body;
  }

  /** Check a message from a mailbox or a queue: a CloudEvent whose data follows the schema of its type. */
  message(message) {
    this.#checkFile("envelope", message);
    this.#checkFile(`events/${message.type.replace(/^kopuro\./, "")}`, message);
    this.checked.messages += 1;
    return message;
  }

  /** Check a document that is submitted over AMQP: its members are those of the request that does the same. */
  submission({ submit, offer_id, referral_id, ...body }) {
    if (submit === "referral") this.request("POST", "/v1/referrals", body);
    else if (offer_id) this.request("POST", `/v1/offers/${offer_id}/${submit}`, body);
    else this.request("POST", `/v1/referrals/${referral_id}/${submit}`, body);
  }

  /** Check the body of a webhook request. */
  webhook(body) {
    this.#checkFile("webhook", body);
    this.checked.webhooks += 1;
    return body;
  }

  #operation(method, path) {
    const found = this.paths.find(([pattern]) => pattern.test(path.split("?")[0]));
    if (found === undefined) throw new Error(`undocumented path ${path}`);
    return found[1][method.toLowerCase()];
  }

  #resolved(reference) {
    return reference.split("/").slice(1).reduce((node, name) => node[name], this.openapi);
  }

  #checkFile(name, document) {
    const file = join(this.directory, "schemas", `${name}.json`);
    this.#check(file, () => JSON.parse(readFileSync(file, "utf8")), document);
  }

  #check(what, schema, document) {
    let validate = this.#compiled.get(what);
    if (validate === undefined) {
      const own = typeof schema === "function" ? schema() : { ...schema, components: this.openapi.components };
      const { $id, ...anonymous } = closed(structuredClone(own));
      validate = this.#ajv.compile(anonymous);
      this.#compiled.set(what, validate);
    }
    if (validate(document)) return;
    const faults = validate.errors.map((fault) => `${fault.instancePath} ${fault.message} ${JSON.stringify(fault.params)}`);
    throw new Error(`${what}: ${faults.join("; ")}`);
  }
}

function closed(node) {
  if (node === null || typeof node !== "object") return node;
  if (node.type === "object" && node.properties !== undefined) node.additionalProperties ??= false;
  Object.values(node).forEach(closed);
  return node;
}
