/** Curves -> SVG: one panel for each, costs from zero up, counts in equal steps. */

export type Point = { readonly count: number; readonly replicas: number; readonly redis: number };
export type Curve = { readonly what: string; readonly points: readonly Point[] };

const PANEL = { width: 300, height: 220 };
const PLOT = { left: 44, right: 12, top: 34, bottom: 34 };
const COLOURS = { replicas: '#1f77b4', redis: '#d62728' } as const;

export const drawCurves = (curves: readonly Curve[]): string => {
  const top = Math.max(
    ...curves.flatMap(({ points }) => points.map(({ replicas, redis }) => Math.max(replicas, redis))),
  );
  const panels = curves.map((curve, i) => {
    const [x, y] = [(i % 2) * PANEL.width, Math.floor(i / 2) * PANEL.height];
    return `<g transform="translate(${x} ${y})">\n${panel(curve, niceTop(top))}\n</g>`;
  });
  const [width, height] = [2 * PANEL.width, Math.ceil(curves.length / 2) * PANEL.height + 24];
  const legend = Object.entries(COLOURS).map(
    ([name, colour], i) =>
      `<text x="${PLOT.left + i * 220}" y="${height - 8}" fill="${colour}">${name}: CPU seconds per GB</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="11">
<rect width="${width}" height="${height}" fill="white"/>
${[...panels, ...legend].join('\n')}
</svg>
`;
};

const panel = ({ what, points }: Curve, top: number): string => {
  const x = (i: number) => PLOT.left + ((PANEL.width - PLOT.left - PLOT.right) * i) / Math.max(1, points.length - 1);
  const y = (cost: number) => PANEL.height - PLOT.bottom - ((PANEL.height - PLOT.top - PLOT.bottom) * cost) / top;
  const marks = [0, top / 2, top].map(
    (cost) =>
      `<line x1="${PLOT.left}" x2="${PANEL.width - PLOT.right}" y1="${at(y(cost))}" y2="${at(y(cost))}" stroke="#ddd"/>` +
      `<text x="${PLOT.left - 6}" y="${at(y(cost) + 4)}" text-anchor="end">${cost.toFixed(1)}</text>`,
  );
  const counts = points.map(
    ({ count }, i) =>
      `<text x="${at(x(i))}" y="${PANEL.height - PLOT.bottom + 16}" text-anchor="middle">${count.toLocaleString('en')}</text>`,
  );
  const lines = (['replicas', 'redis'] as const).map((of) => {
    const places = points.map((point, i) => `${at(x(i))},${at(y(point[of]))}`);
    const dots = places.map((place) => `<circle cx="${place.split(',')[0]}" cy="${place.split(',')[1]}" r="3"/>`);
    return `<g fill="${COLOURS[of]}"><polyline points="${places.join(' ')}" fill="none" stroke="${COLOURS[of]}"/>${dots.join('')}</g>`;
  });
  return [`<text x="${PLOT.left}" y="18" font-weight="bold">${what}</text>`, ...marks, ...counts, ...lines].join('\n');
};

const at = (place: number): string => place.toFixed(1);

/** The next of 1, 2, 5, 10, 20, ... and so on. */
const niceTop = (most: number): number => {
  const decade = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((step) => step * decade).find((step) => step >= most) ?? most;
};
