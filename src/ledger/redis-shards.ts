/**
 * The shards below a prefix, as one installation's. A script that writes is stamped with whose it is and in which format,
 * and refuses a shard of another's; what a script reads is looked at here. And the cursors of scans.
 */
import type { LedgerKeys } from './keys.ts';
import { ledgerKeys } from './keys.ts';
import type { AccountName, Identity } from './port.ts';
import { LEDGER_FORMAT, LedgerBroken, LedgerRefused, LedgerUnavailable } from './port.ts';
import type { MetaAnswer } from './redis-answers.ts';
import { decodeMembers } from './redis-answers.ts';
import type { Argument, RedisConnection } from './redis-connection.ts';
import { claimLedger, firstSightOf, joinLedger } from './redis-identity.ts';
import type { Script } from './redis-scripts.ts';
import { otherFormat, otherInstallation } from './refusals.ts';

export class RedisShards {
  readonly redis: RedisConnection;
  readonly keys: LedgerKeys;
  readonly #prefix: string;
  #installation: string | null = null;

  constructor(redis: RedisConnection, keyPrefix: string) {
    this.redis = redis;
    this.keys = ledgerKeys(keyPrefix);
    this.#prefix = keyPrefix;
  }

  /** Whose it is; null before a claim. */
  get installation(): string | null {
    return this.#installation;
  }

  /** What a script that writes is given before its own arguments. Throws `LedgerRefused` before a claim. */
  get stamp(): readonly [number, string] {
    return [LEDGER_FORMAT, this.#claimed()];
  }

  async claim(identity: Identity): Promise<void> {
    this.#installation = await claimLedger(this.redis, this.#prefix, identity);
  }

  async join(identity: Identity): Promise<void> {
    this.#installation = await joinLedger(this.redis, this.#prefix, identity);
  }

  async firstSight(topicId: string, partitions: number): Promise<number> {
    this.#claimed();
    return firstSightOf(this.redis, this.#prefix, topicId, partitions);
  }

  /** Runs a script that opens a shard, stamped; null where that has no state. */
  async write(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown[] | null> {
    const stamped = [...this.stamp, ...args];
    return this.written(script, (await this.redis.run(script, keys, stamped)) as unknown[]);
  }

  /** What such a script answered. Throws `LedgerRefused` where the shard is another's, `LedgerBroken` for what cannot be. */
  written(script: Script, answer: unknown[]): unknown[] | null {
    switch (answer[0]) {
      case 0:
        return null;
      case -1:
        throw this.#refusal(String(answer[1]));
      case -2:
        throw new LedgerBroken(`${script.name}: ${answer[1]}`);
      default:
        return answer;
    }
  }

  /** What a script read, if it is ours. Before a claim anyone's shard may be read: that is how an operator looks at it. */
  ours<A extends readonly [MetaAnswer, ...unknown[]]>(answer: A): A {
    const [format, installation] = answer[0].map(String);
    this.checkOurs(format!, installation!);
    return answer;
  }

  checkOurs(format: string, installation: string): void {
    const isOther = this.#installation !== null && installation !== this.#installation;
    if (isOther || format !== String(LEDGER_FORMAT)) throw this.#refusal(format);
  }

  /** All that the shard holds. */
  async accounts(shard: number): Promise<AccountName[]> {
    return decodeMembers((await this.redis.call('zrange', this.keys.shard(shard).tenants, 0, -1)) as Buffer[]);
  }

  /** The cursor of a scan that stands at a position of the server's; null at its end. */
  cursorOf(position: Buffer): string | null {
    return String(position) === '0' ? null : `${this.redis.epoch}:${position}`;
  }

  /** The position of a cursor. A position means nothing to another server than the one that said it. */
  scanAt(cursor: string | null): string {
    if (cursor === null) return '0';
    const [epoch, position] = cursor.split(':');
    if (Number(epoch) !== this.redis.epoch)
      throw new LedgerUnavailable('the server may be another one than the scan began on: begin it again');
    return position!;
  }

  #claimed(): string {
    if (this.#installation === null) throw new LedgerRefused('the ledger has not been claimed');
    return this.#installation;
  }

  #refusal(format: string): LedgerRefused {
    return format === String(LEDGER_FORMAT)
      ? otherInstallation(this.#prefix, null, null)
      : otherFormat(this.#prefix, format, LEDGER_FORMAT);
  }
}
