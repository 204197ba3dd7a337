/** When everything is as it must be, and how long that took. */
import type { ShardView } from '../../src/ledger/port.ts';
import { SHARDS } from '../../src/ledger/port.ts';
import { consumerLag } from '../support/consumer-lag.ts';
import { parseExposition } from '../support/exposition.ts';
import { type AccountTotals, differencesFrom, isOfTenant, readTotals } from '../support/fleet-ledger.ts';
import { endOffsets } from '../support/topics.ts';
import { waitFor } from '../support/wait-for.ts';
import { untilInSync } from './ground.ts';
import { readLog } from './log-reader.ts';
import { fieldsOf, type Stage } from './stage.ts';

export type Recovery = {
  /** From the end of the fault until the ledger held exactly the truth and all markers stood at the logs' ends, ms. */
  readonly exactMs: number;
  /** ... and until all shards were shown again, with that. */
  readonly shownMs: number;
};

/** Far above what is needed: a machine may be busy with other things. */
const PATIENCE_MS = 150_000;

/** The traffic must have ended. Rejects with what differs, tenant by tenant, when patience is over. */
export async function settle(stage: Stage, sinceMs = performance.now()): Promise<Recovery> {
  if (stage.writer.failures > 0) await settleDoubts(stage);
  await waitFor(
    async () => {
      const problems = await problemsOf(stage).catch((error: unknown) => [String(error)]);
      return problems.length === 0 ? { done: true, value: undefined } : { done: false, seen: problems };
    },
    { timeoutMs: PATIENCE_MS, what: 'difference 0', everyMs: 200 },
  );
  const exactMs = performance.now() - sinceMs;
  await waitFor(
    async () => {
      const problems = await hiddenOf(stage).catch((error: unknown) => [String(error)]);
      return problems.length === 0 ? { done: true, value: undefined } : { done: false, seen: problems };
    },
    { timeoutMs: PATIENCE_MS, what: 'all shards to be shown', everyMs: 200 },
  );
  return { exactMs, shownMs: performance.now() - sinceMs };
}

/** Everything in which the ledger is not at rest on the truth, in words. */
async function problemsOf(stage: Stage): Promise<string[]> {
  const { ledger, book, topics, ground, group } = stage;
  const views = await Promise.all(Array.from({ length: SHARDS }, (_, shard) => ledger.view(shard)));
  const totals = await readTotals(ledger);
  const markersOf = (shard: number) => views[shard]?.markers ?? new Map<string, number>();
  const problems = differencesFrom(totals, book.expected(markersOf));
  const { brokers } = ground.kafka;
  for (const topic of topics) {
    const ends = await endOffsets(brokers, topic.name);
    problems.push(...markersAwayFrom(ends, fieldsOf(topic), views));
    const lag = await consumerLag(brokers, group, topic.name);
    if (lag !== 0) problems.push(`the group's commits in ${topic.name}: ${lag} records behind`);
  }
  return problems;
}

function markersAwayFrom(
  ends: readonly number[],
  fields: readonly string[],
  views: readonly (ShardView | null)[],
): string[] {
  const markers = fields.map((field, partition) => {
    const away = views.filter((view) => view?.markers.get(field as never) !== ends[partition]).length;
    return away === 0 ? null : `${field}: ${away} of ${SHARDS} markers are not at the log's end ${ends[partition]}`;
  });
  return markers.filter((problem) => problem !== null);
}

/** What a person with curl does not see yet: all 64 shards, and in them what the ledger holds. */
async function hiddenOf(stage: Stage): Promise<string[]> {
  const owned = await stage.metric('tracetally_owned_shards');
  if (owned !== SHARDS) return [`${owned} of ${SHARDS} shards are shown`];
  const answers = await Promise.all(stage.replicas.map((replica) => replica.scrape('/usage_metrics')));
  const shown = new Map<string, number>();
  for (const { name, labels, value } of answers.flatMap(parseExposition)) {
    if (name !== 'tempo_usage_tracker_bytes_received_total') continue;
    shown.set(labels.tenant!, (shown.get(labels.tenant!) ?? 0) + value);
  }
  const totals = (await readTotals(stage.ledger)).filter(isOfTenant);
  return totals
    .filter(({ tenant, total, retired }) => (shown.get(tenant) ?? 0) !== total[0] - retired[0])
    .map(({ tenant, total }) => `${tenant}: ${shown.get(tenant) ?? 0} shown for ${total[0]}`);
}

/** Sends failed under way: the log says which of their records it holds. */
async function settleDoubts(stage: Stage): Promise<void> {
  await untilInSync(
    stage.ground,
    stage.topics.map(({ name }) => name),
  );
  const problems = await compareWithLogs(stage);
  if (problems.length > 0) throw new Error(`the truth is none: ${problems.slice(0, 5).join('; ')}`);
  stage.book.strikeDoubts();
  stage.writer.failures = 0;
}

/** Holds the generator's book against the logs, read by an independent client. Answers what differs, in words. */
export async function compareWithLogs({ ground, topics, book }: Stage): Promise<string[]> {
  const problems: string[] = [];
  for (const topic of topics) {
    const log = await readLog(ground.kafka.brokers, topic.name);
    for (const [partition, records] of log) problems.push(...book.compare(`${topic.id}/${partition}`, records));
  }
  return problems;
}

export function totalsOf(stage: Stage): Promise<AccountTotals[]> {
  return readTotals(stage.ledger);
}
