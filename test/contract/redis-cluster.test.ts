import { afterAll } from '@jest/globals';
import { Cluster } from 'ioredis';
import { type RedisCluster, startRedisCluster } from '../support/services/redis-cluster.ts';
import { redisFixture } from './fixture.ts';
import { describeLedger } from './ledger-contract.ts';

let cluster: RedisCluster | undefined;
afterAll(() => cluster?.stop());

describeLedger('a cluster of three masters', async () => {
  cluster = await startRedisCluster();
  const nodes = cluster.nodes.map(({ host, port }) => `${host}:${port}`);
  return redisFixture({ cluster: nodes }, new Cluster([...cluster.nodes]));
});
