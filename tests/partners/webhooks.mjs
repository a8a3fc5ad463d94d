// An endpoint for webhooks: verifies both kinds of signature, answers challenges and keeps what it was told.

import { EventEmitter, once } from "node:events";
import { createServer } from "node:http";

import { Verifier } from "./webhook_signatures.mjs";

export class Endpoint extends EventEmitter {
  #told = [];
  #faults = [];

  constructor(contracts) {
    super();
    this.contracts = contracts;
  }

  async listen() {
    this.server = createServer(async (request, response) => {
      const parts = [];
      for await (const part of request) parts.push(part);
      const [status, answer] = await this.#answer(request.headers, Buffer.concat(parts));
      response.writeHead(status, { "Content-Type": "application/json" }).end(answer);
    });
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    this.url = `http://127.0.0.1:${this.server.address().port}/kopuro`;
  }

  close() {
    this.server.close();
    this.server.closeAllConnections();
  }

  /** secret, public_key: as the hub gave them when the endpoint was registered. */
  trust({ secret, public_key }) {
    this.verifier = new Verifier({ secret, public_key });
  }

  /** Wait for a notice of a message of this type about the referral. */
  async notice(type, referral) {
    for (;;) {
      if (this.#faults.length > 0) throw this.#faults[0];
      const found = this.#told.find((one) => one.type === `kopuro.${type}.v1` && one.data.referral_id === referral);
      if (found !== undefined) return found;
      await once(this, "told");
    }
  }

  async #answer(headers, body) {
    try {
      this.verifier.verify(headers, body);
      const notice = this.contracts.webhook(JSON.parse(body));
      if (notice.type === "kopuro.webhook.challenge") {
        return [200, JSON.stringify({ challenge: notice.data.challenge })];
      }
      this.#told.push(notice);
      return [204, undefined];
    } catch (fault) {
      this.#faults.push(fault);
      return [400, undefined];
    } finally {
      this.emit("told");
    }
  }
}
