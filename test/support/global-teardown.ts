import { stopSharedServers } from './shared-servers.ts';

export default async function tearDown(): Promise<void> {
  await stopSharedServers();
}
