// An endpoint for webhooks: verifies both kinds of signature, answers challenges and keeps what it was told.

import { createHmac, createPublicKey, timingSafeEqual, verify } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { createServer } from "node:http";

const TOLERANCE_SECONDS = 300;

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
    this.secret = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
    const x = Buffer.from(public_key.replace(/^whpk_/, ""), "base64").toString("base64url");
    this.publicKey = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
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
      this.#verify(headers, body);
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

  #verify(headers, body) {
    const { "webhook-id": id, "webhook-timestamp": at, "webhook-signature": signatures } = headers;
    if (Math.abs(Date.now() / 1000 - Number(at)) > TOLERANCE_SECONDS) throw new Error("the timestamp is off");
    const signed = Buffer.concat([Buffer.from(`${id}.${at}.`), body]);
    const mac = createHmac("sha256", this.secret).update(signed).digest();
    const holds = { v1: false, v1a: false };
    for (const [version, text] of signatures.split(" ").map((one) => one.split(","))) {
      const signature = Buffer.from(text, "base64");
      if (version === "v1") holds.v1 ||= signature.length === mac.length && timingSafeEqual(signature, mac);
      if (version === "v1a") holds.v1a ||= verify(null, signed, this.publicKey, signature);
    }
    if (!holds.v1 || !holds.v1a) throw new Error(`a signature does not hold: ${JSON.stringify(holds)}`);
  }
}
