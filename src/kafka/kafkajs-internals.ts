/**
 * What we use of kafkajs 2.2.4 below its public face: its connections (TLS, SASL, version negotiation) and the group
 * requests. Its consumer is not used (docs/decisions/0002). This file is the only one that knows kafkajs's insides;
 * the package is pinned, and unmaintained, so they stand still.
 */
import { createRequire } from 'node:module';
import { isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { Kafka, type logCreator, logLevel, type SASLOptions } from 'kafkajs';
import { AnswerPool, connectReceiving } from './receive.ts';

const load = createRequire(import.meta.url);

/** What kafkajs takes for one of its encoders: it looks at `buf`, and copies `buffer`. */
type Encoded = { readonly buf: Buffer; readonly buffer: Buffer };

/** A request as kafkajs's connections take it. `encode` answers what is behind the client id in the request's header. */
export type ProtocolRequest<T> = {
  readonly request: {
    readonly apiKey: number;
    readonly apiVersion: number;
    readonly apiName: string;
    encode(): Promise<Encoded>;
  };
  readonly response: {
    decode(payload: Buffer): Promise<T>;
    parse(decoded: T): Promise<T>;
  };
  /** Milliseconds; the greater of this and the connection's own counts. */
  readonly requestTimeout?: number;
};

type ApiVersions = Readonly<Record<number, { readonly minVersion: number; readonly maxVersion: number } | undefined>>;

export type GroupMember = { readonly memberId: string; readonly memberMetadata: Buffer };
export type JoinAnswer = {
  readonly errorCode: number;
  readonly generationId: number;
  readonly leaderId: string;
  readonly memberId: string;
  readonly members: readonly GroupMember[];
};
type PartitionOffset = { readonly partition: number; readonly offset: string; readonly metadata?: string | null };
type TopicOffsets = { readonly topic: string; readonly partitions: readonly PartitionOffset[] };

type KafkajsConnection = {
  connect(): Promise<boolean>;
  processData(data: Buffer): void;
  chunks: Buffer[];
  readonly bytesBuffered: number;
};

/** kafkajs's Broker: one node, two connections (the second for fetches, so that a long poll holds nothing up). */
export type KafkajsBroker = {
  readonly versions: ApiVersions | null;
  readonly connectionPool: {
    readonly host: string;
    readonly port: number;
    send<T>(request: ProtocolRequest<T>): Promise<T>;
    readonly pool: KafkajsConnection[];
  };
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  lookupRequest(apiKey: number, definition: unknown): (payload: unknown) => ProtocolRequest<unknown>;
  findGroupCoordinator(q: { groupId: string; coordinatorType: number }): Promise<{ coordinator: { nodeId: number } }>;
  syncGroup(q: {
    groupId: string;
    generationId: number;
    memberId: string;
    groupAssignment: readonly { memberId: string; memberAssignment: Buffer }[];
  }): Promise<{ memberAssignment: Buffer }>;
  heartbeat(q: { groupId: string; groupGenerationId: number; memberId: string }): Promise<unknown>;
  describeGroups(q: { groupIds: readonly string[] }): Promise<{ groups: readonly { members: readonly unknown[] }[] }>;
  leaveGroup(q: { groupId: string; memberId: string }): Promise<unknown>;
  offsetCommit(q: {
    groupId: string;
    groupGenerationId: number;
    memberId: string;
    topics: readonly TopicOffsets[];
  }): Promise<unknown>;
  offsetFetch(q: {
    groupId: string;
    topics: readonly { topic: string; partitions: readonly { partition: number }[] }[];
  }): Promise<{ responses: readonly TopicOffsets[] }>;
  listOffsets(q: {
    isolationLevel: number;
    topics: readonly { topic: string; partitions: readonly { partition: number; timestamp: number }[] }[];
  }): Promise<{ responses: readonly TopicOffsets[] }>;
};

type KafkajsCluster = {
  readonly connectionPoolBuilder: {
    build(where: { host: string; port: number }): Promise<KafkajsBroker['connectionPool']>;
  };
  readonly brokerPool: {
    readonly rootLogger: unknown;
    createBroker(options: {
      connectionPool: KafkajsBroker['connectionPool'];
      logger: unknown;
      nodeId?: number;
    }): KafkajsBroker;
  };
};

const requests = (load('kafkajs/src/protocol/requests/index.js') as { requests: { readonly JoinGroup: unknown } })
  .requests;
const JOIN_GROUP = 11;
export const MEMBER_ID_REQUIRED = 79;

/**
 * Joins once. kafkajs's own `joinGroup` hides the member id of a first attempt; a member that is stopped before its
 * second one could then not leave, and the group would wait for its session to end.
 */
export const joinGroup = async (
  broker: KafkajsBroker,
  payload: {
    readonly groupId: string;
    readonly sessionTimeout: number;
    readonly rebalanceTimeout: number;
    readonly memberId: string;
    readonly groupProtocols: readonly { readonly name: string; readonly metadata: Buffer }[];
  },
): Promise<JoinAnswer> => {
  const made = broker.lookupRequest(JOIN_GROUP, requests.JoinGroup)({ ...payload, protocolType: 'consumer' });
  const { parse } = made.response;
  const response = {
    decode: (bytes: Buffer) => made.response.decode(bytes),
    parse: async (decoded: unknown) =>
      (decoded as JoinAnswer).errorCode === MEMBER_ID_REQUIRED ? decoded : parse(decoded),
  };
  return (await broker.connectionPool.send({ ...made, response })) as JoinAnswer;
};

/** The checksum of record batches (Castagnoli's polynomial, which node:zlib does not have). */
export const crc32c = load('kafkajs/src/protocol/recordBatch/crc32C/index.js') as (bytes: Buffer) => number;

type RequestQueue = {
  readonly pending: readonly unknown[];
  readonly throttledUntil: number;
  scheduleCheckPendingRequests(): void;
};

/**
 * kafkajs re-arms a timer of at most a millisecond on every connection for ever, also with nothing to send: about 3 %
 * of a core when idle, and a TimeoutNegativeWarning from Node 24. Armed only where there is something to wait for.
 * Holds for the process.
 */
const cureIdleTimer = (): void => {
  const { prototype } = load('kafkajs/src/network/requestQueue/index.js') as {
    prototype: RequestQueue & { cured?: true };
  };
  if (prototype.cured) return;
  prototype.cured = true;
  const schedule = prototype.scheduleCheckPendingRequests;
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
    if (this.pending.length > 0) schedule.call(this);
  };
};

export type DialOptions = {
  readonly clientId: string;
  readonly tls: ConnectionOptions | null;
  readonly sasl: SASLOptions | null;
  readonly connectTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly logCreator: logCreator;
};

export type Dialer = {
  /** A broker that is not yet connected. */
  open(host: string, port: number, nodeId?: number): Promise<KafkajsBroker>;
  /** Where large answers lie; who has done with one may give it back. */
  readonly answers: AnswerPool;
  /** Ends every connection at once, whatever is on its way. */
  destroy(): void;
};

const KEEP_ALIVE_MS = 30_000;

export const createDialer = (options: DialOptions): Dialer => {
  cureIdleTimer();
  const sockets = new Set<Socket>();
  const pool = new AnswerPool();
  let destroyed = false;
  const kafka = new Kafka({
    brokers: ['unused:0'],
    clientId: options.clientId,
    connectionTimeout: options.connectTimeoutMs,
    requestTimeout: options.requestTimeoutMs,
    logLevel: logLevel.WARN,
    logCreator: (level) => {
      const log = options.logCreator(level);
      return (entry) => {
        if (!destroyed) log(entry);
      };
    },
    ...(options.tls === null ? {} : { ssl: options.tls }),
    ...(options.sasl === null ? {} : { sasl: { ...options.sasl } }),
    socketFactory: ({ host, port, ssl, onConnect }) => {
      const socket = ssl
        ? connectTls({ host, port, ...(isIP(host) ? {} : { servername: host }), ...ssl }, onConnect)
        : connectReceiving({ host, port }, pool, onConnect);
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
      socket.setNoDelay(true);
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      return socket;
    },
  });
  const { connectionPoolBuilder, brokerPool } = createCluster(kafka);
  return {
    answers: pool,
    open: async (host, port, nodeId) => {
      const connectionPool = await connectionPoolBuilder.build({ host, port });
      for (const connection of connectionPool.pool) {
        connectOnce(connection);
        cureConcat(connection);
      }
      const logger = brokerPool.rootLogger;
      return brokerPool.createBroker({ connectionPool, logger, ...(nodeId === undefined ? {} : { nodeId }) });
    },
    destroy: () => {
      destroyed = true;
      for (const socket of sockets) socket.destroy(new Error('closed by us'));
    },
  };
};

/** Two requests at a time would dial twice on one connection object, and mix up what they hear. */
const connectOnce = (connection: KafkajsConnection): void => {
  const connect = connection.connect.bind(connection);
  let dialing: Promise<boolean> | null = null;
  connection.connect = () => {
    dialing ??= connect().finally(() => {
      dialing = null;
    });
    return dialing;
  };
};

/** kafkajs keeps what is left behind an answer, which is nothing, and so copies the next one whole to join the two. */
const cureConcat = (connection: KafkajsConnection): void => {
  const processData = connection.processData.bind(connection);
  connection.processData = (data) => {
    if (connection.bytesBuffered === 0) connection.chunks = [];
    processData(data);
  };
};

const createCluster = (kafka: Kafka): KafkajsCluster => {
  const symbol = Object.getOwnPropertySymbols(kafka).find((s) => s.description === 'private:Kafka:createCluster');
  if (symbol === undefined) throw new Error('kafkajs is not 2.2.4: no createCluster');
  const create = (kafka as unknown as Record<symbol, (options: object) => KafkajsCluster>)[symbol]!;
  return create({ metadataMaxAge: 0, allowAutoTopicCreation: false });
};
