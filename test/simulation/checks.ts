/** What must hold of a shard at any time, and of everything when it is quiet. */

import { RECORDS_TENANT } from '../../src/attribution/reserved.ts';
import { decodeSeriesKey } from '../../src/attribution/series-key.ts';
import { markerField, placeOf, RECORDS_LABEL } from '../../src/ledger/keys.ts';
import { readCommitMetadata } from '../../src/ledger/partition.ts';
import type { Fleet } from './fleet.ts';
import { checkSought } from './operator.ts';
import { UNTOLD } from './plan.ts';
import { type ReadAccount, readShard } from './reading.ts';
import { addTruth } from './shadow.ts';
import { recordsIn } from './sim-kafka.ts';
import { type Stage, TOPIC } from './stage.ts';
import type { SimRecord } from './traffic.ts';

export const checkShard = async (stage: Stage, shard: number): Promise<void> => {
  const read = await readShard(stage.ledger, shard);
  const shadow = stage.shadow.shards[shard] ?? null;
  if ((read === null) !== (shadow === null)) throw new Error(`invariant 2: shard ${shard} came or went`);
  if (read === null || shadow === null) return;
  const unseen = new Map(shadow.amounts);
  let tenants = 0;
  for (const account of read.accounts) {
    const { name, totals } = account;
    const where = `shard ${shard}, ${name.tenant}/${name.tracker}`;
    checkBalance(account, where);
    const [first, second] = unseen.get(name.tenant) ?? [0, 0];
    if (totals.total[0] !== first || totals.total[1] !== second)
      throw new Error(`invariant 2: ${where}: total ${totals.total}, what was applied ${[first, second]}`);
    unseen.delete(name.tenant);
    checkUnattributed(account, where);
    if (placeOf(name.tenant) === 'bounded') tenants++;
    if (name.tenant !== RECORDS_TENANT && stage.plan.theme !== 'limits' && totals.live > stage.plan.limit)
      throw new Error(`invariant 1: ${where}: ${totals.live} live series, limit ${stage.plan.limit}`);
  }
  if (tenants > stage.plan.maxTenantsPerShard) throw new Error(`invariant 8: shard ${shard} has ${tenants} tenants`);
  for (const [tenant, [first]] of unseen)
    if (first > 0) throw new Error(`invariant 2: shard ${shard} holds nothing of ${tenant}, ${first} was applied`);
};

const checkBalance = ({ totals, rows }: ReadAccount, where: string): void => {
  totals.total.forEach((total, m) => {
    const sum = rows.reduce((all, row) => all + row.values[m]!, 0) + totals.overflow[m]! + totals.retired[m]!;
    if (sum !== total) throw new Error(`invariant 2: ${where}: series + overflow + retired is ${sum}, total ${total}`);
  });
  if (rows.length !== totals.live) throw new Error(`invariant 1: ${where}: ${rows.length} series, live ${totals.live}`);
};

/** Of what is counted nothing has a team, and all has a service. */
const checkUnattributed = ({ name, totals }: ReadAccount, where: string): void => {
  const wanted = name.tenant === RECORDS_TENANT || totals.total[0] === 0 ? {} : { team: totals.total[0] };
  const found = Object.fromEntries(totals.unattributed);
  if (JSON.stringify(found) !== JSON.stringify(wanted))
    throw new Error(
      `invariant 2: ${where}: ${JSON.stringify(found)} is unattributed, must be ${JSON.stringify(wanted)}`,
    );
};

/** Every marker and every commit is at the end of its log. */
export const isSettled = (stage: Stage): boolean => {
  const topic = stage.kafka.topics.get(TOPIC)!;
  return topic.logs.every((log, partition) => {
    const commit = stage.kafka.commits.get(`${partition}/${TOPIC}`);
    const field = markerField(topic.id, partition);
    return (
      commit?.offset === log.end &&
      readCommitMetadata(commit.metadata)?.topicId === topic.id &&
      stage.shadow.shards.every((state) => state?.markers.get(field) === log.end)
    );
  });
};

/** Where nothing was skipped, moved or lost for good, what is counted is every record below the markers. */
export const checkComplete = async (stage: Stage): Promise<void> => {
  for (let shard = 0; shard < stage.shadow.shards.length; shard++) await checkShard(stage, shard);
  if (stage.plan.theme === 'seek' && stage.losses === 0) return checkSought(stage);
  if (!['none', 'limits', 'bomb', 'stale'].includes(stage.plan.theme) || stage.losses > 0) return;
  stage.shadow.shards.forEach((state, shard) => {
    const truth = new Map<string, readonly [number, number]>();
    for (const [field, marker] of state!.markers)
      for (const record of recordsIn(stage.shadow.logOf(field), 0, marker))
        addTruth(truth, shard, record as unknown as SimRecord);
    for (const [tenant, [bytes, count]] of truth) {
      const [x, y] = state!.amounts.get(tenant) ?? [0, 0];
      if (x !== bytes || y !== count)
        throw new Error(`invariant 3: shard ${shard}, ${tenant}: counted ${[x, y]}, truth ${[bytes, count]}`);
    }
  });
  await checkOutcomes(stage);
};

/** Each record's own fate: accepted, or discarded with its reason. */
const checkOutcomes = async (stage: Stage): Promise<void> => {
  for (let shard = 0; shard < stage.shadow.shards.length; shard++) {
    const read = await readShard(stage.ledger, shard);
    const records = read?.accounts.find(({ name }) => name.tenant === RECORDS_TENANT);
    if (read === null || records === undefined) continue;
    const truth = new Map<string, number>();
    for (const [field, marker] of read.view.markers)
      for (const record of recordsIn(stage.shadow.logOf(field), 0, marker)) {
        const { outcome, bytes } = (record as unknown as SimRecord).truth;
        truth.set(outcome, (truth.get(outcome) ?? 0) + bytes);
      }
    const ids = Buffer.concat(records.rows.map(({ id }) => id));
    const keys = await stage.ledger.keys(shard, records.name, ids);
    records.rows.forEach((row, i) => {
      const outcome = decodeSeriesKey(keys[i]!).find(([name]) => name === RECORDS_LABEL)![1];
      if ((truth.get(outcome) ?? 0) !== row.values[0])
        throw new Error(`invariant 3: outcome ${outcome}: ${row.values[0]} bytes, truth ${truth.get(outcome)}`);
    });
  }
};

/** What was skipped and what was told of it are the same, where nobody died between the two. */
export const checkGaps = (stage: Stage): void => {
  const told = stage.gaps.reduce((sum, records) => sum + records, 0);
  let skipped = 0;
  for (const ranges of stage.shadow.skipped.values()) {
    let end = -1;
    for (const { from, to } of [...ranges].sort((a, b) => a.from - b.from)) {
      skipped += Math.max(0, to - Math.max(end, from));
      end = Math.max(end, to);
    }
  }
  const happened = (kinds: readonly string[]): boolean => kinds.some((kind) => stage.counts[kind] !== undefined);
  if (happened(UNTOLD)) return;
  const isHandedOver = happened(['twin', 'rebalance', 'partition added']) || stage.plan.replicas > 1;
  if (told < skipped || (!isHandedOver && told > skipped))
    throw new Error(`invariant 3: ${skipped} offsets were skipped, ${told} told`);
};

/** A series that was refreshed lately is still there: what a call took away must have been stale. */
export const checkPurged = (stage: Stage, shard: number): void => {
  if (stage.plan.theme !== 'stale' || stage.rollbacks > 0) return;
  const past = stage.pastOf(shard, stage.scheduler.now)?.shard;
  const present = stage.memory!.inspectShard(shard);
  if (!past || !present || past.life !== present.life) return;
  for (const [member, account] of past.accounts) {
    const after = present.accounts.get(member);
    if (after === undefined || after.rows.size >= account.rows.size || account.name.tenant === RECORDS_TENANT) continue;
    for (const id of account.rows.keys()) {
      if (after.rows.has(id)) continue;
      const seenAt = stage.shadow.refreshed.get(`${account.name.tenant}\n${id}`) ?? 0;
      const ageMs = stage.scheduler.now - seenAt + stage.serverAheadSince(seenAt);
      if (ageMs < (stage.plan.staleS - 1) * 1000)
        throw new Error(
          `invariant 6: a series of ${account.name.tenant} was purged ${ageMs} ms after its last refresh`,
        );
    }
  }
};

export const describe = (stage: Stage, fleet: Fleet): string => {
  const topic = stage.kafka.topics.get(TOPIC)!;
  return JSON.stringify(
    topic.logs.map((log, partition) => {
      const field = markerField(topic.id, partition);
      const markers = stage.shadow.shards.map((state) => state?.markers.get(field) ?? -1);
      return {
        id: topic.id,
        start: log.start,
        end: log.end,
        commit: stage.kafka.commits.get(`${partition}/${TOPIC}`),
        markers: [Math.min(...markers), Math.max(...markers)],
        held: fleet.living.flatMap(({ process, worker }) =>
          [...worker.partitions]
            .filter((p) => p.partition === partition)
            .map((p) => [process.name, p.phase, p.next, p.doubt]),
        ),
      };
    }),
  );
};
