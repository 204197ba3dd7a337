import { VERSION } from '../telemetry/version.ts';
import type { Command } from './command.ts';

export const version: Command = {
  name: 'version',
  summary: 'prints the version',
  options: {},
  run: async (_, io) => {
    io.out(`tracetally ${VERSION} (node ${process.versions.node})`);
    return 0;
  },
};
