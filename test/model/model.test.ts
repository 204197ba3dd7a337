/** The small part of `npm run model` (docs/model.md): that the models hold, and that TLC would find it if they did not. */
import { describe, expect, test } from '@jest/globals';
import { check } from './check.ts';
import { CONFIGURATIONS } from './configurations.ts';
import { MUTATIONS } from './mutations.ts';

/** Of each kind one that is found within a few hundred states. */
const QUICK = [
  'marker not checked',
  'pending kept at a rewind',
  'purge forgets retired',
  'lease usable at once',
  'hold ignored',
];
const PATIENCE_MS = 400_000;

describe('the model of the ledger', () => {
  test.each(CONFIGURATIONS.filter(({ isSmall }) => isSmall).map((setup) => [setup.name, setup] as const))(
    'holds: %s',
    async (_, setup) => {
      const { broken, states, output } = await check(setup);
      expect(broken === null ? '' : output).toBe('');
      expect(states).toBeGreaterThan(1_000);
    },
    PATIENCE_MS,
  );

  test.each(QUICK)(
    'is found broken: %s',
    async (name) => {
      const mutation = MUTATIONS.find((known) => known.name === name)!;
      const { broken } = await check({
        ...mutation,
        constants: { ...mutation.constants, Mutation: `"${name}"` },
      });
      expect(broken).not.toBeNull();
    },
    PATIENCE_MS,
  );

  test(
    'shows something: nobody ever seeing the last value is found false',
    async () => {
      const tables = CONFIGURATIONS.find(({ name }) => name === 'tables handed over')!;
      expect((await check(tables, 'NobodyShows')).broken).toBe('NobodyShows');
    },
    PATIENCE_MS,
  );
});
