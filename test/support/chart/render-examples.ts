/** Writes what the chart makes of its examples: `node test/support/chart/render-examples.ts`. */
import { writeFileSync } from 'node:fs';
import { exampleNames, exampleRendered, renderExample } from './chart.ts';

for (const name of exampleNames()) writeFileSync(exampleRendered(name), await renderExample(name));
