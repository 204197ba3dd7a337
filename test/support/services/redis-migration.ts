/** Moves one slot of a Redis Cluster to another node, as `redis-cli --cluster reshard` does. */
import { Redis } from 'ioredis';

type Node = { readonly host: string; readonly port: number };

export class SlotMigration {
  readonly #slot: number;
  readonly #from: Redis;
  readonly #to: Redis;
  readonly #all: readonly Redis[];

  private constructor(slot: number, from: Redis, to: Redis, all: readonly Redis[]) {
    this.#slot = slot;
    this.#from = from;
    this.#to = to;
    this.#all = all;
  }

  /** Opens the slot of a key that is there for its way to the next master. Close it. */
  static async begin(masters: readonly Node[], key: string): Promise<SlotMigration> {
    const all = masters.map(({ host, port }) => new Redis(port, host));
    for (const node of all) node.on('error', () => {});
    const slot = Number(await all[0]!.cluster('KEYSLOT', key));
    const held = await Promise.all(all.map((node) => node.cluster('COUNTKEYSINSLOT', slot)));
    const from = held.findIndex((count) => Number(count) > 0);
    const to = (from + 1) % all.length;
    const ids = await Promise.all(all.map((node) => node.cluster('MYID')));
    await all[to]!.cluster('SETSLOT', slot, 'IMPORTING', String(ids[from]));
    await all[from]!.cluster('SETSLOT', slot, 'MIGRATING', String(ids[to]));
    return new SlotMigration(slot, all[from]!, all[to]!, all);
  }

  /** Keys of the slot that are still at the old node, `count` at most. */
  async rest(count: number): Promise<readonly string[]> {
    return (await this.#from.cluster('GETKEYSINSLOT', this.#slot, count)) as string[];
  }

  async move(keys: readonly string[]): Promise<void> {
    await this.#from.call('MIGRATE', '127.0.0.1', this.#to.options.port!, '', 0, 5000, 'KEYS', ...keys);
  }

  /** Moves what is left, and tells every node whose slot it is now. */
  async end(): Promise<void> {
    const rest = await this.rest(1000);
    if (rest.length > 0) await this.move(rest);
    const id = String(await this.#to.cluster('MYID'));
    for (const node of [this.#to, this.#from, ...this.#all]) await node.cluster('SETSLOT', this.#slot, 'NODE', id);
  }

  close(): void {
    for (const node of this.#all) node.disconnect();
  }
}
