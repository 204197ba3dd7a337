/** Fetches the real servers of the tests and the demo: `node test/support/services/install.ts [kafka] [redis] [valkey] [anyredis] [registry] [prometheus] [amtool] [chart] [kubernetes]`. */
import { installChartTools } from './install-chart-tools.ts';
import { installKafka } from './install-kafka.ts';
import { installKubernetes } from './install-kubernetes.ts';
import { installAmtool, installPrometheus } from './install-prometheus.ts';
import { installAnyRedis, installRedis } from './install-redis.ts';
import { installRegistry } from './install-registry.ts';
import { say } from './tools.ts';

const installers: Record<string, () => Promise<string>> = {
  kafka: async () => {
    const { java, jars } = await installKafka();
    return `${jars}, run by ${java}`;
  },
  redis: async () => (await installRedis('redis')).command,
  valkey: async () => (await installRedis('valkey')).command,
  anyredis: async () => (await installAnyRedis()).command,
  registry: async () => (await installRegistry()).jar,
  prometheus: async () => (await installPrometheus()).prometheus,
  amtool: installAmtool,
  kubernetes: async () => `API server ${(await installKubernetes()).version}`,
  chart: async () => Object.values(await installChartTools()).join(', '),
};

const wanted =
  process.argv.length > 2
    ? process.argv.slice(2)
    : ['kafka', 'redis', 'valkey', 'registry', 'prometheus', 'amtool', 'chart'];
let failed = false;
for (const name of wanted) {
  const install = installers[name];
  if (install === undefined) throw new Error(`unknown: ${name}; known: ${Object.keys(installers).join(', ')}`);
  try {
    say(`${name}: ${await install()}`);
  } catch (error) {
    failed = true;
    say(`${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
process.exitCode = failed ? 1 : 0;
