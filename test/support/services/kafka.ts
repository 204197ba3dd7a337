/** Real Kafka brokers on 127.0.0.1, each broker and controller in one process, with directories and ports of their own. */
import { randomBytes } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitUntil } from '../wait-for.ts';
import { installKafka, type KafkaTools } from './install-kafka.ts';
import { findCoordinator, GROUPS, TRANSACTIONS } from './kafka-requests.ts';
import { freePort } from './ports.ts';
import { type OwnedProcess, removeScratch, scratchDirectory, startProcess, waitForLog } from './process.ts';
import { CACHE, run, say, withLock } from './tools.ts';

/** The largest record that the brokers take, with some room for its batch. */
export const MESSAGE_MAX_BYTES = 17 * 1024 * 1024;

export type KafkaOptions = {
  /** 1 (the default) or 3. */
  readonly nodes?: 1 | 3;
  /** More broker settings; they win over those from here. `auto.create.topics.enable` is off. */
  readonly config?: Readonly<Record<string, string>>;
  /** One more listener, on a port of its own, beside the plain one; its settings (`listener.name.sasl_ssl...`, `ssl...`) go into `config`. */
  readonly secured?: 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL';
  /** One more plain listener, which tells its clients to come to another port: for a proxy in between. */
  readonly detour?: boolean;
};

/** A listener that is advertised at another port than its own. */
export type Detour = { readonly port: number; readonly advertisedPort: number };

export type KafkaCluster = {
  /** `127.0.0.1:port` of each node, node 0 first. */
  readonly brokers: readonly string[];
  /** The addresses of the `secured` listener; empty without one. */
  readonly securedBrokers: readonly string[];
  /** Of each node; empty without `detour`. Nobody listens at the advertised ports but the caller's proxies. */
  readonly detours: readonly Detour[];
  /** What the nodes keep, and their logs (`node-<n>.log`). */
  readonly dir: string;
  /** Sends a signal to node 0, 1 or 2; for SIGKILL and SIGTERM resolves when the process is gone. */
  kill(node: number, signal?: NodeJS.Signals): Promise<void>;
  /** Starts a node that is down on its old ports and data; resolves when it is ready. */
  start(node: number): Promise<void>;
  /** Ends all nodes and removes what they kept. */
  stop(): Promise<void>;
};

type Node = {
  readonly index: number;
  readonly dir: string;
  readonly logFile: string;
  readonly port: number;
  readonly controllerPort: number;
  readonly securedPort: number | undefined;
  readonly detour: Detour | undefined;
  process?: OwnedProcess;
};

const READY_TIMEOUT_MS = 60_000;

export async function startKafka(options: KafkaOptions = {}): Promise<KafkaCluster> {
  const tools = await installKafka();
  const template = await prepareTemplate(tools);
  const dir = scratchDirectory('kafka');
  const nodes: Node[] = [];
  for (let index = 0; index < (options.nodes ?? 1); index += 1) nodes.push(await layOut(dir, index, options));
  const clusterId = uuid();
  for (const node of nodes) writeNode(node, nodes, clusterId, template.formatted, options);

  const launch = async (node: Node) => {
    node.process = await launchNode(tools, node, template.archive);
  };
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.process?.stop(0)));
    removeScratch(dir);
  };
  try {
    await Promise.all(nodes.map(launch));
    await Promise.all(nodes.map(untilReady));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    brokers: nodes.map((node) => `127.0.0.1:${node.port}`),
    securedBrokers: nodes.flatMap((node) => (node.securedPort === undefined ? [] : [`127.0.0.1:${node.securedPort}`])),
    detours: nodes.flatMap((node) => node.detour ?? []),
    dir,
    kill: async (index, signal = 'SIGKILL') => {
      const child = nodes[index]!.process!;
      child.signal(signal);
      if (signal === 'SIGKILL' || signal === 'SIGTERM') await child.exit;
    },
    start: async (index) => {
      await launch(nodes[index]!);
      await untilReady(nodes[index]!);
    },
    stop,
  };
}

async function layOut(dir: string, index: number, options: KafkaOptions): Promise<Node> {
  return {
    index,
    dir: join(dir, `node-${index}`),
    logFile: join(dir, `node-${index}.log`),
    port: await freePort(),
    controllerPort: await freePort(),
    securedPort: options.secured === undefined ? undefined : await freePort(),
    detour: options.detour === true ? { port: await freePort(), advertisedPort: await freePort() } : undefined,
  };
}

function writeNode(
  node: Node,
  nodes: readonly Node[],
  clusterId: string,
  formatted: string,
  options: KafkaOptions,
): void {
  cpSync(formatted, join(node.dir, 'data'), { recursive: true });
  const identity = { version: '1', 'node.id': String(node.index + 1), 'cluster.id': clusterId, 'directory.id': uuid() };
  writeFileSync(join(node.dir, 'data/meta.properties'), properties(identity));
  writeFileSync(
    join(node.dir, 'server.properties'),
    properties({ ...settings(node, nodes, options), ...options.config }),
  );
}

/** Kafka's own spelling of an id: 16 random bytes. One that begins with a dash would look like an option. */
function uuid(): string {
  const text = randomBytes(16).toString('base64url');
  return text.startsWith('-') ? uuid() : text;
}

function properties(entries: Readonly<Record<string, string>>): string {
  return Object.entries(entries)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

/** A quick and small broker: no waiting for members, few internal partitions, small buffers, short sessions allowed. */
function settings(node: Node, nodes: readonly Node[], options: KafkaOptions): Record<string, string> {
  const listeners = [`PLAINTEXT://127.0.0.1:${node.port}`];
  if (options.secured !== undefined) listeners.push(`${options.secured}://127.0.0.1:${node.securedPort}`);
  const protocols = ['CONTROLLER:PLAINTEXT', 'PLAINTEXT:PLAINTEXT'];
  if (options.secured !== undefined) protocols.push(`${options.secured}:${options.secured}`);
  const advertised = [...listeners];
  if (node.detour !== undefined) {
    listeners.push(`DETOUR://127.0.0.1:${node.detour.port}`);
    advertised.push(`DETOUR://127.0.0.1:${node.detour.advertisedPort}`);
    protocols.push('DETOUR:PLAINTEXT');
  }
  const factor = String(Math.min(3, nodes.length));
  const inSync = nodes.length === 1 ? '1' : '2';
  return {
    'process.roles': 'broker,controller',
    'node.id': String(node.index + 1),
    'controller.quorum.voters': nodes.map((n) => `${n.index + 1}@127.0.0.1:${n.controllerPort}`).join(','),
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    listeners: [...listeners, `CONTROLLER://127.0.0.1:${node.controllerPort}`].join(','),
    'advertised.listeners': advertised.join(','),
    'listener.security.protocol.map': protocols.join(','),
    'log.dirs': join(node.dir, 'data'),
    'auto.create.topics.enable': 'false',
    'default.replication.factor': factor,
    'min.insync.replicas': inSync,
    'message.max.bytes': String(MESSAGE_MAX_BYTES),
    'replica.fetch.max.bytes': String(MESSAGE_MAX_BYTES),
    'offsets.topic.num.partitions': '2',
    'offsets.topic.replication.factor': factor,
    'offsets.topic.segment.bytes': '4194304',
    'transaction.state.log.num.partitions': '2',
    'transaction.state.log.replication.factor': factor,
    'transaction.state.log.min.isr': inSync,
    'transaction.state.log.segment.bytes': '4194304',
    'share.coordinator.state.topic.num.partitions': '1',
    'share.coordinator.state.topic.replication.factor': factor,
    'share.coordinator.state.topic.min.isr': inSync,
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '500',
    'broker.session.timeout.ms': '3000',
    'broker.heartbeat.interval.ms': '500',
    'log.cleaner.dedupe.buffer.size': '4194304',
    'log.index.size.max.bytes': '1048576',
    'num.network.threads': '2',
    'num.io.threads': '4',
    'num.recovery.threads.per.data.dir': '1',
  };
}

function launchNode(tools: KafkaTools, node: Node, archive: string | undefined): Promise<OwnedProcess> {
  return startProcess({
    name: `kafka node ${node.index}`,
    command: tools.java,
    args: [...javaOptions(tools, archive), 'kafka.Kafka', join(node.dir, 'server.properties')],
    logFile: node.logFile,
    cwd: node.dir,
  });
}

function javaOptions(tools: KafkaTools, archive: string | undefined): string[] {
  return [
    '-Xms64m',
    '-Xmx512m',
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    ...(archive === undefined ? [] : ['-Xshare:auto', `-XX:SharedArchiveFile=${archive}`]),
    `-Dlog4j2.configurationFile=${join(import.meta.dirname, 'kafka-log4j2.properties')}`,
    '-cp',
    join(tools.jars, '*'),
  ];
}

/** Started is not enough: before the coordinators answer, the first client meets COORDINATOR_NOT_AVAILABLE. */
async function untilReady(node: Node): Promise<void> {
  await waitForLog(node.process!, 'Kafka Server started', READY_TIMEOUT_MS);
  for (const kind of [GROUPS, TRANSACTIONS] as const) {
    await waitUntil(async () => (await findCoordinator(node.port, kind)) === 0, {
      timeoutMs: READY_TIMEOUT_MS,
      what: `a coordinator from kafka node ${node.index}`,
    });
  }
}

type Template = {
  /** A formatted directory, copied for each node. */
  readonly formatted: string;
  /** Classes as the JVM maps them: halves the start. Undefined where this Java cannot make one. */
  readonly archive: string | undefined;
};

async function prepareTemplate(tools: KafkaTools): Promise<Template> {
  const dir = join(CACHE, `kafka-template-${tools.version}`);
  const archive = join(dir, 'classes.jsa');
  const answer = () => ({ formatted: join(dir, 'data'), archive: existsSync(archive) ? archive : undefined });
  if (existsSync(dir)) return answer();
  return withLock('kafka-template', async () => {
    if (existsSync(dir)) return answer();
    say('preparing Kafka: formatting a directory and archiving classes, once');
    const unfinished = `${dir}.unfinished`;
    rmSync(unfinished, { recursive: true, force: true });
    mkdirSync(unfinished, { recursive: true });
    await format(tools, join(unfinished, 'data'));
    await archiveClasses(tools, unfinished).catch((error: unknown) =>
      say(`no class archive, going on without: ${error}`),
    );
    renameSync(unfinished, dir);
    return answer();
  });
}

async function format(tools: KafkaTools, target: string): Promise<void> {
  const scratch = scratchDirectory('kafka-format');
  try {
    const node = await layOut(scratch, 0, {});
    mkdirSync(node.dir);
    const file = join(node.dir, 'server.properties');
    writeFileSync(file, properties(settings(node, [node], {})));
    await run(tools.java, [
      ...javaOptions(tools, undefined),
      'kafka.tools.StorageTool',
      'format',
      '-t',
      uuid(),
      '-c',
      file,
    ]);
    cpSync(join(node.dir, 'data'), target, { recursive: true });
  } finally {
    removeScratch(scratch);
  }
}

/** Runs a broker once; the JVM writes the archive when it ends. */
async function archiveClasses(tools: KafkaTools, dir: string): Promise<void> {
  const scratch = scratchDirectory('kafka-archive');
  try {
    const node = await layOut(scratch, 0, {});
    writeNode(node, [node], uuid(), join(dir, 'data'), {});
    const archive = join(dir, 'classes.jsa');
    node.process = await startProcess({
      name: 'kafka for its classes',
      command: tools.java,
      args: [
        `-XX:ArchiveClassesAtExit=${archive}`,
        ...javaOptions(tools, undefined),
        'kafka.Kafka',
        join(node.dir, 'server.properties'),
      ],
      logFile: node.logFile,
      cwd: node.dir,
    });
    await untilReady(node);
    await node.process.stop(60_000);
  } finally {
    removeScratch(scratch);
  }
}
