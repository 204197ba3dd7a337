import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { runCli } from '../../../src/cli.ts';
import { capture } from './capture.ts';

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tracetally-migrate-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

const migrate = async (yaml: string) => {
  const file = join(dir, 'tempo.yaml');
  writeFileSync(file, yaml);
  const captured = capture();
  const code = await runCli(['migrate', file], captured.io);
  return {
    code,
    out: captured.out(),
    err: captured.err(),
    made: code === 0 ? (parse(captured.out()) as unknown) : null,
  };
};

describe('migrate', () => {
  test('carries over the tracker, its dimensions, Kafka and the tenants', async () => {
    const { code, made } = await migrate(`
multitenancy_enabled: true
distributor: { usage: { cost_attribution: { enabled: true, max_cardinality: 5000, stale_duration: 30m } } }
ingest: { kafka: { address: "k1:9092,k2:9092", topic: spans, client_id: me, tls_enabled: true, tls_ca_path: /ca.pem } }
overrides: { defaults: { cost_attribution: { max_cardinality: 100, dimensions: { resource.service.name: service, team: "" } } } }
`);
    expect(code).toBe(0);
    expect(made).toEqual({
      usage: { cost_attribution: { enabled: true, max_cardinality: 5000, stale_duration: '30m' } },
      overrides: {
        defaults: {
          cost_attribution: { max_cardinality: 100, dimensions: { 'resource.service.name': 'service', team: '' } },
        },
      },
      kafka: {
        brokers: ['k1:9092', 'k2:9092'],
        topics: ['spans'],
        client_id: 'me',
        tls: { enabled: true, ca_file: '/ca.pem' },
      },
      tenants: { from: ['key'], default: '' },
    });
  });

  test('takes the tenants of the Collector where Tempo has no topic of its own, and the file of overrides', async () => {
    const { made } = await migrate(
      'multitenancy_enabled: true\noverrides: { per_tenant_override_config: /conf/overrides.yaml, per_tenant_override_period: 1m }',
    );
    expect(made).toEqual({
      overrides: { per_tenant_override_config: '/conf/overrides.yaml', per_tenant_override_period: '1m' },
      tenants: { from: ['header:X-Scope-OrgID'], default: '' },
    });
  });

  test('takes the flat form of before, and one tenant where Tempo has one', async () => {
    const { made } = await migrate('overrides: { cost_attribution: { dimensions: { a: b } } }');
    expect(made).toEqual({ overrides: { defaults: { cost_attribution: { dimensions: { a: 'b' } } } } });
  });

  test('prints no password, and says so', async () => {
    const kafka = 'sasl_mechanism: SCRAM-SHA-256, sasl_username: u, sasl_password';
    const { code, out } = await migrate(`ingest: { kafka: { ${kafka}: hush } }`);
    expect(code).toBe(0);
    expect(out).not.toContain('hush');
    expect(out).toContain('kafka.sasl.password: not printed');
    const variable = await migrate(`ingest: { kafka: { ${kafka}: "\${SECRET}" } }`);
    expect(variable.made).toEqual({
      kafka: { sasl: { mechanism: 'scram-sha-256', username: 'u', password: `\${SECRET}` } },
    });
  });

  test('names everything that it leaves', async () => {
    const { out } = await migrate(`
server: { http_listen_port: 3200 }
distributor: { receivers: { otlp: { protocols: { grpc: { endpoint: x } } } }, usage: { cost_attribution: { enabled: true } } }
ingest: { kafka: { consumer_group: g, sasl_mechanism: AWS_MSK_IAM, producer_compression: zstd } }
storage: { trace: { backend: s3, s3: { bucket: b } } }
overrides: { defaults: { ingestion: { rate_limit_bytes: 1 } } }
`);
    const left = out.slice(out.indexOf('# Not carried over:'));
    for (const path of [
      'server: ',
      'distributor.receivers: ',
      'ingest.kafka.consumer_group: ',
      'ingest.kafka.sasl_mechanism: AWS_MSK_IAM is not supported',
      'ingest.kafka.producer_compression: ',
      'storage: ',
      'overrides.defaults.ingestion.rate_limit_bytes: ',
    ])
      expect(left).toContain(`# - ${path}`);
    expect(left).not.toContain('cost_attribution');
  });

  test('says what of the result would be refused', async () => {
    const { code, err } = await migrate('overrides: { defaults: { cost_attribution: { dimensions: { a: tenant } } } }');
    expect(code).toBe(1);
    expect(err).toContain("config has reserved label name: 'tenant'");
  });

  test.each([
    ['a: [', 'tempo.yaml: '],
    ['- a', 'tempo.yaml: it is no map of settings'],
  ])('refuses %j', async (yaml, message) => {
    const { code, err } = await migrate(yaml);
    expect(code).toBe(1);
    expect(err).toContain(message);
  });
});
