/** One replica of `growth.ts`. Tells its parent how many bytes it has gathered; ends, settled, when its parent says so. */
import { once } from 'node:events';
import { readWithOurs } from './ours.ts';

const [brokers, redis, topic, group, attribute] = process.argv.slice(2) as [string, string, string, string, string];
const TELL_MS = 50;

let seen = 0;
let told = 0;
const reading = await readWithOurs({
  brokers: brokers.split(','),
  redis,
  topic,
  group,
  attributes: [[attribute, 'label']],
  partitionBytes: 4 << 20,
  accepted: (bytes) => {
    seen += bytes;
  },
});
const timer = setInterval(() => {
  if (seen === told) return;
  told = seen;
  process.send!(seen);
}, TELL_MS);
await once(process, 'message');
clearInterval(timer);
await reading.settle();
process.send!('settled');
await once(process, 'message');
process.exit(0);
