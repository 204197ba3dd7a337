/** A process with an idle source: counts the timers that are armed in two seconds, stops, and must end by itself. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createKafkaSource } from '../../src/kafka/source.ts';

const [brokers, topic, groupId] = process.argv.slice(2) as [string, string, string];
const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
let timers = 0;
const arm = globalThis.setTimeout;
globalThis.setTimeout = ((...args: Parameters<typeof arm>) => {
  timers++;
  return arm(...args);
}) as typeof arm;

const source = createKafkaSource({ brokers: brokers.split(','), clientId: 'idle', groupId, topics: [topic], logger });
const assigned = new Promise<void>((resolve) => {
  void source.start({
    assigned: (_, partitions) => {
      for (const where of partitions) source.seek(where, 0);
      resolve();
    },
    lost: () => {},
    batch: async () => true,
    outOfRange: () => {},
    failed: (error) => {
      throw error;
    },
  });
});
await assigned;
await sleep(500);
timers = 0;
await sleep(2000);
process.stdout.write(JSON.stringify({ timersPerSecond: timers / 2 }));
await source.quiesce();
await source.stop();
