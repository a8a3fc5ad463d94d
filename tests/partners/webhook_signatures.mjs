// The signatures of a webhook request, as Standard Webhooks 1.0.0 describes them.

import { createHmac, createPublicKey, timingSafeEqual, verify } from "node:crypto";

const TOLERANCE_SECONDS = 300;

export class Verifier {
  /** secret, public_key: as the hub gave them when the endpoint was registered; now: seconds since 1970. */
  constructor({ secret, public_key }, now = () => Date.now() / 1000) {
    this.secret = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
    const x = Buffer.from(public_key.replace(/^whpk_/, ""), "base64").toString("base64url");
    this.publicKey = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
    this.now = now;
  }

  /** Throw unless a signature of each kind holds and the request is recent. body: its bytes. */
  verify(headers, body) {
    const { "webhook-id": id, "webhook-timestamp": at, "webhook-signature": signatures } = headers;
    if (!(Math.abs(this.now() - Number(at)) <= TOLERANCE_SECONDS)) throw new Error("the timestamp is off");
    const signed = Buffer.concat([Buffer.from(`${id}.${at}.`), body]);
    const mac = createHmac("sha256", this.secret).update(signed).digest();
    const holds = { v1: false, v1a: false };
    for (const [version, text] of signatures.split(" ").map((one) => one.split(","))) {
      const signature = Buffer.from(text ?? "", "base64");
      if (version === "v1") holds.v1 ||= signature.length === mac.length && timingSafeEqual(signature, mac);
      if (version === "v1a") holds.v1a ||= verify(null, signed, this.publicKey, signature);
    }
    if (!holds.v1 || !holds.v1a) throw new Error(`a signature does not hold: ${JSON.stringify(holds)}`);
  }
}
