// One organisation's side of the hub over AMQP: its queue, which is a window on its mailbox, and an exchange of its own.

import { deepStrictEqual } from "node:assert";
import { EventEmitter, once } from "node:events";
import { connect } from "amqplib";

export class Line extends EventEmitter {
  #told = [];
  #known = new Set();
  #fault = null;

  /** access: user, password, vhost, queue and exchange, as the operator gave them; url: of the broker. */
  constructor(contracts, url, access) {
    super();
    this.contracts = contracts;
    this.url = url;
    this.access = access;
  }

  async open() {
    const { user, password, vhost, queue } = this.access;
    const { hostname, port } = new URL(this.url);
    const at = { protocol: "amqp", hostname, port, username: user, password, vhost };
    // The gateway gives a new user its rights some moments after the operator made it.
    while (this.connection === undefined) {
      this.connection = await connect(at).catch(() => new Promise((resolve) => setTimeout(resolve, 500)));
    }
    this.channel = await this.connection.createConfirmChannel();
    await this.channel.prefetch(50);
    await this.channel.consume(queue, (delivery) => this.#take(delivery), { noAck: false });
    return this;
  }

  async close() {
    await this.connection.close();
  }

  /** Submit a document under an idempotency key; wait for the broker's confirm, then for the hub's answer. */
  async submit(document, key) {
    const { user, exchange } = this.access;
    const options = { userId: user, messageId: key, contentType: "application/json", persistent: true };
    this.channel.publish(exchange, user, Buffer.from(JSON.stringify(document)), options);
    await this.channel.waitForConfirms();
    return this.answer(key);
  }

  /** Wait for the answer to a submission: its data, whether it was admitted or refused. */
  async answer(key) {
    const ours = ({ type, data }) => type.startsWith("kopuro.submission.") && data.message_id === key;
    return this.#first(ours);
  }

  /** Wait for a message of this type about the referral. */
  async message(type, referral) {
    return this.#first((one) => one.type === `kopuro.${type}.v1` && one.data.referral_id === referral);
  }

  async #first(wanted) {
    for (;;) {
      if (this.#fault !== null) throw this.#fault;
      const found = this.#told.find(wanted);
      if (found !== undefined) return found;
      await once(this, "told");
    }
  }

  #take(delivery) {
    try {
      const message = this.contracts.message(JSON.parse(delivery.content));
      const { messageId, type, contentType } = delivery.properties;
      deepStrictEqual([messageId, type], [message.id, message.type]);
      deepStrictEqual(contentType, "application/cloudevents+json");
      if (!this.#known.has(message.id)) this.#told.push(message); // a message may come more than once
      this.#known.add(message.id);
      this.channel.ack(delivery);
    } catch (fault) {
      this.#fault = fault;
    }
    this.emit("told");
  }
}
