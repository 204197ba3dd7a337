/** `serve`: the service itself. */
import { configHash, maskedConfig } from '../config/mask.ts';
import { runService } from '../service.ts';
import { createLogger } from '../telemetry/logger.ts';
import { createSelfMetrics } from '../telemetry/self-metrics.ts';
import { VERSION } from '../telemetry/version.ts';
import { CONFIG_OPTION, type Command, checkedConfig, refuse } from './command.ts';

export const serve: Command = {
  name: 'serve',
  summary: 'runs the service until SIGTERM',
  options: CONFIG_OPTION,
  settings: true,
  run: async (values, io) => {
    const checked = checkedConfig(values, io);
    if ('problems' in checked) return refuse(checked.problems, io);
    const { config, values: settings, warnings } = checked;
    const logger = createLogger(config.log);
    const metrics = createSelfMetrics({ processMetrics: true });
    const sha256 = configHash(config);
    metrics.configInfo.set({ sha256 });
    metrics.buildInfo.set({ version: VERSION, node_version: process.versions.node });
    for (const warning of warnings) logger.warn({ warning }, 'config_warning');
    logger.info({ version: VERSION, config_sha256: sha256 }, 'starting');
    logger.debug({ config: maskedConfig(config) }, 'config');
    return runService({ config, values: settings }, logger, metrics);
  },
};
