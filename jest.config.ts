import type { Config } from 'jest';

const project = (name: string, extra: Partial<Config> = {}) => ({
  displayName: name,
  roots: [`<rootDir>/test/${name}`],
  testMatch: ['**/*.test.ts'],
  testEnvironment: 'node',
  setupFilesAfterEnv: ['<rootDir>/test/support/patience.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { target: 'es2024', parser: { syntax: 'typescript' } }, module: { type: 'es6' }, sourceMaps: 'inline' },
    ],
  },
  ...extra,
});

/** One project per folder of tests; those that need real servers get them from a global set-up, or fail. */
const redis = {
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
};
const kafkaAndRedis = { ...redis, globalSetup: '<rootDir>/test/support/global-setup-kafka.ts' };

const config = {
  maxWorkers: 2,
  testSequencer: '<rootDir>/test/support/sequencer.ts',
  reporters: ['default', '<rootDir>/test/support/tally-reporter.ts'],
  projects: [
    project('unit'),
    project('rules'),
    project('chart', { globalSetup: '<rootDir>/test/support/global-setup-chart.ts' }),
    project('model'),
    project('contract', redis),
    project('simulation', redis),
    project('integration', kafkaAndRedis),
  ],
} satisfies Config;

export default config;
