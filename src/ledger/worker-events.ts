/** What a worker tells whoever watches it (logs, metrics, the simulation). Telling never fails and never waits. */
import type { TopicPartition } from '../kafka/port.ts';
import type { DROP_CAUSES } from '../words/reasons.ts';

export type DropCause = (typeof DROP_CAUSES)[number];

export type WorkerEvent =
  | {
      readonly kind: 'committed';
      readonly shard: number;
      readonly sections: number;
      readonly series: number;
      readonly seconds: number;
    }
  | { readonly kind: 'keys_needed'; readonly shard: number; readonly series: number }
  | { readonly kind: 'replayed'; readonly sections: number }
  | { readonly kind: 'ledger_unavailable'; readonly error: Error }
  | ({
      readonly kind: 'dropped';
      readonly cause: DropCause;
      readonly shard: number | null;
      readonly expected: number;
      readonly stored: number | null;
    } & TopicPartition)
  | ({ readonly kind: 'positioned'; readonly next: number; readonly commit: number } & TopicPartition)
  /** The ledger stands below how far it has been: `records` are read again. */
  | ({ readonly kind: 'lost_writes'; readonly records: number } & TopicPartition)
  | ({ readonly kind: 'ledger_loss'; readonly shards: readonly number[]; readonly stopped: boolean } & TopicPartition)
  | ({ readonly kind: 'gap'; readonly records: number } & TopicPartition)
  | ({ readonly kind: 'truncated'; readonly records: number } & TopicPartition)
  | ({ readonly kind: 'waiting'; readonly why: string } & TopicPartition)
  | { readonly kind: 'source_unavailable'; readonly during: string; readonly error: Error }
  /** Kafka answers again. */
  | { readonly kind: 'source_available' }
  | { readonly kind: 'kafka_committed'; readonly partitions: number }
  | { readonly kind: 'paused'; readonly partitions: number }
  | { readonly kind: 'resumed' };

export type WatchWorker = (event: WorkerEvent) => void;
