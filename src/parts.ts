/** From the configuration to what single parts of the service want to be told. */
import type { OverridesApiDeps } from './api/overrides-api.ts';
import type { Config } from './config/config.ts';
import { MEASURE_NAMES } from './config/trackers.ts';
import type { Documents } from './ledger/documents.ts';
import { RECORDS_MEASURES, RECORDS_TRACKER } from './ledger/keys.ts';
import { MemoryDocuments } from './ledger/memory-documents.ts';
import { MemoryLedger } from './ledger/memory-ledger.ts';
import type { AccountName, Leases, Ledger, LedgerReader } from './ledger/port.ts';
import { openRedisLedger, type RedisLedgerOptions } from './ledger/redis-ledger.ts';
import type { TenantOverrides } from './overrides/current.ts';
import type { SettingsOf } from './overrides/settings.ts';
import { trackerNames } from './overrides/static.ts';
import type { ServerOptions } from './publish/server.ts';
import type { PublishSettings } from './publish/settings.ts';
import type { Logger } from './telemetry/logger.ts';

export type AnyLedger = Ledger & LedgerReader & Leases;

type Opened = { readonly ledger: AnyLedger; readonly documents: Documents };

/** Null: in the memory of this process. */
export const openLedger = (options: RedisLedgerOptions | null): Opened => {
  if (options !== null) {
    const ledger = openRedisLedger(options);
    return { ledger, documents: ledger.documents };
  }
  const nowUs = (): number => Math.round(performance.timeOrigin * 1000 + performance.now() * 1000);
  return { ledger: new MemoryLedger({ nowUs }), documents: new MemoryDocuments(nowUs) };
};

export const serverOptions = ({ server }: Config): ServerOptions => ({
  host: server.host,
  port: server.port,
  tls: server.tls,
  tokens: { admin: server.adminToken, metrics: server.metricsToken },
  maxConnections: server.maxConnections,
  maxScrapes: server.maxScrapes,
  maxHeaderBytes: server.maxHeaderBytes,
  requestWithinMs: server.requestTimeoutMs,
  answerWithinMs: server.answerTimeoutMs,
});

export const overridesApiDeps = (
  config: Config,
  store: Documents,
  overrides: TenantOverrides,
  log: Logger,
): OverridesApiDeps => ({
  store,
  overrides,
  defaultTenant: config.tenants.default,
  trackers: trackerNames(config),
  checkConflicts: config.overrides.userConfigurable.checkConflicts,
  log,
});

/** An account whose tracker is not in force for its tenant any more ages as the tracker has it, and has no room. */
export const publishSettings = ({ usage }: Config, settings: SettingsOf): PublishSettings => {
  const trackerOf = ({ tenant, tracker }: AccountName) =>
    settings(tenant).trackers.find(({ name }) => name === tracker);
  const named = (tracker: string) => usage.trackers.find(({ name }) => name === tracker);
  const staleS = (tracker: string): number =>
    Math.ceil((named(tracker) ?? usage.costAttribution).staleDurationMs / 1_000);
  const measures = new Map<string, readonly string[]>([
    [RECORDS_TRACKER, RECORDS_MEASURES],
    ...usage.trackers.map(
      ({ name, measures: shown }) => [name, MEASURE_NAMES.map((one) => (shown.includes(one) ? one : ''))] as const,
    ),
  ]);
  return {
    account: (account) => trackerOf(account) ?? { limit: 0, staleS: staleS(account.tracker) },
    dimensionLabels: (account) => [...new Set(trackerOf(account)?.dimensions.map(({ label }) => label) ?? [])],
    measures: (tracker) => measures.get(tracker) ?? MEASURE_NAMES,
  };
};
