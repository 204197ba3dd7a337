/** Looks at a fleet every few seconds: memory, what is unread, what is shown. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { consumerLag } from '../support/consumer-lag.ts';
import { parseExposition } from '../support/exposition.ts';
import type { Fleet } from '../support/fleet.ts';
import { selfMetrics } from '../support/fleet-metrics.ts';
import type { Life } from './soak-samples.ts';

const TENANT_BYTES = 'tempo_usage_tracker_tenant_bytes_total';
const run = promisify(execFile);

export type Watch = {
  readonly lives: readonly Life[];
  /** Records beyond the group's commits, as last seen. */
  readonly unread: number;
  /** Everything that no scrape may show, in words: a tenant's counter below what was shown before. */
  readonly dips: readonly string[];
  /** Memory of the replicas that run, MB, in their order; null for one that is down. */
  readonly memory: readonly (number | null)[];
  /** What the first replica's memory is made of, in words. */
  readonly inside: string;
  /** One look at everything. Never rejects: who does not answer is not seen. */
  look(): Promise<void>;
  /** What is unread alone. */
  lookAtLag(): Promise<void>;
};

export function watchFleet(fleet: Fleet, startMs: number): Watch {
  const lives = new Map<number, Life>();
  const highest = new Map<string, number>();
  const dips: string[] = [];
  let unread = 0;
  let memory: (number | null)[] = [];
  let inside = '';

  const lookAtLag = async () => {
    unread = await consumerLag(fleet.brokers, fleet.group, fleet.topic).catch(() => unread);
  };
  const lookAtMemory = async () => {
    const atS = (performance.now() - startMs) / 1000;
    memory = await Promise.all(
      fleet.replicas.map(async (replica) => {
        const rssMb = replica.running() ? await residentMb(replica.pid) : null;
        if (rssMb === null) return null;
        const life: Life = lives.get(replica.pid) ?? { replica: replica.name, pid: replica.pid, samples: [] };
        lives.set(replica.pid, life);
        life.samples.push({ atS, rssMb });
        return rssMb;
      }),
    );
  };
  const lookInside = async () => {
    const metric = await selfMetrics(fleet.replicas[0]!).catch(() => null);
    if (metric === null) return;
    const mb = (name: string, labels = {}) => (metric(name, labels) / 1e6).toFixed(0);
    const young = mb('nodejs_heap_space_size_total_bytes', { space: 'new' });
    inside = `heap ${mb('nodejs_heap_size_used_bytes')}, young generation ${young}, external ${mb('nodejs_external_memory_bytes')}, tables and pending ${mb('tracetally_pending_bytes')}`;
  };
  const lookAtCounters = async () => {
    const scrapes = fleet.replicas.map((replica) => replica.scrape('/usage_metrics').then(parseExposition, () => []));
    for (const { name, labels, value } of (await Promise.all(scrapes)).flat()) {
      if (name !== TENANT_BYTES) continue;
      const before = highest.get(labels.tenant!) ?? 0;
      if (value < before) dips.push(`${labels.tenant} at ${value} after ${before}`);
      highest.set(labels.tenant!, Math.max(before, value));
    }
  };
  return {
    get lives() {
      return [...lives.values()];
    },
    get unread() {
      return unread;
    },
    dips,
    get inside() {
      return inside;
    },
    get memory() {
      return memory;
    },
    look: async () => {
      await Promise.all([lookAtLag(), lookAtMemory(), lookInside(), lookAtCounters()]);
    },
    lookAtLag,
  };
}

/** Null: it has just ended. */
async function residentMb(pid: number): Promise<number | null> {
  try {
    const { stdout } = await run('ps', ['-o', 'rss=', '-p', String(pid)]);
    return Number(stdout) / 1024;
  } catch {
    return null;
  }
}
