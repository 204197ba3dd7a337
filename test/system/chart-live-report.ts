/** What was seen, printed as it comes and kept for the document. */
const HEAD = `# The chart on a live cluster

Written by \`make verify-chart-live\`: a real API server with its controllers and scheduler, whose nodes are played by
kwok, and a namespace that enforces the Pod Security Standard "restricted".
`;

export class Report {
  readonly #lines: string[] = [];
  count = 0;

  step(title: string): void {
    process.stdout.write(`${title}\n`);
    this.#lines.push('', `## ${title}`, '');
  }

  seen(what: string): void {
    process.stdout.write(`  ${what}\n`);
    this.#lines.push(`- ${what}`);
    this.count += 1;
  }

  line(text: string): void {
    process.stdout.write(`${text}\n`);
    this.#lines.push('', text);
  }

  markdown(): string {
    return `${HEAD}${this.#lines.join('\n')}\n`;
  }
}
