/**
 * The brokers of a cluster: found by the addresses that were configured, connected when first needed, thrown away at
 * the first sign of trouble. kafkajs's own pool retries inside, hides what went wrong, and learns of moved leaders late.
 */

import type { ConnectionOptions } from 'node:tls';
import type { SASLOptions } from 'kafkajs';
import { asError, protocolError, SourceUnavailable } from './errors.ts';
import { createDialer, type Dialer, type KafkajsBroker } from './kafkajs-internals.ts';
import { bridgeLog, type SourceLogger } from './log-bridge.ts';
import { type ClusterMetadata, METADATA, METADATA_WITH_IDS, metadataRequest } from './requests.ts';

export type ConnectionsOptions = {
  /** `host`, `host:port` or `[v6]:port`; the port defaults to 9092. */
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly tls?: ConnectionOptions | null;
  readonly sasl?: SASLOptions | null;
  readonly connectTimeoutMs?: number;
  readonly requestTimeoutMs?: number;
  readonly logger: SourceLogger;
};

export type Address = { readonly host: string; readonly port: number };

type Node = Address & { readonly broker: KafkajsBroker };

const DEFAULT_PORT = 9092;
const CONNECT_TIMEOUT_MS = 3_000;
const REQUEST_TIMEOUT_MS = 10_000;
const CLOSE_WITHIN_MS = 1_000;

export const parseAddress = (text: string): Address => {
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text.trim());
  const host = match?.[1] ?? match?.[2];
  if (host === undefined) throw new TypeError(`not an address of a broker (host:port): ${text}`);
  return { host, port: match?.[3] === undefined ? DEFAULT_PORT : Number(match[3]) };
};

/** Connection trouble: the connection is not worth keeping. A refusal by the broker is none. */
const isBroken = (error: unknown): boolean => {
  const { name } = asError(error);
  return (
    name === 'KafkaJSConnectionError' ||
    name === 'KafkaJSConnectionClosedError' ||
    name === 'KafkaJSRequestTimeoutError' ||
    name === 'KafkaJSLockTimeout' ||
    name === 'KafkaJSSASLAuthenticationError'
  );
};

const NOT_COORDINATOR = new Set(['NOT_COORDINATOR_FOR_GROUP', 'GROUP_COORDINATOR_NOT_AVAILABLE']);

export class Connections {
  readonly #seeds: readonly Address[];
  readonly #dialer: Dialer;
  readonly #nodes = new Map<number, Node>();
  readonly #opening = new Map<number, Promise<Node>>();
  readonly #coordinators = new Map<string, number>();
  #addresses = new Map<number, Address>();
  #nextSeed = 0;
  #closed = false;

  constructor(options: ConnectionsOptions) {
    if (options.brokers.length === 0) throw new TypeError('no broker is configured');
    this.#seeds = options.brokers.map(parseAddress);
    this.#dialer = createDialer({
      clientId: options.clientId,
      tls: options.tls ?? null,
      sasl: options.sasl ?? null,
      connectTimeoutMs: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      requestTimeoutMs: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
      logCreator: bridgeLog(options.logger),
    });
  }

  /** Nobody looks at this answer, or at slices of it, any more. */
  giveBack(answer: Buffer): void {
    this.#dialer.answers.giveBack(answer);
  }

  /** Of these topics, null: of all. Asks any broker. Known ones first, then the configured addresses in turn; rejects with the last one's error. */
  async metadata(topics: readonly string[] | null): Promise<ClusterMetadata> {
    const metadata = await this.#anyone(async (broker) => {
      const withIds = (broker.versions?.[METADATA]?.maxVersion ?? 0) >= METADATA_WITH_IDS;
      return broker.connectionPool.send(metadataRequest(topics, withIds));
    });
    this.#addresses = new Map(metadata.brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }]));
    for (const [nodeId, node] of this.#nodes) {
      const address = this.#addresses.get(nodeId);
      if (address?.host !== node.host || address.port !== node.port) this.#drop(nodeId);
    }
    return metadata;
  }

  /** Runs a request on a broker by its number; on connection trouble the connection is thrown away. */
  async on<T>(nodeId: number, run: (broker: KafkajsBroker) => Promise<T>): Promise<T> {
    const { broker } = await this.#node(nodeId);
    try {
      return await run(broker);
    } catch (error) {
      if (isBroken(error)) this.#drop(nodeId);
      throw error;
    }
  }

  /** Runs a request on the group's coordinator, which is looked for again after it has moved or gone. */
  async onCoordinator<T>(groupId: string, run: (broker: KafkajsBroker) => Promise<T>): Promise<T> {
    const nodeId = this.#coordinators.get(groupId) ?? (await this.#findCoordinator(groupId));
    try {
      return await this.on(nodeId, run);
    } catch (error) {
      if (isBroken(error) || NOT_COORDINATOR.has(protocolError(error))) this.#coordinators.delete(groupId);
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const ends = [...this.#nodes.values()].map(({ broker }) => broker.disconnect().catch(() => {}));
    this.#nodes.clear();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_WITHIN_MS);
    });
    await Promise.race([Promise.all(ends), late]);
    clearTimeout(timer);
    this.#dialer.destroy();
  }

  async #findCoordinator(groupId: string): Promise<number> {
    const { coordinator } = await this.#anyone((broker) =>
      broker.findGroupCoordinator({ groupId, coordinatorType: 0 }),
    );
    if (!this.#addresses.has(coordinator.nodeId)) await this.metadata([]);
    this.#coordinators.set(groupId, coordinator.nodeId);
    return coordinator.nodeId;
  }

  async #anyone<T>(ask: (broker: KafkajsBroker) => Promise<T>): Promise<T> {
    let last: unknown = new SourceUnavailable('no broker is known');
    for (const nodeId of new Set([...this.#nodes.keys(), ...this.#addresses.keys()])) {
      try {
        return await this.on(nodeId, ask);
      } catch (error) {
        if (!isBroken(error)) throw error;
        last = error;
      }
    }
    for (let attempt = 0; attempt < this.#seeds.length && !this.#closed; attempt++) {
      const { host, port } = this.#seeds[this.#nextSeed++ % this.#seeds.length]!;
      const seed = await this.#dialer.open(host, port);
      try {
        await seed.connect();
        return await ask(seed);
      } catch (error) {
        last = error;
      } finally {
        void seed.disconnect().catch(() => {});
      }
    }
    throw last;
  }

  async #node(nodeId: number): Promise<Node> {
    if (this.#closed) throw new SourceUnavailable('the connections are closed');
    const known = this.#nodes.get(nodeId);
    if (known !== undefined) {
      await this.#connect(nodeId, known.broker);
      return known;
    }
    const opening = this.#opening.get(nodeId) ?? this.#open(nodeId).finally(() => this.#opening.delete(nodeId));
    this.#opening.set(nodeId, opening);
    return opening;
  }

  async #open(nodeId: number): Promise<Node> {
    const address = this.#addresses.get(nodeId);
    if (address === undefined) throw new SourceUnavailable(`broker ${nodeId} is not known`);
    const broker = await this.#dialer.open(address.host, address.port, nodeId);
    const node = { ...address, broker };
    this.#nodes.set(nodeId, node);
    await this.#connect(nodeId, broker);
    return node;
  }

  async #connect(nodeId: number, broker: KafkajsBroker): Promise<void> {
    try {
      await broker.connect();
    } catch (error) {
      this.#drop(nodeId);
      throw error;
    }
  }

  #drop(nodeId: number): void {
    const node = this.#nodes.get(nodeId);
    this.#nodes.delete(nodeId);
    void node?.broker.disconnect().catch(() => {});
  }
}
