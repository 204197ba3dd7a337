/** Deliberate breakages. Each is a piece of a protocol that looks as if it could be left out. */
export type Mutation = {
  readonly what: string;
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly from: string;
  readonly to: string;
  /** Where two lines guard the same, both must go. */
  readonly also?: { readonly file: string; readonly from: string; readonly to: string };
  /** Only schedules that publish can find it. */
  readonly publishing?: true;
  /** The test file that finds it where schedules do not; `only`: schedules do not run what is broken. */
  readonly test?: string;
  readonly only?: 'test';
};

const GATHERER = 'src/ledger/gatherer.ts';
const LANES = 'src/ledger/lanes.ts';
const FLUSHER = 'src/ledger/flusher.ts';
const COMMITTER = 'src/ledger/committer.ts';
const POSITIONER = 'src/ledger/positioner.ts';
const PENDING = 'src/ledger/pending.ts';
const PARTITION = 'src/ledger/partition.ts';
const DECIDE = 'src/ledger/decide-position.ts';
const COMMIT = 'src/ledger/memory-commit.ts';
const STATE = 'src/ledger/memory-state.ts';
const OWNERSHIP = 'src/publish/ownership.ts';
const READER = 'src/publish/shard-reader.ts';
const MARKERS = 'src/publish/markers.ts';
const READING = 'src/publish/account-reading.ts';
const PURGING = 'src/publish/purging.ts';
const LUA = 'src/ledger/lua/';
const CONTRACT = 'test/contract/redis.test.ts';

export const MUTATIONS: readonly Mutation[] = [
  {
    what: 'a section that was not applied is taken as applied',
    file: LANES,
    from: "} else if (outcome.kind === 'not-applied' || outcome.marker !== to) {",
    to: "} else if (outcome.kind !== 'not-applied' && outcome.marker !== to) {",
  },
  {
    what: 'a batch is gathered wherever it was fetched from',
    file: GATHERER,
    from: 'if (batch.fetchedFrom > state.next) {',
    to: 'if (batch.fetchedFrom > state.next + 1e9) {',
  },
  {
    what: 'a batch from before the last seek is gathered',
    file: GATHERER,
    from: 'if (!control.isCurrent()) return false;',
    to: '',
    test: 'test/unit/ledger/worker.test.ts',
  },
  {
    what: 'a batch that waited for room goes on whatever happened meanwhile',
    file: GATHERER,
    from: 'if (!(await this.#throttle.room()) || isOver()) return false;',
    to: 'if (!(await this.#throttle.room())) return false;',
  },
  {
    what: 'records below next are gathered again',
    file: GATHERER,
    from: 'if (record.offset < state.next) continue;',
    to: '',
  },
  {
    what: 'a shard gathers records below its marker',
    file: GATHERER,
    from: 'wants: (shard) => this.#offset >= this.#current.markers[shard]!',
    to: 'wants: () => true',
  },
  {
    what: 'pending is kept when a partition goes back',
    file: PARTITION,
    from: '  adopt(markers: ArrayLike<number>): void {\n    this.pending.clear();',
    to: '  adopt(markers: ArrayLike<number>): void {',
  },
  {
    what: 'pending is kept over a generation without a look at the markers',
    file: POSITIONER,
    from: 'markers.every((marker, shard) => marker === state.markers[shard]) &&',
    to: 'markers.length > 0 &&',
    test: 'test/unit/ledger/positioner.test.ts',
  },
  {
    what: 'the topic ids are not asked again before a flush',
    file: FLUSHER,
    from: 'if (id === state.topicId) state.flushTo = to;',
    to: 'if (id !== null) state.flushTo = to;',
  },
  {
    what: 'positioning does not wait for unresolved calls',
    file: POSITIONER,
    from: "await resolved(todo.filter(({ topicId }) => topicId !== '').map(({ field }) => field));",
    to: 'void resolved;',
  },
  {
    what: 'the markers are read before the commit',
    file: POSITIONER,
    from: `      const commits = await this.#commits(infos);
      const views = await Promise.all(Array.from({ length: SHARDS }, (_, shard) => ledger.view(shard)));`,
    to: `      const views = await Promise.all(Array.from({ length: SHARDS }, (_, shard) => ledger.view(shard)));
      const commits = await this.#commits(infos);`,
    test: 'test/unit/ledger/positioner.test.ts',
  },
  {
    what: 'the highest marker is committed, not the lowest',
    file: PARTITION,
    from: 'let lowest = Number.POSITIVE_INFINITY;\n    for (const marker of this.markers) if (marker < lowest)',
    to: 'let lowest = Number.NEGATIVE_INFINITY;\n    for (const marker of this.markers) if (marker > lowest)',
  },
  {
    what: 'a record is split over two sections',
    file: GATHERER,
    from: 'for (const shard of this.#largeShards) state.pending.seal(shard, state.next);',
    to: 'state.pending.sealAll(state.next - (record.offset % 7 === 0 ? 1 : 0));',
  },
  {
    what: 'sections of a replay do not say so',
    file: LANES,
    from: 'const replay = from < state.replayUntil;',
    to: 'const replay = false;',
    publishing: true,
  },
  {
    what: 'no section is cut where a replay ends',
    file: PARTITION,
    from: 'if (this.next < this.replayUntil && offset >= this.replayUntil) this.#endReplay();',
    to: '',
    publishing: true,
  },
  {
    what: 'no section is cut where a replay ends with a record',
    file: GATHERER,
    from: 'state.advance(record.offset + 1);',
    to: 'state.next = record.offset + 1;',
    publishing: true,
  },
  {
    what: 'a segment begins below the end of a replay',
    file: PENDING,
    from: 'Math.max(last.to!, from)',
    to: 'last.to!',
    publishing: true,
  },
  {
    what: 'what was gathered is kept though it is a replay, as is known now',
    file: POSITIONER,
    from: 'farthest <= Math.max(state.replayUntil, state.lowestMarker)',
    to: 'farthest <= Number.MAX_SAFE_INTEGER',
    publishing: true,
  },
  {
    what: 'an unanswered call is given up, and a new one made',
    file: LANES,
    from: '      await sleep(this.#options.clock, delay);\n    }\n    return null;',
    to: "      return { kind: 'answered', life: '', counter: 0, accounts: [], sections: call.sections.map(({ to }) => ({ kind: 'applied', marker: to })) };\n    }\n    return null;",
  },
  {
    what: 'the group is told of more than was acknowledged',
    file: COMMITTER,
    from: 'offset: Math.max(state.lowestMarker, state.reached)',
    to: 'offset: Math.max(state.flushTo, state.reached)',
  },
  {
    what: 'the group is told again of less',
    file: COMMITTER,
    from: `offset: Math.max(state.lowestMarker, state.reached) }))
      .filter(({ state, offset }) => offset > state.commit);`,
    to: `offset: state.lowestMarker }))
      .filter(({ state, offset }) => offset !== state.commit);`,
  },
  {
    what: 'a commit that was answered late is taken for one of a topic made again',
    file: COMMITTER,
    from: 'if (state.topicId !== topicId) continue;',
    to: '',
    test: 'test/unit/ledger/committer.test.ts',
  },
  {
    what: 'a log that ends below some markers is not noticed while there is more to read',
    file: COMMITTER,
    from: 'state.epoch === epoch && end < highest',
    to: 'false',
    test: 'test/unit/ledger/committer.test.ts',
  },
  {
    what: 'a commit of another topic of the same name is believed',
    file: POSITIONER,
    from: '(note === null ? !state.remade : note.topicId === info.id)',
    to: 'true',
  },
  {
    what: 'a lost marker is set to the commit, not to the start',
    file: DECIDE,
    from: "set.push({ shard, to: commit.start, create: 'no' });",
    to: "set.push({ shard, to: commit.offset, create: 'no' });",
  },
  {
    what: 'a log that ends too early is believed at once',
    file: DECIDE,
    from: "if (!facts.patienceOver) return { kind: 'look-again', why: `the log",
    to: "if (facts.patienceOver) return { kind: 'look-again', why: `the log",
  },
  {
    what: 'a gap is not told',
    file: POSITIONER,
    from: 'if (untold.gap !== null) watch(',
    to: 'if (untold.gap === undefined) watch(',
  },
  {
    what: 'the ledger does not compare the marker',
    file: COMMIT,
    from: 'if (marker !== section.from)',
    to: 'if (marker < 0)',
  },
  {
    what: 'the limit is off by one',
    file: COMMIT,
    from: '    if (live < limit) {\n',
    to: '    if (live <= limit) {\n',
  },
  {
    what: 'a purge forgets to add to retired',
    file: STATE,
    from: '  addTo(account.retired, row.values);\n',
    to: '',
  },
  {
    what: 'a purge takes what is not stale',
    file: 'src/ledger/memory-removing.ts',
    from: 'clockS(state) - row.lastSeenS > staleS',
    to: 'clockS(state) - row.lastSeenS > staleS / 3',
  },
  {
    what: 'a sweep takes series that are not stale',
    file: COMMIT,
    from: 'clock - row.lastSeenS > account.staleS',
    to: 'clock - row.lastSeenS >= 0',
  },
  {
    what: 'known series are not asked for their keys when they are gone',
    file: COMMIT,
    from: 'if (key === null && !plan.found?.rows.has',
    to: 'if (key === null && plan.found === undefined && !plan.found?.rows.has',
  },
  {
    what: 'what was diverted is not among what has no value for a dimension',
    file: 'src/ledger/sections.ts',
    from: 'diverted === undefined ? null : new Map(diverted)',
    to: 'null as Map<number, number> | null',
    test: 'test/unit/ledger/admission.test.ts',
  },
  {
    what: 'a table is shown without the commits that cover it',
    file: MARKERS,
    from: '    if (offset === undefined ? topics.has(markerParts(field).topicId) : offset < marker) return false;',
    to: '    if (offset === undefined ? topics.has(markerParts(field).topicId) : offset < 0) return false;',
    publishing: true,
  },
  {
    what: 'a new owner shows what it read, however old',
    file: READER,
    from: 'if (!reaches(start.markers, floor, commits)) {',
    to: 'if (this.#shown !== null && !reaches(start.markers, floor, commits)) {',
    publishing: true,
  },
  {
    what: 'a lower table replaces a higher one',
    file: READER,
    from: 'if (!reaches(start.markers, floor, commits)) {',
    to: 'if (this.#shown === null && !reaches(start.markers, floor, commits)) {',
    also: {
      file: READER,
      from: 'this.#isBelowFloor(view, commits)',
      to: 'false',
    },
    publishing: true,
  },
  {
    what: 'a shard is taken to be at rest whatever was done to it',
    file: READER,
    from: 'return isSame(reading.start, view);',
    to: 'return true;',
    publishing: true,
    test: 'test/unit/publish/shard-reader.test.ts',
  },
  {
    what: 'a lease may be used at once',
    file: OWNERSHIP,
    from: 'takenAtMs : takenAtMs + leaseMs,',
    to: 'takenAtMs : takenAtMs,',
    publishing: true,
  },
  {
    what: 'a lease counts from the answer to its renewal',
    file: OWNERSHIP,
    from: 'if (isOurs) Object.assign(held, { sentMonotonicMs, sentWallMs });',
    to: 'if (isOurs) Object.assign(held, { sentMonotonicMs: clock.monotonicMs() + leaseMs, sentWallMs: clock.wallMs() + leaseMs });',
    publishing: true,
  },
  {
    what: 'a lease is not judged by the wall clock',
    file: OWNERSHIP,
    from: ' && clock.wallMs() - sentWallMs < leaseMs;',
    to: ';',
    publishing: true,
  },
  {
    what: 'a shard is handed over while answers are on their way',
    file: OWNERSHIP,
    from: 'if (held.draining && held.answers === 0 && !this.#leaving)',
    to: 'if (held.draining && !this.#leaving)',
    publishing: true,
  },
  {
    what: 'a birth is not held at zero',
    file: READING,
    from: '} else if (start.counter < birthUs + holdUs) {',
    to: '} else if (start.counter < birthUs) {',
    publishing: true,
  },
  {
    what: 'a hold does not begin again when an owner first shows the series',
    file: READER,
    from: 'version.holds![slot] = over ? 0 : until;',
    to: 'version.holds![slot] = over ? 0 : birthUs + holdUs;',
    publishing: true,
  },
  {
    what: 'a series that was shown before a loss is held at zero again',
    file: READING,
    from: 'if (birth < 0 || birthUs <= start.replayedAt) continue;',
    to: 'if (birth < 0) continue;',
    also: {
      file: READER,
      from: 'const over = birthUs <= replayedAt || counter',
      to: 'const over = replayedAt < 0 || counter',
    },
    publishing: true,
  },
  {
    what: 'a ledger that fell back is not read as a whole',
    file: MARKERS,
    from: 'if (after.life !== before.life || after.replayedAt !== before.replayedAt || after.counter < before.counter)\n    return true;',
    to: 'if (after.life !== before.life) return true;\n  if (before !== after) return false;',
    publishing: true,
  },
  {
    what: 'without any commit known, everything is covered',
    file: MARKERS,
    from: 'if (offsets.size === 0) return markers.size === 0;',
    to: 'if (offsets.size === 0) return true;',
    publishing: true,
    test: 'test/unit/publish/markers.test.ts',
  },
  {
    what: 'a new owner takes commits that were asked for before its lease was usable',
    file: READER,
    from: 'commits !== null && commits.askedAtMs >= usableSinceMs)',
    to: 'commits !== null)',
    publishing: true,
    test: 'test/unit/publish/shard-reader.test.ts',
  },
  {
    what: 'a ledger that has lost the take of its lease is read all the same',
    file: READER,
    from: 'view.counter < this.#tookAt || ',
    to: '',
    publishing: true,
    test: 'test/unit/publish/shard-reader.test.ts',
  },
  {
    what: 'what the group had committed is forgotten with the commit',
    file: MARKERS,
    from: 'const known = offset >= 0 ? offset : before.get(field);',
    to: 'const known = offset >= 0 ? offset : undefined;',
    publishing: true,
    test: 'test/unit/publish/markers.test.ts',
  },
  {
    what: 'a shard is shown without a lease',
    file: 'src/publish/publisher.ts',
    from: 'if (this.#ownership.tenure(shard) !== tenure || !this.#ownership.mayShow(shard)) continue;',
    to: '',
    publishing: true,
  },
  {
    what: 'a release that was used already is used again',
    file: OWNERSHIP,
    from: 'answer.released && !this.#heldLately(shard)',
    to: 'answer.released',
    publishing: true,
    test: 'test/unit/publish/ownership.test.ts',
  },
  {
    what: 'a lease not yet usable is released by name',
    file: OWNERSHIP,
    from: 'to !== null && nowMs >= held.usableAtMs && this.#isInTime(held)',
    to: 'to !== null && this.#isInTime(held)',
    publishing: true,
    test: 'test/unit/publish/ownership.test.ts',
  },
  {
    what: 'what was read under the last lease is shown under the next',
    file: 'src/publish/publisher.ts',
    from: 'if (this.#ownership.tenure(shard) !== tenure) this.#followers.delete(shard);',
    to: 'if (this.#ownership.tenure(shard) === tenure) continue;',
    publishing: true,
  },
  {
    what: 'the audit finds nothing',
    file: READING,
    from: 'if (live === totals.live && difference.every((amount) => amount === 0))',
    to: 'if (live >= 0)',
    publishing: true,
    only: 'test',
    test: 'test/unit/publish/shard-reader.test.ts',
  },
  {
    what: 'an owner never purges',
    file: PURGING,
    from: 'if (oldestSeenS + staleS < source.clockS)',
    to: 'if (oldestSeenS < 0)',
    publishing: true,
    test: 'test/unit/publish/purging.test.ts',
  },
  {
    what: 'an owner purges too early',
    file: PURGING,
    from: 'await reader.purge(shard, account, staleS, cursor',
    to: 'await reader.purge(shard, account, staleS / 3, cursor',
    publishing: true,
    test: 'test/unit/publish/purging.test.ts',
  },
  {
    what: 'Redis: the marker is not compared',
    file: `${LUA}commit.lua`,
    from: 'elseif section.marker ~= section.from then',
    to: 'elseif section.marker < 0 then',
    only: 'test',
    test: CONTRACT,
  },
  {
    what: 'Redis: the limit is off by one',
    file: `${LUA}settle.lua`,
    from: 'if account.live < account.limit then',
    to: 'if account.live <= account.limit then',
    only: 'test',
    test: CONTRACT,
  },
  {
    what: 'Redis: a sweep takes series of the call itself',
    file: `${LUA}settle.lua`,
    from: 'if stale and not account.slots[id] and not isSwept[id] then',
    to: 'if stale and not isSwept[id] then',
    only: 'test',
    test: CONTRACT,
  },
  {
    what: 'Redis: a purge forgets to add to retired',
    file: `${LUA}purge.lua`,
    from: 'retired[j] = retired[j] + amounts[2 + j]',
    to: 'retired[j] = retired[j]',
    only: 'test',
    test: CONTRACT,
  },
  {
    what: 'Redis: what an entry has in overflow is read as the amounts of the next one',
    file: `${LUA}columns.lua`,
    from: '8 * account.measures * (count + overflow)',
    to: '8 * account.measures * count',
    only: 'test',
    test: CONTRACT,
  },
  {
    what: 'Redis: a replay is not noted',
    file: `${LUA}commit.lua`,
    from: "meta[7], meta[8] = 'replayed', counterText",
    to: 'meta[1] = meta[1]',
    only: 'test',
    test: CONTRACT,
  },
  {
    what: 'Redis: a lease is taken from its holder',
    file: `${LUA}take.lua`,
    from: "if owner and not released and owner ~= 'held ' .. ARGV[4] then",
    to: "if owner == 'nobody' then",
    only: 'test',
    test: CONTRACT,
  },
  {
    what: 'Redis: a lease is renewed by who does not hold it',
    file: `${LUA}renew.lua`,
    from: "== 'held ' .. ARGV[2 * i + 1]",
    to: "~= 'nobody'",
    only: 'test',
    test: CONTRACT,
  },
];
