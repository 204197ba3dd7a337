import { installChartTools } from './services/install-chart-tools.ts';

/** For the project chart: fails with the reason where a tool cannot be had. */
export default async function setUp(): Promise<void> {
  await installChartTools();
}
