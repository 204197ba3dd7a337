import { sharedRedis } from '../support/shared-servers.ts';
import { singleFixture } from './fixture.ts';
import { describeLedger } from './ledger-contract.ts';

describeLedger('Redis', async () => singleFixture(sharedRedis('redis')));
describeLedger('Valkey', async () => singleFixture(sharedRedis('valkey')));
