// One organisation's side of the hub, over HTTP: a token, checked requests, sealing and opening.

import { CompactEncrypt, calculateJwkThumbprint, compactDecrypt, importJWK } from "jose";

const SEALED = { alg: "ECDH-ES+A256KW", enc: "A256GCM", cty: "application/json" };

export class Organization {
  /** credential: client_id, client_secret and sealing_key (a private JWK) of the organisation. */
  constructor(contracts, discovery, credential) {
    this.contracts = contracts;
    this.discovery = discovery;
    this.credential = credential;
  }

  async connect() {
    this.hub = await this.#fetch("GET", this.discovery);
    const { client_id: id, client_secret: secret } = this.credential;
    const token = await this.#fetch("POST", `${this.hub.services.directory}/oauth/token`, {
      headers: { Authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString("base64")}` },
      body: new URLSearchParams({ grant_type: "client_credentials" }),
    });
    this.token = token.access_token;
    return this;
  }

  /** Send a request with a body that follows the contract; return the checked answer, which has the status. */
  async send(method, service, path, body = undefined, { status = 200, key = undefined } = {}) {
    const headers = key === undefined ? {} : { "Idempotency-Key": key };
    if (body !== undefined) {
      this.contracts.request(method, path, body);
      headers["Content-Type"] = "application/json";
    }
    const sent = body === undefined ? undefined : JSON.stringify(body);
    return this.#fetch(method, this.hub.services[service] + path, { headers, body: sent }, status);
  }

  /** Follow an address that the hub gave, such as that of a webhook's message. */
  async get(address) {
    return this.#fetch("GET", address);
  }

  /** Poll the mailbox until it has a message of this type about the referral; acknowledge and return it. */
  async message(type, referral) {
    for (let after = ""; ; ) {
      const page = await this.send("GET", "delivery", `/v1/mailbox?wait=5&limit=200${after}`);
      for (const message of page.items) this.contracts.message(message);
      const found = page.items.find((one) => one.type === `kopuro.${type}.v1` && one.data.referral_id === referral);
      if (found !== undefined) {
        await this.acknowledge(found.id);
        return found;
      }
      if (page.resume !== null) after = `&after=${encodeURIComponent(page.resume)}`;
    }
  }

  async acknowledge(id) {
    await this.send("POST", "delivery", `/v1/mailbox/${id}/acknowledge`, undefined, { status: 204 });
  }

  /** Seal content to a public JWK, as contracts/schemas/case.json and the guide describe. */
  static async seal(content, key) {
    const header = { ...SEALED, kid: await calculateJwkThumbprint(key) };
    const text = new TextEncoder().encode(JSON.stringify(content));
    return new CompactEncrypt(text).setProtectedHeader(header).encrypt(await importJWK(key, SEALED.alg));
  }

  /** Open a JWE that was sealed to this organisation. */
  async open(sealed) {
    const options = { keyManagementAlgorithms: [SEALED.alg], contentEncryptionAlgorithms: [SEALED.enc] };
    const key = await importJWK(this.credential.sealing_key, SEALED.alg);
    return JSON.parse(new TextDecoder().decode((await compactDecrypt(sealed, key, options)).plaintext));
  }

  async #fetch(method, address, { headers = {}, body = undefined } = {}, status = 200) {
    const authorization = this.token === undefined ? {} : { Authorization: `Bearer ${this.token}` };
    const answer = await fetch(address, { method, headers: { ...authorization, ...headers }, body, redirect: "error" });
    const text = await answer.text();
    const { pathname } = new URL(address);
    if (answer.status !== status) throw new Error(`${method} ${pathname}: ${answer.status} ${text}`);
    const mediaType = answer.headers.get("content-type") ?? "";
    return this.contracts.answer(method, pathname, { status, mediaType, text });
  }
}
