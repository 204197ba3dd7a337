------------------------------ MODULE Settling ------------------------------
(***************************************************************************)
(* How records become totals: workers, the ledger's shards, the group's    *)
(* commits and generations. One action is one step that nothing else can   *)
(* cut in two: a script of the ledger, a request that the group's          *)
(* coordinator carries out, or what a worker does between two awaits.      *)
(*                                                                         *)
(* Mirrors src/ledger/{worker,lanes,positioner,decide-position,partition,  *)
(* memory-commit}.ts. `Mutation` names one deliberate breakage ("none").   *)
(*                                                                         *)
(* A request that was sent may take effect later, also after its sender    *)
(* was told of a failure, sent it again, or died: it is then one of the    *)
(* `ghosts`. A shard that loses its newest writes goes back to `saved`, a  *)
(* state that it had at any earlier time (the model guesses which one).    *)
(* Trouble is bounded by `left`; when it is used up everything must come   *)
(* to rest with every marker at the end: any other rest is a deadlock.     *)
(***************************************************************************)
EXTENDS Integers, Sequences, FiniteSets, TLC

CONSTANTS
  Workers,
  FirstOwner,  \* holds every partition at the beginning
  Partitions,  \* how many
  Shards,      \* how many
  Records,     \* of each log
  TopicIds,    \* 1, or 2: the topic may be made again
  Starts,      \* offsets at which a new partition may be begun
  Series,      \* how many different ones the records name
  Limit,       \* of live series in a shard
  \* How often each trouble may happen.
  Rebalances, Crashes, Lates, Losses, Remakes, Prefetches, Ticks, Lowers, Slows, Cuts,
  Mutation

VARIABLES
  ledger,   \* shard -> its state
  saved,    \* shard -> what a loss brings it back to
  topic,    \* partition -> the id of its topic
  end,      \* partition -> where its log ends
  group,    \* the generation and who owns what in it
  commit,   \* partition -> what the group has committed
  worker,   \* worker -> its partitions, and the generation that it knows
  call,     \* worker -> shard -> the call that is unresolved
  ghosts,   \* requests on their way that nobody waits for
  limit,
  left,     \* troubles that may still happen
  started,  \* field -> the start that was committed for it (history)
  highest,  \* shard -> field -> the highest marker that it ever had (history)
  wiped     \* what was lost as a whole: shard, partition, topic id and commit at that time (history)

vars == <<ledger, saved, topic, end, group, commit, worker, call, ghosts, limit, left, started, highest, wiped>>

P == 1..Partitions
S == 1..Shards
Fields == (1..TopicIds) \X P
SeriesIds == 1..Series
None == [none |-> TRUE]
Min(set) == CHOOSE x \in set : \A y \in set : x <= y
Max(set) == CHOOSE x \in set : \A y \in set : x >= y
Is(name) == Mutation = name

-----------------------------------------------------------------------------
(* What the logs hold. An amount names its record, so sums tell which      *)
(* records were counted, and how often.                                    *)

Touches(offset, s) == Shards = 1 \/ (offset + s) % 3 # 0
SeriesOf(t, p, offset) == 1 + ((t + p + offset) % Series)

RECURSIVE Power(_)
Power(n) == IF n = 0 THEN 1 ELSE 4 * Power(n - 1)
Amount(t, p, offset) == Power(((t - 1) * Partitions + p - 1) * Records + offset)

RECURSIVE SumOver(_, _)
SumOver(f, set) == IF set = {} THEN 0 ELSE LET x == CHOOSE x \in set : TRUE IN f[x] + SumOver(f, set \ {x})

(* Records are <<topic id, partition, offset>>, gathered ones a sequence. *)
RECURSIVE Adds(_, _)
Adds(records, x) ==
  IF records = <<>> THEN 0
  ELSE LET r == Head(records)
       IN (IF SeriesOf(r[1], r[2], r[3]) = x THEN Amount(r[1], r[2], r[3]) ELSE 0) + Adds(Tail(records), x)

Named(records) == {SeriesOf(records[i][1], records[i][2], records[i][3]) : i \in DOMAIN records}

-----------------------------------------------------------------------------
(* The ledger *)

NoMarkers == [f \in Fields |-> -1]
Absent == [there |-> FALSE, loss |-> FALSE, marker |-> NoMarkers, base |-> NoMarkers, total |-> 0,
           series |-> [x \in SeriesIds |-> -1], stale |-> {}, overflow |-> 0, retired |-> 0, admittedBy |-> 0,
           cut |-> 0]  \* counted of records that the log lost (history)
Made(loss) == [Absent EXCEPT !.there = TRUE, !.loss = loss, !.admittedBy = Limit]
Live(shard) == {x \in SeriesIds : shard.series[x] >= 0}

(* A section: field f, [from, to), the records, the series sent without labels. *)
Outcome(shard, section) ==
  LET marker == shard.marker[section.f]
  IN IF ~shard.there \/ marker = -1 THEN [kind |-> "absent", marker |-> -1]
     ELSE IF marker # section.from /\ ~Is("marker not checked")
       THEN [kind |-> IF marker >= section.to THEN "already" ELSE "not applied", marker |-> marker]
     ELSE IF ~(section.bare \subseteq Live(shard)) /\ ~Is("labels not asked for")
       THEN [kind |-> "labels needed", marker |-> marker]
     ELSE [kind |-> "applied", marker |-> section.to]

RECURSIVE Joined(_)
Joined(sequences) == IF sequences = <<>> THEN <<>> ELSE Head(sequences) \o Joined(Tail(sequences))

(* One commit: all sections of `body` that apply, then series by the limit, known ones first. *)
AfterCommit(shard, body) ==
  LET applied == {p \in P : body.sections[p] # None /\ Outcome(shard, body.sections[p]).kind = "applied"}
      records == Joined([p \in P |-> IF p \in applied THEN body.sections[p].records ELSE <<>>])
      named == Named(records)
      known == named \cap Live(shard)
      unknown == named \ Live(shard)
      excess == Cardinality(Live(shard)) + Cardinality(unknown) - body.limit
      sweepable == (shard.stale \cap Live(shard)) \ (IF Is("sweep takes series of the call") THEN {} ELSE named)
      swept == IF excess > 0 THEN sweepable ELSE {}
      room == body.limit - Cardinality(Live(shard) \ swept)
      \* Which series gets a place is the order in the call; the lowest go first.
      rank(x) == Cardinality({y \in unknown : y < x})
      created == IF Is("limit checked outside of the script")
                 THEN unknown \cap body.allowed
                 ELSE {x \in unknown : rank(x) < room}
      lost == IF Is("labels not asked for")
              THEN UNION {body.sections[p].bare : p \in applied} \cap unknown ELSE {}
      over == unknown \ created
      added == [x \in SeriesIds |-> Adds(records, x)]
      adds(set) == SumOver(added, set)
      sum(set) == SumOver(shard.series, set)
  IN IF applied = {} THEN shard ELSE
     [shard EXCEPT
       !.marker = [f \in Fields |->
         IF f[2] \in applied /\ body.sections[f[2]].f = f THEN body.sections[f[2]].to ELSE @[f]],
       !.total = @ + adds(named),
       !.series = [x \in SeriesIds |->
         IF x \in swept THEN -1
         ELSE IF x \in lost THEN @[x]
         ELSE IF x \in known THEN @[x] + added[x]
         ELSE IF x \in created THEN added[x]
         ELSE @[x]],
       !.stale = @ \ (named \cup swept),
       !.overflow = @ + adds(over \ lost),
       !.retired = @ + (IF Is("purge forgets retired") THEN 0 ELSE sum(swept)),
       !.admittedBy = IF created # {} THEN body.limit ELSE @]

Raise(s, shard) == highest' = [highest EXCEPT ![s] = [f \in Fields |-> Max({@[f], shard.marker[f]})]]
Write(s, shard) == ledger' = [ledger EXCEPT ![s] = shard] /\ Raise(s, shard)

(* Sets a marker where it is absent. *)
AfterSet(shard, f, to, create) ==
  IF ~shard.there /\ create = "no" THEN shard
  ELSE LET made == IF shard.there THEN shard ELSE Made(create = "after loss")
       IN IF made.marker[f] # -1 /\ ~Is("markers set where present") THEN made
          ELSE [made EXCEPT !.marker[f] = to, !.base[f] = IF @ = -1 THEN to ELSE @]

RangeSum(s, f, from, to) ==
  SumOver([o \in 0..Records - 1 |->
            IF o >= from /\ o < to /\ Touches(o, s) THEN Amount(f[1], f[2], o) ELSE 0], 0..Records - 1)

(* Moves a marker from where it is expected: what was counted stays counted. *)
AfterMove(s, shard, f, expected, to) ==
  IF shard.marker[f] # expected THEN shard
  ELSE [shard EXCEPT !.marker[f] = to, !.cut = @ + RangeSum(s, f, Max({to, shard.base[f]}), expected)]

-----------------------------------------------------------------------------
(* The worker *)

NotHeld == [phase |-> "none", id |-> 0, has |-> FALSE, next |-> 0, flushTo |-> 0, marker |-> [s \in S |-> 0],
            pending |-> [s \in S |-> <<>>], commit |-> -1, start |-> -1, remade |-> FALSE,
            step |-> "idle", read |-> None, fetched |-> None,
            reached |-> -1,        \* the farthest commit that is known (where one may be answered late)
            committing |-> None]   \* a commit that took effect and is not answered yet
Held == [NotHeld EXCEPT !.phase = "positioning"]
Fresh == [generation |-> 0, part |-> [p \in P |-> NotHeld], known |-> [s \in S |-> {}]]

Part(w, p) == worker[w].part[p]
Field(part, p) == <<part.id, p>>
Put(w, p, part) == worker' = [worker EXCEPT ![w].part[p] = part]
Lowest(part) == Min({part.marker[s] : s \in S})
Highest(part) == Max({part.marker[s] : s \in S})

Dropped(part) ==
  [part EXCEPT !.phase = "positioning", !.has = FALSE, !.next = 0, !.flushTo = 0, !.marker = [s \in S |-> 0],
               !.pending = IF Is("pending kept at a rewind") THEN @ ELSE [s \in S |-> <<>>],
               !.step = "idle", !.read = None]

(* What was carried is no longer the first of pending: the answer must not take anything away. *)
Orphaned(calls, p) ==
  [s \in S |-> IF calls[s] # None /\ calls[s].sections[p] # None
               THEN [calls[s] EXCEPT !.sections[p].orphan = TRUE] ELSE calls[s]]
Dead(calls, lost) ==
  [s \in S |-> IF calls[s] = None THEN None
               ELSE [calls[s] EXCEPT !.sections = [p \in P |->
                 IF p \in lost /\ calls[s].sections[p] # None
                 THEN [calls[s].sections[p] EXCEPT !.dead = TRUE] ELSE calls[s].sections[p]]]]

Drop(w, p) ==
  /\ Put(w, p, Dropped(Part(w, p)))
  /\ call' = [call EXCEPT ![w] = Orphaned(@, p)]

(* A record as it is gathered: in a shard only from the marker on. *)
Gathered(part, record) ==
  LET offset == record[3]
  IN [part EXCEPT
       !.next = offset + 1,
       !.flushTo = IF TopicIds = 1 THEN offset + 1 ELSE @,
       !.pending = [s \in S |->
         IF Touches(offset, s) /\ (offset >= part.marker[s] \/ Is("records below the marker not skipped"))
         THEN Append(@[s], record) ELSE @[s]]]

Gather(w, p) ==
  LET part == Part(w, p)
  IN /\ part.phase = "active" /\ part.next < end[p] /\ part.fetched = None
     /\ Put(w, p, Gathered(part, <<topic[p], p, part.next>>))
     /\ UNCHANGED <<ledger, saved, topic, end, group, commit, call, ghosts, limit, left, started, highest, wiped>>

(* A batch that was fetched and waits while other things happen. A fetch is by name, and from where the consumer stands. *)
Prefetch(w, p) ==
  LET part == Part(w, p)
  IN /\ left.prefetch > 0 /\ part.phase = "active" /\ part.next < end[p] /\ part.fetched = None
     /\ left' = [left EXCEPT !.prefetch = @ - 1]
     /\ Put(w, p, [part EXCEPT !.fetched = [from |-> part.next, id |-> topic[p], current |-> TRUE]])
     /\ UNCHANGED <<ledger, saved, topic, end, group, commit, call, ghosts, limit, started, highest, wiped>>

TakeFetched(w, p) ==
  LET part == Part(w, p)
      batch == part.fetched
      good == /\ part.phase = "active"
              /\ batch.current \/ Is("batches of before the seek taken") \/ Is("stale batches taken")
              /\ batch.from <= part.next \/ Is("fetched-from not compared") \/ Is("stale batches taken")
      rest == [part EXCEPT !.fetched = None]
  IN /\ batch # None
     /\ Put(w, p, IF good /\ batch.from >= part.next THEN Gathered(rest, <<batch.id, p, batch.from>>) ELSE rest)
     /\ UNCHANGED <<ledger, saved, topic, end, group, commit, call, ghosts, limit, left, started, highest, wiped>>

(* The flush asks for the topic's id: what was gathered before is of that topic. *)
AskTopic(w, p) ==
  LET part == Part(w, p)
  IN /\ part.phase = "active" /\ (part.flushTo < part.next \/ part.id # topic[p])
     /\ IF topic[p] = part.id \/ Is("topic not asked for before a flush")
        THEN Put(w, p, [part EXCEPT !.flushTo = part.next]) /\ UNCHANGED call
        ELSE Drop(w, p)
     /\ UNCHANGED <<ledger, saved, topic, end, group, commit, ghosts, limit, left, started, highest, wiped>>

(* A fetch beyond the end is refused; and the ends are asked for, whatever is fetched. *)
LogEndsEarly(w, p) ==
  LET part == Part(w, p)
  IN /\ part.phase = "active"
     /\ \/ part.next > end[p]
        \/ Highest(part) > end[p] /\ ~Is("ends of logs not compared")
     /\ Drop(w, p)
     /\ UNCHANGED <<ledger, saved, topic, end, group, commit, ghosts, limit, left, started, highest, wiped>>

Before(records, offset) == SelectSeq(records, LAMBDA r : r[3] < offset)
After(records, offset) == SelectSeq(records, LAMBDA r : r[3] >= offset)

(* A call for a shard: what may be flushed of every active partition. `look`: sections that add nothing. *)
Body(w, s, look) ==
  [sections |-> [p \in P |->
     LET part == Part(w, p)
         to == IF look THEN part.marker[s] ELSE part.flushTo
         records == IF look THEN <<>> ELSE Before(part.pending[s], to)
     IN IF part.phase # "active" \/ (~look /\ to <= part.marker[s]) THEN None
        ELSE [f |-> Field(part, p), from |-> part.marker[s], to |-> to, records |-> records,
              bare |-> Named(records) \cap worker[w].known[s], orphan |-> FALSE, dead |-> FALSE]],
   limit |-> limit,
   \* For a breakage only: the series that the worker believes to have room for.
   allowed |-> IF ~Is("limit checked outside of the script") THEN {} ELSE
     IF Cardinality(Live(ledger[s])) < limit THEN SeriesIds ELSE {},
   reply |-> None]
IsEmpty(body) == \A p \in P : body.sections[p] = None

Send(w, s) ==
  LET body == Body(w, s, FALSE)
  IN /\ call[w][s] = None /\ ~IsEmpty(body)
     /\ call' = [call EXCEPT ![w][s] = body]
     /\ UNCHANGED <<ledger, saved, topic, end, group, commit, worker, ghosts, limit, left, started, highest, wiped>>

(* Only looks that will see something are worth a step. *)
Look(w, s) ==
  /\ call[w][s] = None
  /\ \E p \in P : LET part == Part(w, p)
                  IN part.phase = "active" /\ ledger[s].marker[Field(part, p)] # part.marker[s]
  /\ call' = [call EXCEPT ![w][s] = Body(w, s, TRUE)]
  /\ UNCHANGED <<ledger, saved, topic, end, group, commit, worker, ghosts, limit, left, started, highest, wiped>>

Outcomes(s, body) ==
  [p \in P |-> IF body.sections[p] = None THEN None ELSE Outcome(ledger[s], body.sections[p])]

Execute(w, s) ==
  LET body == call[w][s]
  IN /\ body # None /\ body.reply = None
     /\ Write(s, AfterCommit(ledger[s], body))
     /\ call' = [call EXCEPT ![w][s].reply = [of |-> Outcomes(s, body), live |-> Live(AfterCommit(ledger[s], body))]]
     /\ UNCHANGED <<saved, topic, end, group, commit, worker, ghosts, limit, left, started, wiped>>

Strip(body) == [body EXCEPT !.reply = None]

(* It takes effect and the answer is lost: the call stays unresolved and is sent again. *)
ExecuteUnheard(w, s) ==
  LET body == call[w][s]
  IN /\ left.late > 0 /\ body # None /\ body.reply = None
     /\ left' = [left EXCEPT !.late = @ - 1]
     /\ Write(s, AfterCommit(ledger[s], body))
     /\ UNCHANGED <<saved, topic, end, group, commit, worker, call, ghosts, limit, started, wiped>>

(* It is given up by the network's client, sent again, and will take effect at some later time. *)
Delay(w, s) ==
  LET body == call[w][s]
  IN /\ left.late > 0 /\ body # None /\ body.reply = None
     /\ left' = [left EXCEPT !.late = @ - 1]
     /\ ghosts' = ghosts \cup {[kind |-> "commit", w |-> w, s |-> s, body |-> body]}
     \* Broken: the worker does not wait for the answer, and makes another call of what it has by now.
     /\ call' = IF Is("unresolved call made anew") \/ Is("two calls in flight")
                THEN [call EXCEPT ![w][s] = None] ELSE call
     /\ UNCHANGED <<ledger, saved, topic, end, group, commit, worker, limit, started, highest, wiped>>

GhostOfCommit(g) ==
  LET now == call[g.w][g.s]
  IN /\ g.kind = "commit"
     /\ Write(g.s, AfterCommit(ledger[g.s], g.body))
     /\ ghosts' = ghosts \ {g}
     \* Broken: the answer is taken for that of the call that is unresolved now.
     /\ call' = IF Is("two calls in flight") /\ now # None /\ now.reply = None
                THEN [call EXCEPT ![g.w][g.s].reply =
                       [live |-> {},
                        of |-> [p \in P |-> IF now.sections[p] = None THEN None
                                 ELSE LET o == Outcomes(g.s, g.body)[p]
                                      IN IF o # None /\ o.kind \in {"applied", "already"}
                                         THEN [kind |-> "applied", marker |-> now.sections[p].to]
                                         ELSE [kind |-> "not applied", marker |-> -1]]]]
                ELSE call
     /\ UNCHANGED <<saved, topic, end, group, commit, worker, limit, left, started, wiped>>

GhostOfSet(g) ==
  /\ g.kind = "set"
  /\ Write(g.s, AfterSet(ledger[g.s], g.f, g.to, g.create))
  /\ ghosts' = ghosts \ {g}
  /\ UNCHANGED <<saved, topic, end, group, commit, worker, call, limit, left, started, wiped>>

(* The answer of a call, partition by partition. *)
Settled(w, s, p) ==
  LET part == Part(w, p)
      section == call[w][s].sections[p]
      outcome == call[w][s].reply.of[p]
  IN IF section = None \/ section.dead \/ ~part.has THEN part
     ELSE IF Field(part, p) # section.f \/ part.marker[s] # section.from THEN part
     ELSE IF outcome.kind = "labels needed" THEN part
     ELSE IF outcome.kind \in {"absent", "not applied"} \/ outcome.marker # section.to THEN
       IF Is("section not applied is believed") /\ outcome.kind = "not applied"
       THEN [part EXCEPT !.marker[s] = section.to, !.pending[s] = After(@, section.to)]
       ELSE Dropped(part)
     ELSE [part EXCEPT !.marker[s] = section.to,
                       !.pending[s] = IF section.orphan THEN @ ELSE After(@, section.to)]

Answer(w, s) ==
  LET body == call[w][s]
      parts == [p \in P |-> Settled(w, s, p)]
      gone == {p \in P : Part(w, p).has /\ ~parts[p].has}
      needed == \E p \in P : body.sections[p] # None /\ body.reply.of[p].kind = "labels needed"
      seen == UNION {Named(body.sections[p].records) :
                     p \in {p \in P : body.sections[p] # None /\ body.reply.of[p].kind = "applied"}}
      calls == [call[w] EXCEPT ![s] = None]
      Orphans(c) == [t \in S |-> IF c[t] = None THEN None
                       ELSE [c[t] EXCEPT !.sections = [p \in P |->
                         IF p \in gone /\ c[t].sections[p] # None
                         THEN [c[t].sections[p] EXCEPT !.orphan = TRUE] ELSE c[t].sections[p]]]]
  IN /\ body # None /\ body.reply # None
     /\ worker' = [worker EXCEPT
          ![w].part = parts,
          ![w].known[s] = IF Ticks = 0 THEN {} ELSE IF needed THEN {} ELSE @ \cup (seen \cap body.reply.live)]
     /\ call' = [call EXCEPT ![w] = Orphans(calls)]
     /\ UNCHANGED <<ledger, saved, topic, end, group, commit, ghosts, limit, left, started, highest, wiped>>

-----------------------------------------------------------------------------
(* The group's commits *)

Note(w, p, offset) == [offset |-> offset, id |-> Part(w, p).id, start |-> Part(w, p).start]
Conversing(w) == \E p \in P : Part(w, p).step \in {"views", "begin", "set", "cut"} \/ Part(w, p).committing # None
ToCommit(part) == Max({part.reached, IF Is("commit above the lowest marker") THEN Highest(part) ELSE Lowest(part)})
Reached(part, offset) == IF Slows = 0 THEN -1 ELSE Max({part.reached, offset})

Commit(w, p) ==
  LET part == Part(w, p)
      offset == ToCommit(part)
      rises == offset > part.commit \/ (Is("commit may fall") /\ offset # part.commit)
  IN /\ part.phase = "active" /\ ~Conversing(w) /\ rises
     /\ worker[w].generation = group.generation
     /\ commit' = [commit EXCEPT ![p] = Note(w, p, offset)]
     /\ \/ Put(w, p, [part EXCEPT !.commit = offset, !.reached = Reached(part, offset)]) /\ UNCHANGED left
        \/ /\ left.slow > 0 /\ left' = [left EXCEPT !.slow = @ - 1]  \* the answer is on its way
           /\ Put(w, p, [part EXCEPT !.committing = [offset |-> offset, id |-> part.id]])
        \/ /\ left.late > 0 /\ left' = [left EXCEPT !.late = @ - 1]  \* the answer is lost
           /\ commit[p] # Note(w, p, offset) /\ UNCHANGED worker
     /\ UNCHANGED <<ledger, saved, topic, end, group, call, ghosts, limit, started, highest, wiped>>

(* Of a topic that was made again meanwhile nothing was committed. *)
Committed(w, p) ==
  LET part == Part(w, p)
      c == part.committing
      rest == [part EXCEPT !.committing = None]
  IN /\ c # None
     /\ Put(w, p, IF c.id = part.id \/ Is("late answer taken for the new topic")
                  THEN [rest EXCEPT !.commit = c.offset, !.reached = Reached(part, c.offset)] ELSE rest)
     /\ UNCHANGED <<ledger, saved, topic, end, group, commit, call, ghosts, limit, left, started, highest, wiped>>

-----------------------------------------------------------------------------
(* Positioning *)

Carried(w, p, id) == \E s \in S : call[w][s] # None /\ call[w][s].sections[p] # None
                                  /\ call[w][s].sections[p].f = <<id, p>>

Idle(part) == [part EXCEPT !.step = "idle", !.read = None]

Go(part, c, markers) ==
  LET untouched == part.has /\ \A s \in S : markers[s] = part.marker[s]
      lowest == Min({markers[s] : s \in S})
      adopted == IF untouched THEN part ELSE
        [part EXCEPT !.has = TRUE, !.marker = markers, !.next = lowest, !.flushTo = lowest,
                     !.pending = IF Is("pending kept at a rewind") THEN @ ELSE [s \in S |-> <<>>]]
  IN [Idle(adopted) EXCEPT !.phase = "active", !.commit = c.offset,
                           !.start = IF c.known THEN c.start ELSE @,
                           !.fetched = IF @ = None THEN None ELSE [@ EXCEPT !.current = FALSE]]

(* decide-position.ts: what may follow of what was read. *)
Decisions(part) ==
  LET c == part.read.commit
      v == part.read.views
      missing == {s \in S : v[s].marker = -1}
      todo(s) ==
        IF s \notin missing THEN None
        ELSE IF ~c.known THEN [to |-> Max({v[t].marker : t \in S}), create |-> "after loss"]
        ELSE IF ~v[s].there /\ c.offset = c.start /\ (~c.progress \/ Is("idle partition makes a lost shard anew")) THEN [to |-> c.start, create |-> "first"]
        ELSE IF Is("lost marker set to the commit") THEN [to |-> c.offset, create |-> "no"]
        ELSE IF v[s].there /\ (~v[s].loss \/ Is("after-loss not noted")) THEN [to |-> c.start, create |-> "no"]
        ELSE [to |-> IF Is("lost shard set to the start") THEN c.start ELSE c.offset, create |-> "after loss"]
      first(start) == [to |-> start, create |-> IF c.progress THEN "after loss" ELSE "first"]
      beyond(s) == IF v[s].marker > part.read.end THEN [to |-> part.read.end, create |-> "move"] ELSE None
  IN IF missing = {} THEN
       IF \A s \in S : v[s].marker <= part.read.end THEN {Go(part, c, [s \in S |-> v[s].marker])}
       ELSE {[part EXCEPT !.step = "cut", !.read.todo = [s \in S |-> beyond(s)]]}
     ELSE IF missing = S /\ ~c.known THEN
       {[part EXCEPT !.step = "begin", !.read.todo = [s \in S |-> first(start)]] :
          start \in IF part.remade THEN {0} ELSE Starts}
     ELSE {[part EXCEPT !.step = "set", !.read.todo = [s \in S |-> todo(s)]]}

(* The decision is taken in the turn of the last answer. *)
Read(w, p, part, complete) ==
  IF ~complete THEN Put(w, p, part) /\ UNCHANGED call
  ELSE \E next \in Decisions(part) :
    /\ Put(w, p, next)
    /\ call' = IF next.phase = "active" /\ ~(part.has /\ next.marker = part.marker)
               THEN [call EXCEPT ![w] = Orphaned(@, p)] ELSE call

Progress(p, id) == commit[p] # None /\ commit[p].id = id /\ commit[p].offset > commit[p].start

WithCommit(part, p) ==
  LET ours == commit[p] # None /\ commit[p].id = part.id
  IN [part EXCEPT
       !.remade = @ \/ (commit[p] # None /\ ~ours),
       !.step = "views",
       !.reached = IF ours THEN Reached(part, commit[p].offset) ELSE @,
       !.read.commit = [known |-> ours \/ part.reached >= 0,
                        offset |-> Max({IF ours THEN commit[p].offset ELSE -1, part.reached}),
                        start |-> IF ours \/ part.reached >= 0 THEN commit[p].start ELSE -1,
                        progress |-> \E q \in P : Progress(q, topic[q])]]

(* One conversation about commits at a time. *)
MayConverse(w, p) == /\ \A q \in P : Part(w, q).committing = None
                     /\ \A q \in P \ {p} : Part(w, q).step \notin {"views", "begin", "set", "cut"}

(* Every call that carries the partition is resolved; then the topic's id is asked for. *)
Ask(w, p) ==
  LET part == Part(w, p)
      changed == part.id # 0 /\ part.id # topic[p]
      kept == IF changed /\ part.has THEN Dropped(part) ELSE part
      asked == [kept EXCEPT !.id = topic[p], !.remade = @ \/ changed,
                            !.start = IF changed THEN -1 ELSE @,
                            !.reached = IF changed THEN -1 ELSE @,
                            !.step = IF Is("markers read before the commit") THEN "views" ELSE "commit",
                            !.read = [commit |-> None, views |-> [s \in S |-> None], todo |-> [s \in S |-> None], end |-> end[p]]]
  IN /\ part.phase = "positioning" /\ part.step = "idle"
     /\ part.id = 0 \/ ~Carried(w, p, part.id) \/ Is("unresolved calls not waited for")
     \* Where the id cannot change the commit is read in the same step.
     /\ IF TopicIds = 1 /\ ~Is("markers read before the commit")
        THEN MayConverse(w, p) /\ Put(w, p, WithCommit(asked, p))
        ELSE Put(w, p, asked)
     /\ call' = IF changed /\ part.has THEN [call EXCEPT ![w] = Orphaned(@, p)] ELSE call
     /\ UNCHANGED <<ledger, saved, topic, end, group, commit, ghosts, limit, left, started, highest, wiped>>

ReadCommit(w, p) ==
  LET part == Part(w, p)
  IN /\ part.step = "commit" /\ MayConverse(w, p)
     /\ Read(w, p, WithCommit(part, p), part.read.views[Shards] # None)
     /\ UNCHANGED <<ledger, saved, topic, end, group, commit, ghosts, limit, left, started, highest, wiped>>

View(w, p, s) ==
  LET part == Part(w, p)
      next == [part EXCEPT !.read.views[s] = [there |-> ledger[s].there, loss |-> ledger[s].loss,
                                              marker |-> ledger[s].marker[Field(part, p)]]]
  IN /\ part.step = "views" /\ part.read.views[s] = None
     /\ \A t \in S : t < s => part.read.views[t] # None
     /\ IF s = Shards /\ Is("markers read before the commit")
        THEN Put(w, p, [next EXCEPT !.step = "commit"]) /\ UNCHANGED call
        ELSE Read(w, p, next, s = Shards)
     /\ UNCHANGED <<ledger, saved, topic, end, group, commit, ghosts, limit, left, started, highest, wiped>>

(* The start is committed in the generation in which its absence was read. *)
Begin(w, p) ==
  LET part == Part(w, p)
      start == part.read.todo[1].to
      f == Field(part, p)
      done == worker[w].generation = group.generation \/ Is("start committed in any generation")
  IN /\ part.step = "begin"
     /\ IF done
        THEN /\ commit' = [commit EXCEPT ![p] = [offset |-> start, id |-> part.id, start |-> start]]
             /\ started' = [started EXCEPT ![f] = IF @ = -1 THEN start ELSE @]
             /\ \/ Put(w, p, [part EXCEPT !.step = "set"]) /\ UNCHANGED left
                \/ /\ left.late > 0 /\ left' = [left EXCEPT !.late = @ - 1]  \* the answer is lost
                   /\ Put(w, p, Idle(part))
        ELSE /\ Put(w, p, IF Is("refused start is used") THEN [part EXCEPT !.step = "set"] ELSE Idle(part))
             /\ UNCHANGED <<commit, started, left>>
     /\ UNCHANGED <<ledger, saved, topic, end, group, call, ghosts, limit, highest, wiped>>

(* Markers are set at the same time; in this order, and any of them may be late. *)
Set(w, p, s) ==
  LET part == Part(w, p)
      item == part.read.todo[s]
      todo == [part.read.todo EXCEPT ![s] = None]
      rest == IF \A t \in S : todo[t] = None THEN Idle(part) ELSE [part EXCEPT !.read.todo = todo]
  IN /\ part.step = "set" /\ item # None
     /\ \A t \in S : t < s => part.read.todo[t] = None
     /\ Put(w, p, rest)
     /\ \/ /\ Write(s, AfterSet(ledger[s], Field(part, p), item.to, item.create))
           /\ UNCHANGED <<ghosts, left>>
        \/ /\ left.late > 0 /\ left' = [left EXCEPT !.late = @ - 1]
           /\ ghosts' = ghosts \cup {[kind |-> "set", s |-> s, f |-> Field(part, p), to |-> item.to,
                                      create |-> item.create]}
           /\ UNCHANGED <<ledger, highest>>
     /\ UNCHANGED <<saved, topic, end, group, commit, call, limit, started, wiped>>

(* The log ends below what was counted: the commit goes down first, then the markers. *)
CutCommit(w, p) ==
  LET part == Part(w, p)
      down == part.read.commit.offset > part.read.end
  IN /\ part.step = "cut" /\ part.read.commit.known
     /\ IF down /\ worker[w].generation = group.generation
        THEN /\ commit' = [commit EXCEPT ![p] = [@ EXCEPT !.offset = part.read.end]]
             /\ Put(w, p, [part EXCEPT !.read.commit.known = FALSE])
        ELSE /\ UNCHANGED commit
             /\ Put(w, p, IF down THEN Idle(part) ELSE [part EXCEPT !.read.commit.known = FALSE])
     /\ UNCHANGED <<ledger, saved, topic, end, group, call, ghosts, limit, left, started, highest, wiped>>

Move(w, p, s) ==
  LET part == Part(w, p)
      item == part.read.todo[s]
      todo == [part.read.todo EXCEPT ![s] = None]
      rest == IF \A t \in S : todo[t] = None THEN Idle(part) ELSE [part EXCEPT !.read.todo = todo]
  IN /\ part.step = "cut" /\ ~part.read.commit.known /\ item # None
     /\ \A t \in S : t < s => part.read.todo[t] = None
     /\ Put(w, p, rest)
     /\ Write(s, AfterMove(s, ledger[s], Field(part, p), part.read.views[s].marker, item.to))
     /\ UNCHANGED <<saved, topic, end, group, commit, call, ghosts, limit, left, started, wiped>>

-----------------------------------------------------------------------------
(* The group, and trouble *)

Members == {w \in Workers : worker[w].generation > 0}

Rebalance ==
  LET orphaned == \E p \in P : group.owner[p] \notin Members /\ worker[group.owner[p]].generation # -1
  IN /\ \E owner \in [P -> Workers] :
          /\ owner # group.owner \/ orphaned
          /\ group' = [generation |-> group.generation + 1, owner |-> owner]
     /\ left.rebalance > 0 /\ left' = [left EXCEPT !.rebalance = @ - 1]
     /\ UNCHANGED <<ledger, saved, topic, end, commit, worker, call, ghosts, limit, started, highest, wiped>>

(* The worker hears of the assignment. Until then it goes on with the old one. *)
Learn(w) ==
  LET mine == {p \in P : group.owner[p] = w}
      gone == {p \in P : Part(w, p).phase # "none"} \ mine
      part(p) == IF p \notin mine THEN NotHeld
                 ELSE IF Part(w, p).phase = "none" THEN Held
                 ELSE [Idle(Part(w, p)) EXCEPT !.phase = "positioning",
                        !.fetched = IF @ = None THEN None ELSE [@ EXCEPT !.current = FALSE]]
  IN /\ worker[w].generation # group.generation
     /\ worker' = [worker EXCEPT ![w].generation = group.generation, ![w].part = [p \in P |-> part(p)]]
     /\ call' = [call EXCEPT ![w] = Dead(@, gone)]
     /\ UNCHANGED <<ledger, saved, topic, end, group, commit, ghosts, limit, left, started, highest, wiped>>

(* The process dies and another one of the name starts. A call on its way is lost, or takes effect later. *)
Crash(w) ==
  LET late == {s \in S : call[w][s] # None /\ call[w][s].reply = None}
  IN /\ left.crash > 0 /\ worker[w] # Fresh
     /\ \E some \in SUBSET late :
          /\ Cardinality(some) <= left.late
          /\ left' = [left EXCEPT !.crash = @ - 1, !.late = @ - Cardinality(some)]
          /\ ghosts' = ghosts \cup {[kind |-> "commit", w |-> w, s |-> s, body |-> call[w][s]] : s \in some}
     /\ worker' = [worker EXCEPT ![w] = Fresh]
     /\ call' = [call EXCEPT ![w] = [s \in S |-> None]]
     /\ group' = [group EXCEPT !.generation = @ + 1]
     /\ UNCHANGED <<ledger, saved, topic, end, commit, limit, started, highest, wiped>>

(* The state that a later loss brings back. *)
Save(s) ==
  /\ left.loss > 0 /\ saved[s] # ledger[s]
  /\ saved' = [saved EXCEPT ![s] = ledger[s]]
  /\ UNCHANGED <<ledger, topic, end, group, commit, worker, call, ghosts, limit, left, started, highest, wiped>>

Lose(s) ==
  /\ left.loss > 0 /\ saved[s] # ledger[s]
  /\ left' = [left EXCEPT !.loss = @ - 1]
  /\ ledger' = [ledger EXCEPT ![s] = saved[s]]
  /\ saved' = [saved EXCEPT ![s] = Absent]
  /\ wiped' = IF saved[s].there THEN wiped ELSE wiped \cup
       {[s |-> s, p |-> p, id |-> IF commit[p] = None THEN 0 ELSE commit[p].id,
         commit |-> IF commit[p] = None THEN -1 ELSE commit[p].offset] : p \in P}
  /\ UNCHANGED <<topic, end, group, commit, worker, call, ghosts, limit, started, highest>>

Remake(p) ==
  /\ left.remake > 0 /\ topic[p] < TopicIds
  /\ left' = [left EXCEPT !.remake = @ - 1]
  /\ topic' = [topic EXCEPT ![p] = @ + 1]
  /\ UNCHANGED <<ledger, saved, end, group, commit, worker, call, ghosts, limit, started, highest, wiped>>

(* The broker loses the newest records. *)
Cut(p) ==
  /\ left.cut > 0 /\ left' = [left EXCEPT !.cut = @ - 1]
  /\ \E e \in 1..end[p] - 1 : end' = [end EXCEPT ![p] = e]
  /\ UNCHANGED <<ledger, saved, topic, group, commit, worker, call, ghosts, limit, started, highest, wiped>>

(* Shard clock passes: what is not refreshed from here on is stale. *)
Tick(s) ==
  /\ left.tick > 0 /\ ledger[s].there /\ ledger[s].stale # Live(ledger[s])
  /\ left' = [left EXCEPT !.tick = @ - 1]
  /\ Write(s, [ledger[s] EXCEPT !.stale = Live(ledger[s])])
  /\ UNCHANGED <<saved, topic, end, group, commit, worker, call, ghosts, limit, started, wiped>>

(* The owner's purge, whoever that is. *)
Purge(s) ==
  LET shard == ledger[s]
      stale == shard.stale \cap Live(shard)
  IN /\ stale # {}
     /\ Write(s, [shard EXCEPT !.series = [x \in SeriesIds |-> IF x \in stale THEN -1 ELSE @[x]],
                               !.stale = {},
                               !.retired = @ + IF Is("purge forgets retired") THEN 0 ELSE SumOver(shard.series, stale)])
     /\ UNCHANGED <<saved, topic, end, group, commit, worker, call, ghosts, limit, left, started, wiped>>

LowerLimit ==
  /\ left.lower > 0 /\ limit > 0
  /\ left' = [left EXCEPT !.lower = @ - 1]
  /\ limit' = limit - 1
  /\ UNCHANGED <<ledger, saved, topic, end, group, commit, worker, call, ghosts, started, highest, wiped>>

-----------------------------------------------------------------------------
Init ==
  /\ ledger = [s \in S |-> Absent]
  /\ saved = [s \in S |-> Absent]
  /\ topic = [p \in P |-> 1]
  /\ end = [p \in P |-> Records]
  /\ group = [generation |-> 1, owner |-> [p \in P |-> FirstOwner]]
  /\ commit = [p \in P |-> None]
  /\ worker = [w \in Workers |-> Fresh]
  /\ call = [w \in Workers |-> [s \in S |-> None]]
  /\ ghosts = {}
  /\ limit = Limit
  /\ left = [rebalance |-> Rebalances, crash |-> Crashes, late |-> Lates, loss |-> Losses, remake |-> Remakes,
             prefetch |-> Prefetches, tick |-> Ticks, lower |-> Lowers, slow |-> Slows, cut |-> Cuts]
  /\ started = NoMarkers
  /\ highest = [s \in S |-> NoMarkers]
  /\ wiped = {}

(* Everything caught up, and nothing on its way. *)
Done ==
  /\ ghosts = {}
  /\ \A w \in Workers : worker[w].generation = group.generation /\ \A s \in S : call[w][s] = None
  /\ \A p \in P : \A s \in S : ledger[s].marker[<<topic[p], p>>] = end[p]
  /\ \A p \in P : LET part == Part(group.owner[p], p)
                  IN part.phase = "active" /\ part.next = end[p] /\ part.fetched = None /\ part.committing = None
  \* What was lost of the log and of every shard at once leaves the commit where it was, until the log has grown as far.
  /\ \A p \in P : commit[p] # None /\ commit[p].id = topic[p]
                  /\ \/ commit[p].offset = end[p]
                     \/ commit[p].offset > end[p] /\ left.cut < Cuts /\ left.loss < Losses

Rest == Done /\ UNCHANGED vars

WorkerStep(w) ==
  \/ Learn(w)
  \/ \E p \in P : Gather(w, p) \/ TakeFetched(w, p) \/ AskTopic(w, p) \/ Commit(w, p) \/ Committed(w, p)
                  \/ LogEndsEarly(w, p) \/ CutCommit(w, p)
                  \/ Ask(w, p) \/ ReadCommit(w, p) \/ Begin(w, p)
                  \/ \E s \in S : View(w, p, s) \/ Set(w, p, s) \/ Move(w, p, s)
  \/ \E s \in S : Send(w, s) \/ Look(w, s) \/ Execute(w, s) \/ Answer(w, s)

Trouble ==
  \/ Rebalance \/ LowerLimit
  \/ \E w \in Workers : Crash(w) \/ \E p \in P : Prefetch(w, p)
  \/ \E w \in Workers, s \in S : ExecuteUnheard(w, s) \/ Delay(w, s)
  \/ \E s \in S : Save(s) \/ Lose(s) \/ Tick(s) \/ Purge(s)
  \/ \E p \in P : Remake(p) \/ Cut(p)

Ghosts == \E g \in ghosts : GhostOfCommit(g) \/ GhostOfSet(g)

Next == (\E w \in Workers : WorkerStep(w)) \/ Ghosts \/ Trouble \/ Rest
Spec == Init /\ [][Next]_vars
FairSpec == Spec /\ WF_vars(Ghosts) /\ \A w \in Workers : WF_vars(WorkerStep(w)) /\ WF_vars(Learn(w))

-----------------------------------------------------------------------------
(* What must hold *)

Wiped == {loss.s : loss \in wiped}

InFieldBelow(shard, s, f) == RangeSum(s, f, shard.base[f], shard.marker[f])

(* 1 *)
LimitHolds == \A s \in S : ledger[s].there => Cardinality(Live(ledger[s])) <= ledger[s].admittedBy

(* 2 *)
SumsAgree == \A s \in S :
  LET shard == ledger[s]
  IN shard.there => SumOver(shard.series, Live(shard)) + shard.overflow + shard.retired = shard.total
TotalsAreTheRecords == \A s \in S :
  LET shard == ledger[s]
  IN shard.there => shard.total = SumOver([f \in Fields |->
       IF shard.marker[f] = -1 THEN 0 ELSE InFieldBelow(shard, s, f)], Fields) + shard.cut
OneStart == \A s \in S, f \in Fields :
  ledger[s].there /\ s \notin Wiped /\ ledger[s].marker[f] # -1 => ledger[s].base[f] = started[f]

(* 3: safety part; that it comes to rest nowhere else is the check for deadlocks. *)
Truth == Done => \A s \in S, p \in P :
  LET f == <<topic[p], p>>
  IN s \notin Wiped => /\ ledger[s].base[f] = started[f]
                       /\ ledger[s].marker[f] = end[p]

(* 4 *)
CommitIsCovered == \A p \in P :
  commit[p] # None => LET f == <<commit[p].id, p>>
                      IN commit[p].offset = commit[p].start \/ \A s \in S : commit[p].offset <= highest[s][f]
MarkersRise == [][\A s \in S, f \in Fields : ledger'[s].marker[f] >= ledger[s].marker[f] \/ left'.loss < left.loss
                    \/ (ledger'[s].marker[f] = end[f[2]] /\ left.cut < Cuts)]_vars
CommitRises == [][\A p \in P : commit[p] # None /\ commit'[p].id = commit[p].id
                    => commit'[p].offset >= commit[p].offset \/ (commit'[p].offset = end[p] /\ left.cut < Cuts)]_vars

(* What a lost shard had counted stays uncounted: Prometheus has it. *)
NotCountedAgain == \A loss \in wiped :
  LET base == ledger[loss.s].base
  IN loss.id # 0 /\ ledger[loss.s].there /\ base[<<loss.id, loss.p>>] # -1 => base[<<loss.id, loss.p>>] >= Min({loss.commit, end[loss.p]})
(* A ledger loss is found only where there was one. *)
NoFalseAlarm == \A w \in Workers, p \in P, s \in S :
  LET part == Part(w, p)
  IN part.step = "set" /\ part.read.commit.known /\ part.read.todo[s] # None /\ part.read.todo[s].create = "after loss"
     => s \in Wiped

(* 6: a limit that suffices sends nothing to overflow. *)
NoOverflow == Limit >= Series /\ Lowers = 0 => \A s \in S : ledger[s].overflow = 0

ComesToRest == <>[]Done

-----------------------------------------------------------------------------
(* Each must be found false, else nothing was checked (configurations.ts says where). *)

NeverBehindTheCommit == \A p \in P, s \in S :
  commit[p] # None /\ ledger[s].there => ledger[s].marker[<<commit[p].id, p>>] >= commit[p].offset
NeverAnswered(kind) == \A w \in Workers, s \in S : call[w][s] # None /\ call[w][s].reply # None =>
  \A p \in P : call[w][s].reply.of[p] = None \/ call[w][s].reply.of[p].kind # kind
NeverRefused == NeverAnswered("not applied")
NeverAlready == NeverAnswered("already")
NeverLabelsNeeded == NeverAnswered("labels needed")
NeverOverTheLimit == \A s \in S : Cardinality(Live(ledger[s])) <= limit
NeverOverflowed == \A s \in S : ledger[s].overflow = 0
NeverRetired == \A s \in S : ledger[s].retired = 0
NeverWiped == \A loss \in wiped : loss.commit <= 0
Spent == \A trouble \in DOMAIN left : left[trouble] = 0
NeverCut == \A s \in S : ledger[s].cut = 0
NeverLate == \A w \in Workers, p \in P : LET part == Part(w, p) IN part.committing = None \/ part.committing.id = part.id
NeverDoneAfterAll == ~(Done /\ Spent)
=============================================================================
