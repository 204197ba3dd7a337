/**
 * The embedded ledger: all state in this process, for one replica, `replay` and the simulation. It answers as the
 * Redis ledger does, under the same suite (test/contract).
 *
 * Every call takes effect at once, before its promise is returned.
 */
import { randomBytes } from 'node:crypto';
import { checkCall, checkMarker, checkShard } from './check-call.ts';
import { accountMember, installationOf, partitionsAmong } from './keys.ts';
import { commitToShard } from './memory-commit.ts';
import { isFreeFor, releaseLease, renewLease, signedIn, takeLease } from './memory-leases.ts';
import { purgeStep, removeOld, retireIds, retireShard } from './memory-removing.ts';
import type { MemoryShard } from './memory-state.ts';
import { copyShard, moveMarker, newShard, pageOf, totalsOf, viewOf } from './memory-state.ts';
import type {
  AccountName,
  AccountPage,
  CommitCall,
  CommitReply,
  Creation,
  Finding,
  Identity,
  LeaseAnswer,
  Leases,
  Ledger,
  LedgerReader,
  LedgerTools,
  MarkerField,
  MoveCause,
  ShardCut,
  ShardView,
} from './port.ts';
import { LedgerRefused, SERIES_ID_BYTES, SHARDS } from './port.ts';
import { noLedger, otherInstallation } from './refusals.ts';

export type MemoryLedgerOptions = {
  /** Microseconds since 1970, as a server's clock: it may step back. */
  readonly nowUs: () => number;
  readonly prefix?: string;
  /** Names of lives. */
  readonly random?: () => string;
};

/** What lies outside of the shards. Treat it as opaque, but its two parts may be put back apart. */
export type OutsideSnapshot = {
  readonly identity: { readonly of: Identity; readonly firstSights: ReadonlyMap<string, number> } | null;
  /** Replica -> server time of its last sign-in, ms. */
  readonly replicas: ReadonlyMap<string, number>;
};

export type ShardSnapshot = { readonly shard: MemoryShard | null };

export class MemoryLedger implements Ledger, LedgerReader, LedgerTools, Leases {
  readonly #nowUs: () => number;
  readonly #prefix: string;
  readonly #random: () => string;
  readonly #shards: (MemoryShard | null)[] = new Array<MemoryShard | null>(SHARDS).fill(null);
  #outside: OutsideSnapshot = { identity: null, replicas: new Map() };
  #installation: string | null = null;
  /** Rises with every snapshot: states of an older generation are copied before they are written. */
  #generation = 0;

  constructor({ nowUs, prefix = 'tracetally', random = () => randomBytes(16).toString('hex') }: MemoryLedgerOptions) {
    this.#nowUs = nowUs;
    this.#prefix = prefix;
    this.#random = random;
  }

  async examine(): Promise<readonly Finding[]> {
    return [];
  }

  async claim(identity: Identity): Promise<void> {
    const held = this.#outside.identity?.of;
    if (held !== undefined && (held.clusterId !== identity.clusterId || held.groupId !== identity.groupId))
      throw otherInstallation(this.#prefix, held, identity);
    const installation = installationOf(identity, this.#prefix);
    if (this.#shards.some((shard) => shard !== null && shard.installation !== installation))
      throw otherInstallation(this.#prefix, null, identity);
    if (held === undefined) this.#outside = { ...this.#outside, identity: { of: identity, firstSights: new Map() } };
    this.#installation = installation;
  }

  async join(identity: Identity): Promise<void> {
    if (this.#outside.identity === null && this.#shards.every((shard) => shard === null)) throw noLedger(this.#prefix);
    await this.claim(identity);
  }

  async firstSight(topicId: string, partitions: number): Promise<number> {
    const { identity } = this.#outside;
    if (identity === null) throw new LedgerRefused('the ledger has not been claimed');
    const held = identity.firstSights.get(topicId);
    if (held !== undefined) return held;
    const fields = this.#shards.flatMap((shard) => [...(shard?.markers.keys() ?? [])]);
    const first = partitionsAmong(fields, topicId) ?? partitions;
    const firstSights = new Map(identity.firstSights).set(topicId, first);
    this.#outside = { ...this.#outside, identity: { ...identity, firstSights } };
    return first;
  }

  async commit(call: CommitCall): Promise<CommitReply> {
    checkCall(call);
    const shard = this.#writable(call.shard);
    return shard === null ? { kind: 'absent' } : commitToShard(shard, call, this.#nowUs());
  }

  async view(shard: number): Promise<ShardView | null> {
    const state = this.#readable(shard);
    return state && viewOf(state);
  }

  async setMarkers(
    shard: number,
    markers: readonly (readonly [MarkerField, number])[],
    create: Creation,
  ): Promise<ShardView | null> {
    for (const [, marker] of markers) checkMarker(marker);
    let state = this.#writable(shard);
    if (state === null) {
      if (create === 'no') return null;
      const stamp = { generation: this.#generation, installation: this.#claimed(), life: this.#random() };
      state = newShard(stamp, create === 'after-loss', this.#nowUs());
      this.#shards[shard] = state;
    }
    for (const [field, marker] of markers) if (!state.markers.has(field)) state.markers.set(field, marker);
    return viewOf(state);
  }

  async move(
    shard: number,
    field: MarkerField,
    expected: number | null,
    to: number | null,
    why: MoveCause,
  ): Promise<number | null> {
    if (to !== null) checkMarker(to);
    const state = this.#writable(shard);
    return state && moveMarker(state, field, expected, to, why, this.#nowUs());
  }

  async cut(shard: number): Promise<ShardCut | null> {
    const state = this.#readable(shard);
    if (state === null) return null;
    const { moves, movesForgotten, accounts } = state;
    const totals = [...accounts.values()].map((account) => ({ ...account.name, totals: totalsOf(account) }));
    return { view: viewOf(state), moves: [...moves], movesForgotten, accounts: totals };
  }

  async retireSeries(shard: number, account: AccountName, ids: Buffer): Promise<number> {
    const state = this.#writable(shard);
    return state === null ? 0 : retireIds(state, account, ids, this.#nowUs());
  }

  async liveIds(shard: number, account: AccountName): Promise<{ readonly admissions: number; readonly ids: Buffer }> {
    const found = this.#readable(shard)?.accounts.get(accountMember(account));
    const ids = [...(found?.rows.values() ?? [])].map((row) => row.id);
    return { admissions: found?.admissions ?? 0, ids: Buffer.concat(ids) };
  }

  async tenants(shard: number, tracker: string): Promise<readonly string[]> {
    const names = [...(this.#readable(shard)?.accounts.values() ?? [])].map(({ name }) => name);
    return names.filter((name) => name.tracker === tracker).map((name) => name.tenant);
  }

  async retireAll(shard: number): Promise<void> {
    const state = this.#writable(shard);
    if (state !== null) retireShard(state, this.#nowUs());
  }

  async forgetShard(shard: number): Promise<void> {
    if (this.#writable(shard) !== null) this.#shards[shard] = null;
  }

  async close(): Promise<void> {}

  async changes(
    shard: number,
    since: number,
  ): Promise<{ readonly view: ShardView; readonly accounts: readonly AccountName[] } | null> {
    const state = this.#readable(shard);
    if (state === null) return null;
    const changed = [...state.accounts.values()].filter((account) => account.changedAt > since);
    return { view: viewOf(state), accounts: changed.map(({ name }) => name) };
  }

  async page(shard: number, account: AccountName, cursor: string | null, count: number): Promise<AccountPage | null> {
    const state = this.#readable(shard);
    const found = state?.accounts.get(accountMember(account));
    return state && found ? pageOf(state, found, cursor, count) : null;
  }

  async keys(shard: number, account: AccountName, ids: Buffer): Promise<readonly (Buffer | null)[]> {
    const rows = this.#readable(shard)?.accounts.get(accountMember(account))?.rows;
    const keys: (Buffer | null)[] = [];
    for (let i = 0; i < ids.length; i += SERIES_ID_BYTES)
      keys.push(rows?.get(ids.toString('hex', i, i + SERIES_ID_BYTES))?.key ?? null);
    return keys;
  }

  async purge(
    shard: number,
    account: AccountName,
    staleS: number,
    cursor: string | null,
    count: number,
  ): Promise<{ readonly cursor: string | null; readonly purged: number }> {
    const state = this.#writable(shard);
    if (state === null) return { cursor: null, purged: 0 };
    return purgeStep(state, account, staleS, cursor, count, this.#nowUs());
  }

  async removeAccount(shard: number, account: AccountName, retentionS: number): Promise<boolean> {
    const state = this.#writable(shard);
    return state !== null && removeOld(state, shard, account, retentionS, this.#nowUs());
  }

  async signIn(replica: string, withinMs: number): Promise<readonly string[]> {
    const replicas = signedIn(this.#outside.replicas, replica, withinMs, Math.floor(this.#nowUs() / 1000));
    this.#outside = { ...this.#outside, replicas };
    return [...replicas.keys()].sort();
  }

  async signOut(replica: string): Promise<void> {
    const replicas = new Map(this.#outside.replicas);
    replicas.delete(replica);
    this.#outside = { ...this.#outside, replicas };
  }

  async take(shard: number, replica: string, token: string, leaseMs: number): Promise<LeaseAnswer> {
    const state = this.#writable(shard);
    return state === null ? { kind: 'absent' } : takeLease(state, replica, token, leaseMs, this.#nowUs());
  }

  async renew(shard: number, token: string, leaseMs: number): Promise<boolean> {
    const state = this.#writable(shard);
    return state !== null && renewLease(state, token, leaseMs, this.#nowUs());
  }

  async release(shard: number, token: string, to: string | null, leaseMs: number): Promise<void> {
    const state = this.#writable(shard);
    if (state !== null) releaseLease(state, token, to, leaseMs, this.#nowUs());
  }

  async free(replica: string, shards: readonly number[]): Promise<readonly boolean[]> {
    return shards.map((shard) => {
      const state = this.#readable(shard);
      return state !== null && isFreeFor(state, replica, this.#nowUs());
    });
  }

  /** For the simulation: the shard as it stands, to be put back any number of times. Costs nothing by itself. */
  snapshotShard(shard: number): ShardSnapshot {
    this.#generation++;
    return { shard: this.#shards[shard]! };
  }

  /** Puts the shard back, as a server that lost its newest writes; `null`: all of them. */
  restoreShard(shard: number, snapshot: ShardSnapshot | null): void {
    this.#generation++;
    this.#shards[shard] = snapshot?.shard ?? null;
  }

  snapshotOutside(): OutsideSnapshot {
    return this.#outside;
  }

  restoreOutside(snapshot: OutsideSnapshot | null): void {
    this.#outside = snapshot ?? { identity: null, replicas: new Map() };
  }

  /** The state itself, for checking invariants; read only, and only until the next call. */
  inspectShard(shard: number): Readonly<MemoryShard> | null {
    return this.#shards[shard]!;
  }

  #claimed(): string {
    if (this.#installation === null) throw new LedgerRefused('the ledger has not been claimed');
    return this.#installation;
  }

  #readable(shard: number): MemoryShard | null {
    checkShard(shard);
    const state = this.#shards[shard]!;
    if (state !== null && this.#installation !== null && state.installation !== this.#installation)
      throw otherInstallation(this.#prefix, null, null);
    return state;
  }

  #writable(shard: number): MemoryShard | null {
    this.#claimed();
    const state = this.#readable(shard);
    if (state === null || state.generation === this.#generation) return state;
    const copy = copyShard(state, this.#generation);
    this.#shards[shard] = copy;
    return copy;
  }
}
