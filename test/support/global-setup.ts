import { startSharedRedis } from './shared-servers.ts';

/** For the projects that need Redis and Valkey. */
export default async function setUp(): Promise<void> {
  await startSharedRedis();
}
