/** Opens ledgers on a server (first argument) and on none (second), closes them, and must then end by itself. */
import { openRedisLedger } from '../../src/ledger/redis-ledger.ts';

const [url, nobody] = process.argv.slice(2);
const used = openRedisLedger({ url: url!, keyPrefix: 'open-and-close' });
await used.view(1);
const lost = openRedisLedger({ url: nobody!, keyPrefix: 'open-and-close' });
const failure = lost.view(1).then(
  () => process.exit(3),
  () => {},
);
const unused = openRedisLedger({ url: url!, keyPrefix: 'open-and-close' });
await Promise.all([used.close(), lost.close(), unused.close(), failure]);
await used.close();
