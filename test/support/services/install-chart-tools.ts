/** What the chart is verified with. */
import { installGoProgram } from './install-go.ts';

export type ChartTools = { readonly helm: string; readonly kubeconform: string };

/** One after the other: each build takes the whole machine. */
export async function installChartTools(): Promise<ChartTools> {
  const helm = await installGoProgram('helm', 'helm.sh/helm/v3/cmd/helm', 'v3.22.0');
  const kubeconform = await installGoProgram('kubeconform', 'github.com/yannh/kubeconform/cmd/kubeconform', 'v0.8.0');
  return { helm, kubeconform };
}
