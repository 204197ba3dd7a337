/** What every ledger promises: one suite for all of them. */
import { afterAll, beforeAll, beforeEach, describe, jest } from '@jest/globals';
import type { AnyLedger } from './calls.ts';
import { commitContract } from './contract-commit.ts';
import { demandContract } from './contract-demand.ts';
import { identityContract } from './contract-identity.ts';
import { leaseContract } from './contract-leases.ts';
import { limitContract } from './contract-limit.ts';
import { markerContract } from './contract-markers.ts';
import { readerContract } from './contract-reader.ts';
import { toolsContract } from './contract-tools.ts';
import { type Fixture, IDENTITY, newPrefix } from './fixture.ts';

/** What a test of the contract is given: an empty ledger of its own, claimed. */
export type Given = { readonly fixture: Fixture; readonly ledger: AnyLedger; readonly prefix: string };

/** `latest`: also what the version before has not: demand, and what only `tracetally state` asks for. */
export const describeLedger = (name: string, start: () => Promise<Fixture>, { latest = true } = {}): void => {
  jest.setTimeout(30_000);
  describe(`the ledger in ${name}`, () => {
    let fixture: Fixture;
    let given: Given;
    beforeAll(async () => {
      fixture = await start();
    }, 60_000);
    afterAll(() => fixture?.stop());
    beforeEach(async () => {
      const prefix = newPrefix();
      const ledger = fixture.open(prefix);
      await ledger.claim(IDENTITY);
      given = { fixture, ledger, prefix };
    });
    const now = (): Given => given;
    identityContract(now);
    markerContract(now);
    commitContract(now);
    limitContract(now);
    readerContract(now);
    leaseContract(now);
    if (!latest) return;
    demandContract(now);
    toolsContract(now);
  });
};
