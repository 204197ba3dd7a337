/**
 * The composition root: makes every part, starts them in order, stops them in reverse. The only file that knows every
 * folder.
 *
 *   HTTP first (a probe must be answered while Kafka or Redis is away), then the ledger is bound to this installation,
 *   then publishing, the worker, and last the source, which hands over the first batch.
 */
import { randomBytes, X509Certificate } from 'node:crypto';
import { hostname } from 'node:os';
import { overridesApi } from './api/overrides-api.ts';
import { statusPages } from './api/status-pages.ts';
import { TenantChain } from './attribution/tenant.ts';
import { kafkaOptions, ledgerOptions } from './commands/reach.ts';
import type { Config, ServerTls } from './config/config.ts';
import type { Values } from './config/schema.ts';
import { ServerFiles } from './config/server-files.ts';
import { Intake } from './intake.ts';
import type { SourceHandler } from './kafka/port.ts';
import { openProducer } from './kafka/producer.ts';
import { createKafkaSource, type KafkaSource } from './kafka/source.ts';
import { sleep, systemClock, within } from './ledger/clock.ts';
import { groupCommits } from './ledger/group-commits.ts';
import { maxTenantsPerShard } from './ledger/keys.ts';
import { LedgerRefused } from './ledger/port.ts';
import { isTemporary } from './ledger/temporary.ts';
import { Worker } from './ledger/worker.ts';
import { type Health, watchOverrides, watchRecords, watchWorker } from './observe.ts';
import { TenantOverrides } from './overrides/current.ts';
import { topicEncodings } from './overrides/static.ts';
import { type AnyLedger, openLedger, overridesApiDeps, publishSettings, serverOptions } from './parts.ts';
import { Pipeline } from './pipeline.ts';
import { Publisher } from './publish/publisher.ts';
import { PublishServer } from './publish/server.ts';
import { PUBLISH_DEFAULTS } from './publish/settings.ts';
import { openConfluentRegistry } from './schemas/confluent.ts';
import { Standing } from './standing.ts';
import type { Logger } from './telemetry/logger.ts';
import type { SelfMetrics } from './telemetry/self-metrics.ts';

const LOOK_INTERVAL_MS = 10_000;
/** How often the files of the HTTP server are read again. */
const FILES_INTERVAL_MS = 5_000;
const PATIENCE_MS = 20_000;
const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 2_000;
/** Of the time to stop, what publishing may take to end begun answers and hand over. */
const RELEASE_SHARE = 0.3;
/** What dead letters on their way may take. */
const LETTERS_SHARE = 0.3;

/** The configuration, also in the words of its file. */
export type Settings = { readonly config: Config; readonly values: Values };

/** Runs until a signal or a fault; answers the exit code: 0 after an orderly stop, 1 after a fault. */
export const runService = async (settings: Settings, logger: Logger, metrics: SelfMetrics): Promise<number> => {
  const { config } = settings;
  const service = new Service(settings, logger, metrics);
  const ended = new Promise<number>((resolve) => {
    service.onFault = (error) => {
      logger.error({ error }, 'stopping_on_fault');
      resolve(1);
    };
    let signals = 0;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (signals++ > 0) {
        logger.warn({ signal }, 'stopping_at_once');
        process.exit(1);
      }
      logger.info({ signal, within_ms: config.server.shutdownTimeoutMs }, 'stopping');
      resolve(0);
    };
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, onSignal);
  });
  const started = service.start().catch((error: unknown) => service.fault(error));
  const code = await ended;
  await service.stop(code === 0, started);
  logger.info({ exit_code: code }, 'stopped');
  return code;
};

class Service {
  onFault: (error: Error) => void = () => {};
  readonly #config: Config;
  readonly #logger: Logger;
  readonly #metrics: SelfMetrics;
  readonly #health: Health = {
    ledgerUp: false,
    joined: false,
    kafkaUp: true,
    waitingFor: 'the start',
    stopping: false,
  };
  readonly #isEmbedded: boolean;
  readonly #ledger: AnyLedger;
  readonly #source: KafkaSource;
  readonly #intake: Intake;
  readonly #worker: Worker;
  readonly #publisher: Publisher;
  readonly #server: PublishServer;
  readonly #standing: Standing;
  readonly #files: ServerFiles;
  #filesTimer: NodeJS.Timeout | undefined;
  readonly #overrides: TenantOverrides;
  #isFaulty = false;

  constructor({ config, values }: Settings, logger: Logger, metrics: SelfMetrics) {
    this.#config = config;
    this.#logger = logger;
    this.#metrics = metrics;
    const redis = ledgerOptions(config);
    this.#isEmbedded = redis === null;
    const { ledger, documents } = openLedger(redis);
    this.#ledger = ledger;
    const { userConfigurable } = config.overrides;
    const store = userConfigurable.enabled ? documents : null;
    this.#source = createKafkaSource({
      ...kafkaOptions(config),
      logger,
      watch: (trouble) => metrics.sourceTroubles.add(trouble),
    });
    this.#overrides = new TenantOverrides({
      config,
      store,
      watch: watchOverrides(metrics, logger),
      changed: () => pipeline.settingsChanged(),
    });
    const { settings } = this.#overrides;
    this.#intake = new Intake({
      config: { ...config.kafka, schemaRegistry: config.schemaRegistry },
      source: this.#source,
      producer: () => openProducer({ ...kafkaOptions(config), logger }),
      registry: openConfluentRegistry,
      isPaused: () => this.#worker.isPaused,
      metrics,
      logger,
    });
    const { setAside, schemaOf, unsettled } = this.#intake;
    const pipeline = new Pipeline({
      tenants: new TenantChain(config.tenants.from, config.tenants.default),
      settings,
      maxLabelValueLength: config.usage.maxLabelValueLengthBytes,
      encoding: topicEncodings(config),
      accounting: config.usage.accounting,
      ...(setAside === undefined ? {} : { setAside }),
      ...(schemaOf === undefined ? {} : { schemaOf }),
      watch: watchRecords(metrics, logger),
    });
    const tell = watchWorker(metrics, logger, this.#health, this.#isEmbedded);
    this.#worker = new Worker({
      source: this.#source,
      ledger: this.#ledger,
      topics: config.kafka.topics,
      clock: systemClock,
      gather: pipeline.gather,
      unsettled,
      tablesFootprint: () => pipeline.footprint,
      flushIntervalMs: config.ledger.flushIntervalMs,
      lookIntervalMs: LOOK_INTERVAL_MS,
      maxPendingBytes: config.ledger.maxPendingBytes,
      maxTenantsPerShard: maxTenantsPerShard(config.ledger.maxTenants),
      fromBeginning: config.kafka.fromBeginning,
      onLoss: config.ledger.onLoss,
      patienceMs: PATIENCE_MS,
      watch: (event) => {
        if (event.kind === 'positioned') this.#intake.positioned(event);
        tell(event);
      },
      fatal: (error) => this.fault(error),
    });
    const publish = publishSettings(config, settings);
    const replica = `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`;
    this.#publisher = new Publisher(
      {
        reader: this.#ledger,
        leases: this.#ledger,
        clock: systemClock,
        token: () => `${replica}/${randomBytes(8).toString('hex')}`,
        commits: () => groupCommits(this.#source, config.kafka.topics),
        settings: publish,
        log: logger,
        fatal: (error) => this.fault(error),
      },
      {
        ...PUBLISH_DEFAULTS,
        replica,
        leaseMs: config.publish.leaseMs,
        holdMs: config.publish.birthHoldMs,
        tenantRetentionS: config.ledger.tenantRetentionMs / 1000,
      },
    );
    this.#standing = new Standing({
      health: this.#health,
      worker: this.#worker,
      publisher: this.#publisher,
      overrides: this.#overrides,
      metrics,
    });
    metrics.onScrape(() => {
      this.#standing.observe();
      this.#intake.observe();
    });
    this.#files = new ServerFiles(config.server);
    this.#server = new PublishServer(
      {
        snapshot: (forScraper) => this.#publisher.snapshot(forScraper),
        exposition: {
          prefix: config.publish.metricPrefix,
          settings: publish,
          created: false,
          numbers: config.publish.numbers,
        },
        selfMetrics: async () => ({ contentType: metrics.contentType, body: await metrics.text() }),
        ready: () => this.#standing.readiness(),
        live: () => ({ ok: !this.#isFaulty, reasons: this.#isFaulty ? ['stopping on a fault'] : [] }),
        endpoints: [
          ...statusPages({
            values,
            overrides: this.#overrides,
            services: () => this.#standing.services(),
            endpoints: () => this.#server.paths,
          }),
          ...(store === null ? [] : [overridesApi(overridesApiDeps(config, store, this.#overrides, logger))]),
        ],
        scraped: (seconds) => metrics.scrapeSeconds.observe(seconds),
        log: logger,
      },
      serverOptions(config),
    );
  }

  async start(): Promise<void> {
    const port = await this.#server.listen();
    this.#logger.info({ host: this.#config.server.host, port }, 'listening');
    this.#overrides.start();
    this.#watchFiles();
    await this.#untilDone('Kafka: the id of the cluster', async () => {
      const clusterId = await this.#source.clusterId();
      await this.#claimLedger(clusterId);
      this.#health.waitingFor = 'what tenants set for themselves';
      await this.#overrides.startUsers();
    });
    if (this.#health.stopping) return;
    this.#health.waitingFor = '';
    this.#publisher.start();
    this.#worker.start();
    await this.#intake.open();
    await this.#source.start(this.#intake.guard(this.#handler()));
  }

  /** Within the configured bound. `orderly`: what was gathered is flushed and committed first. */
  async stop(orderly: boolean, started: Promise<void>): Promise<void> {
    this.#health.stopping = true;
    clearInterval(this.#filesTimer);
    this.#overrides.stop();
    const withinMs = this.#config.server.shutdownTimeoutMs;
    const endMs = systemClock.monotonicMs() + withinMs;
    const left = (): number => Math.max(0, endMs - systemClock.monotonicMs());
    await settledWithin(left(), started);
    if (orderly) {
      await settledWithin(left(), this.#source.quiesce());
      await settledWithin(left() * LETTERS_SHARE, this.#intake.idle());
      await this.#worker.drain(left() * (1 - RELEASE_SHARE));
    } else this.#worker.stop();
    await settledWithin(left(), this.#intake.stop());
    await settledWithin(left(), this.#publisher.stop(left()));
    await settledWithin(left(), Promise.all([this.#source.stop(), this.#server.close(left())]));
    await settledWithin(left(), this.#ledger.close());
  }

  fault(error: unknown): void {
    if (this.#isFaulty) return;
    this.#isFaulty = true;
    this.onFault(error instanceof Error ? error : new Error(String(error)));
  }

  /** Tokens and certificates are taken anew when their files change. */
  #watchFiles(): void {
    this.#tellExpiry(this.#config.server.tls);
    if (this.#files.isEmpty) return;
    this.#filesTimer = setInterval(() => {
      const { changed, problems } = this.#files.look();
      if (problems.length > 0) {
        this.#metrics.serverFilesRefused.add();
        this.#logger.limited('server_files_refused').warn({ problems }, 'server_files_refused');
      }
      if (changed === null) return;
      this.#server.tokens = changed;
      if (changed.tls !== null) this.#server.tls = changed.tls;
      this.#tellExpiry(changed.tls);
      this.#logger.info({}, 'server_files_taken');
    }, FILES_INTERVAL_MS);
  }

  #tellExpiry(tls: ServerTls | null): void {
    if (tls !== null) this.#metrics.certificateExpiry.set(new X509Certificate(tls.cert).validToDate.getTime() / 1_000);
  }

  /** Looked at before the first flush: a server that must not hold a ledger is refused, with the way out. */
  async #claimLedger(clusterId: string): Promise<void> {
    this.#health.waitingFor = 'the ledger';
    const findings = await this.#ledger.examine();
    const refusals = findings.filter(({ severity }) => severity === 'refuse');
    if (refusals.length > 0) throw new LedgerRefused(refusals.map(({ text }) => text).join('; '));
    for (const { text } of findings) this.#logger.warn({ finding: text }, 'ledger_examined');
    await this.#ledger.claim({ clusterId, groupId: this.#config.kafka.groupId });
    this.#health.ledgerUp = true;
    this.#metrics.ledgerUp.set(1);
  }

  /** Tries until it is done or the service stops; says what it waits for. */
  async #untilDone(what: string, work: () => Promise<void>): Promise<void> {
    for (let delay = FIRST_RETRY_MS; !this.#health.stopping; delay = Math.min(delay * 2, LAST_RETRY_MS)) {
      this.#health.waitingFor = what;
      try {
        return await work();
      } catch (error) {
        if (!isTemporary(error)) throw error;
        this.#logger.limited('start_waits').warn({ waiting_for: this.#health.waitingFor, error }, 'start_waits');
      }
      await sleep(systemClock, delay);
    }
  }

  #handler(): SourceHandler {
    const handler = this.#worker.handler;
    return {
      ...handler,
      assigned: (generation, partitions) => {
        this.#health.joined = true;
        this.#health.kafkaUp = true;
        this.#metrics.rebalances.add();
        this.#logger.info({ generation, partitions: partitions.length }, 'assigned');
        if (this.#isEmbedded) this.#refuseCompany().catch((error: unknown) => this.fault(error));
        handler.assigned(generation, partitions);
      },
      lost: () => {
        this.#health.joined = false;
        this.#metrics.membershipsLost.add();
        this.#logger.warn({}, 'membership_lost');
        handler.lost();
      },
    };
  }

  /** An embedded ledger knows nothing of another replica's: each would count a part, and show it as the whole. */
  async #refuseCompany(): Promise<void> {
    const members = await this.#source.members().catch((error: unknown) => {
      if (isTemporary(error)) return 1;
      throw error;
    });
    if (members < 2) return;
    throw new LedgerRefused(
      `the group ${this.#config.kafka.groupId} has ${members} members, and an embedded ledger serves one: ` +
        'set redis.url for all replicas, or give this one a kafka.group_id of its own',
    );
  }
}

/** Resolves when the work is done or the time is over, whatever becomes of it. */
const settledWithin = (ms: number, work: Promise<unknown>): Promise<void> =>
  within(
    systemClock,
    ms,
    work.catch(() => {}),
  );
