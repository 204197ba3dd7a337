import { startSharedKafka, startSharedRedis } from './shared-servers.ts';

/** For the projects that need Kafka as well. */
export default async function setUp(): Promise<void> {
  await Promise.all([startSharedKafka(), startSharedRedis()]);
}
