import { memoryFixture } from './fixture.ts';
import { describeLedger } from './ledger-contract.ts';

describeLedger('memory', async () => memoryFixture());
