----------------------------- MODULE Publishing -----------------------------
(***************************************************************************)
(* Who shows a shard, and what: leases, clocks that tick and stop, reading,*)
(* tables covered by the group's commits, holds at zero, and a ledger that *)
(* loses any suffix of its writes, leases and markers alike.               *)
(*                                                                         *)
(* Mirrors src/publish/{ownership,shard-reader,account-reading,publisher}.ts.*)
(* Settling is abstract here (Settling.tla): one partition, one series,    *)
(* every record adds 1, so the series' value is the marker, exactly.       *)
(*                                                                         *)
(* Times are ticks. A change counter is max(counter + 1, PerTick * time).  *)
(* A scrape is one step: its content is fixed when its request arrives.    *)
(***************************************************************************)
EXTENDS Integers, FiniteSets

CONSTANTS
  Replicas,
  FirstOwner,  \* holds the lease at the beginning
  FirstWanted, \* and who is wanted then
  Records,     \* 0: leases alone
  Begun,       \* of them, counted and committed before the beginning
  Lease,       \* ticks
  Hold,        \* ticks
  End,         \* ticks after which time stands still
  Handovers,   \* how often another owner may be wanted
  Losses,
  Forgotten,   \* TRUE: the ledger has lost the first take at the beginning, its holder does not know
  Window,      \* ticks: a loss takes no more than the writes of so many
  Remembers,   \* TRUE: a worker takes for a replay also what it has acknowledged itself (proposed, not in the code)
  Suspensions, ClockSteps, Zombies,
  Renewals,    \* how often a lease may be renewed
  Mutation

VARIABLES
  shard,    \* marker, birth of the series (-1: none), change counter, its value at the last replay, lease
  saved,    \* what a loss brings it back to
  savedAt,
  commit,   \* of the group
  acked,    \* the marker that the worker knows, and up to where it replays
  now,      \* the server's clock
  lag,      \* replica -> how far its monotonic clock is behind
  wall,     \* replica -> how far its wall clock is behind
  asleep,   \* replicas that are suspended
  wanted,   \* the owner that is wanted
  held,     \* replica -> its lease, or the request for it that is under way
  reader,   \* replica -> what it has read and shows
  last,     \* replica -> when it last held the lease (monotonic; -1: never)
  top,      \* the highest value that anyone was shown; -1: none (history)
  tokens,   \* how many were made
  left

vars == <<shard, saved, savedAt, commit, acked, now, lag, wall, asleep, wanted, held, reader, last, top, tokens, left>>

None == [none |-> TRUE]
Is(name) == Mutation = name
PerTick == 8
Max(a, b) == IF a >= b THEN a ELSE b
Mono(r) == now - lag[r]
Wall(r) == now - wall[r]
Awake(r) == r \notin asleep
Never == 1000

-----------------------------------------------------------------------------
(* The ledger and its worker *)

NextCounter == Max(shard.counter + 1, PerTick * now)

Apply(replay) ==
  /\ shard.marker < Records
  /\ shard' = [shard EXCEPT
       !.marker = @ + 1,
       !.counter = NextCounter,
       \* In whole ticks, as the ledger keeps whole seconds.
       !.birth = IF @ = -1 THEN (NextCounter \div PerTick) * PerTick ELSE @,
       !.replayed = IF replay /\ ~Is("replays not noted") THEN NextCounter ELSE @]

Work ==
  /\ acked.marker = shard.marker
  /\ Apply(acked.marker < acked.until)
  /\ acked' = [acked EXCEPT !.marker = @ + 1]
  /\ UNCHANGED <<saved, savedAt, commit, now, lag, wall, asleep, wanted, held, reader, last, top, tokens, left>>

(* Another worker that gathered the same records before the loss, and has not looked since. *)
ZombieWork ==
  /\ left.zombie > 0 /\ left' = [left EXCEPT !.zombie = @ - 1]
  /\ Apply(FALSE)
  /\ UNCHANGED <<saved, savedAt, commit, acked, now, lag, wall, asleep, wanted, held, reader, last, top, tokens>>

Position ==
  /\ acked.marker # shard.marker
  /\ acked' = [acked EXCEPT !.marker = shard.marker,
                             !.until = Max(commit, IF Remembers THEN Max(@, acked.marker) ELSE 0)]
  /\ UNCHANGED <<shard, saved, savedAt, commit, now, lag, wall, asleep, wanted, held, reader, last, top, tokens, left>>

Commit ==
  /\ acked.marker > commit
  /\ commit' = acked.marker
  /\ UNCHANGED <<shard, saved, savedAt, acked, now, lag, wall, asleep, wanted, held, reader, last, top, tokens, left>>

Save ==
  /\ left.loss > 0 /\ saved # shard
  /\ saved' = shard /\ savedAt' = now
  /\ UNCHANGED <<shard, commit, acked, now, lag, wall, asleep, wanted, held, reader, last, top, tokens, left>>

Lose ==
  /\ left.loss > 0 /\ saved # shard /\ now - savedAt <= Window
  /\ left' = [left EXCEPT !.loss = @ - 1]
  /\ shard' = saved
  /\ UNCHANGED <<saved, savedAt, commit, acked, now, lag, wall, asleep, wanted, held, reader, last, top, tokens>>

-----------------------------------------------------------------------------
(* Leases *)

Owner == IF shard.owner.until > now THEN shard.owner ELSE [kind |-> "free", by |-> 0, until |-> 0]
InTime(r) == /\ Mono(r) - held[r].sentMono < Lease \/ Is("lease judged by the wall clock alone")
             /\ Wall(r) - held[r].sentWall < Lease \/ Is("lease judged by the monotonic clock alone")
Holds(r) == held[r] # None /\ held[r].token > 0
Usable(r) == /\ Holds(r) /\ ~held[r].draining
             /\ InTime(r) \/ Is("lease shown after its time")
             /\ Mono(r) >= held[r].usableAt

(* The server answers; the answer arrives, and time may have passed. It counts from when it was sent: at the latest then. *)
Take(r) ==
  LET free == Owner.kind = "free" \/ (Owner.kind = "released" /\ Owner.by = r)
  IN /\ Awake(r) /\ held[r] = None /\ wanted = r
     /\ free
     /\ tokens' = tokens + 1
     /\ shard' = [shard EXCEPT !.owner = [kind |-> "held", by |-> tokens + 1, until |-> now + Lease],
                               !.counter = NextCounter]
     /\ held' = [held EXCEPT ![r] = [token |-> 0, reply |-> IF Owner.kind = "released" THEN "released" ELSE "taken",
                                     request |-> tokens + 1, sentMono |-> Mono(r), sentWall |-> Wall(r),
                                     usableAt |-> Never, draining |-> FALSE, renewal |-> None, counter |-> NextCounter]]
     /\ UNCHANGED <<saved, savedAt, commit, acked, now, lag, wall, asleep, wanted, reader, last, top, left>>

HeldLately(r) == last[r] # -1 /\ Mono(r) - last[r] < 2 * Lease /\ ~Is("release believed twice")

Taken(r) ==
  LET h == held[r]
      ready == (h.reply = "released" /\ ~HeldLately(r)) \/ Is("lease usable at once")
  IN /\ Awake(r) /\ h # None /\ h.token = 0 /\ h.reply # "none"
     /\ held' = [held EXCEPT ![r] = IF ~InTime(r) THEN None
                 ELSE [h EXCEPT !.token = h.request, !.usableAt = IF ready THEN Mono(r) ELSE Mono(r) + Lease,
                                !.reply = "none"]]
     /\ UNCHANGED <<shard, saved, savedAt, commit, acked, now, lag, wall, asleep, wanted, reader, last, top, tokens, left>>

Renew(r) ==
  LET ours == Owner.kind = "held" /\ Owner.by = held[r].token
  IN /\ Awake(r) /\ Holds(r) /\ held[r].renewal = None /\ left.renewal > 0 /\ InTime(r)
     /\ left' = [left EXCEPT !.renewal = @ - 1]
     /\ shard' = IF ours THEN [shard EXCEPT !.owner.until = now + Lease, !.counter = NextCounter] ELSE shard
     /\ held' = [held EXCEPT ![r].renewal = [sentMono |-> Mono(r), sentWall |-> Wall(r), good |-> ours]]
     /\ UNCHANGED <<saved, savedAt, commit, acked, now, lag, wall, asleep, wanted, reader, last, top, tokens>>

Renewed(r) ==
  LET h == held[r]
      sentMono == IF Is("renewal counted from its answer") THEN Mono(r) ELSE h.renewal.sentMono
      sentWall == IF Is("renewal counted from its answer") THEN Wall(r) ELSE h.renewal.sentWall
  IN /\ Awake(r) /\ Holds(r) /\ h.renewal # None
     /\ held' = [held EXCEPT ![r] =
          IF h.renewal.good THEN [h EXCEPT !.sentMono = sentMono, !.sentWall = sentWall, !.renewal = None]
          ELSE IF Is("refused renewal ignored") THEN [h EXCEPT !.renewal = None] ELSE None]
     /\ last' = IF held'[r] = None THEN [last EXCEPT ![r] = Mono(r)] ELSE last
     /\ UNCHANGED <<shard, saved, savedAt, commit, acked, now, lag, wall, asleep, wanted, reader, top, tokens, left>>

(* Not wanted any more: shows nothing from here on. *)
Drain(r) ==
  /\ Awake(r) /\ Holds(r) /\ wanted # r /\ ~held[r].draining
  /\ held' = [held EXCEPT ![r].draining = ~Is("shown until the release is answered")]
  /\ held'[r] # held[r]
  /\ UNCHANGED <<shard, saved, savedAt, commit, acked, now, lag, wall, asleep, wanted, reader, last, top, tokens, left>>

(* Released to the wanted one by name; one that was not usable yet is deleted. *)
Release(r) ==
  LET h == held[r]
      ours == Owner.kind = "held" /\ Owner.by = h.token
      named == (Mono(r) >= h.usableAt \/ Is("lease released before it was usable")) /\ InTime(r)
  IN /\ Awake(r) /\ Holds(r) /\ wanted # r /\ (h.draining \/ Is("shown until the release is answered"))
     /\ shard' = IF ~ours THEN shard ELSE [shard EXCEPT !.owner =
          IF named THEN [kind |-> "released", by |-> wanted, until |-> now + Lease]
          ELSE [kind |-> "free", by |-> 0, until |-> 0]]
     /\ IF Is("shown until the release is answered")
        THEN UNCHANGED <<held, last>>
        ELSE held' = [held EXCEPT ![r] = None] /\ last' = [last EXCEPT ![r] = Mono(r)]
     /\ UNCHANGED <<saved, savedAt, commit, acked, now, lag, wall, asleep, wanted, reader, top, tokens, left>>

(* A lease without a good renewal is given up for good. *)
GiveUp(r) ==
  /\ Awake(r) /\ Holds(r) /\ ~InTime(r)
  /\ held' = [held EXCEPT ![r] = None]
  /\ last' = [last EXCEPT ![r] = Mono(r)]
  /\ UNCHANGED <<shard, saved, savedAt, commit, acked, now, lag, wall, asleep, wanted, reader, top, tokens, left>>

-----------------------------------------------------------------------------
(* Reading and showing *)

Nothing == [token |-> 0, commits |-> -1, floor |-> -1, seen |-> None, start |-> None, latest |-> None, shown |-> None]
View == [marker |-> shard.marker, counter |-> shard.counter, replayed |-> shard.replayed]
FellBack(before, after) ==
  /\ before # None
  /\ after.replayed # before.replayed \/ after.counter < before.counter \/ after.marker < before.marker

Reading(r) == Awake(r) /\ Holds(r) /\ ~held[r].draining /\ InTime(r)
(* Every tenure begins with nothing. A look begins with the group's commits. *)
AtLook(r) ==
  LET mine == IF reader[r].token = held[r].token THEN reader[r] ELSE [Nothing EXCEPT !.token = held[r].token]
  IN [mine EXCEPT !.commits = commit,
        !.floor = IF @ = -1 /\ (Usable(r) \/ Is("floor read before the lease is usable")) THEN commit ELSE @]

(* What a newer table must reach. *)
Floor(x) == IF Is("table replaced by a lower one") THEN 0
            ELSE IF x.shown # None THEN x.shown.highest
            ELSE IF Is("first table without a floor") THEN 0 ELSE x.floor
EndLook(x) == [x EXCEPT !.commits = -1, !.start = None]

ReadStart(r) ==
  LET x == AtLook(r)
      \* A ledger that is before the take has lost it, and all that time.
      lost == View.counter < held[r].counter /\ ~Is("ledger of before the take believed")
      blocked == lost \/ (x.floor # -1 /\ View.marker < Floor(x))
  IN /\ Records > 0 /\ Reading(r) /\ x.latest = None /\ x.start = None
     /\ reader' = [reader EXCEPT ![r] =
          IF blocked THEN [EndLook(x) EXCEPT !.seen = View] ELSE [x EXCEPT !.seen = View, !.start = View]]
     /\ reader' # reader
     /\ UNCHANGED <<shard, saved, savedAt, commit, acked, now, lag, wall, asleep, wanted, held, last, top, tokens, left>>

(* The counter at which the hold of the series ends; 0: none. *)
HoldOf(x) ==
  LET t == x.latest
      over == t.birth <= t.replayed \/ t.counter >= t.birth + Hold * PerTick
  IN IF t.birth = -1 \/ Is("hold ignored") THEN 0
     ELSE IF t.birth <= t.replayed THEN 0
     ELSE IF x.shown # None /\ x.shown.birth = t.birth THEN
       (IF x.shown.hold > t.counter THEN x.shown.hold ELSE 0)
     ELSE IF over THEN 0
     ELSE IF Is("hold not begun again by the next owner") THEN t.birth + Hold * PerTick
     ELSE x.seen.counter + Hold * PerTick

TryToShow(x) ==
  LET t == x.latest
      reaches == t.lowest >= Floor(x)
      again == x.shown # None /\ x.shown.birth = t.birth
      covered == x.commits >= t.highest \/ Is("table shown without covering commits")
      counter == IF x.shown # None THEN Max(t.counter, x.shown.counter) ELSE t.counter
  IN IF x.floor = -1 THEN EndLook(x)
     ELSE IF ~reaches THEN [EndLook(x) EXCEPT !.latest = None]
     ELSE IF ~covered THEN EndLook(x)
     ELSE [EndLook(x) EXCEPT !.latest = None,
            !.shown = [marker |-> t.marker, birth |-> t.birth, counter |-> counter, highest |-> t.highest,
                       replayed |-> t.replayed, hold |-> HoldOf(x),
                       \* History: when this owner showed the series first, and whether its hold was not over then.
                       since |-> IF again THEN x.shown.since ELSE x.seen.counter,
                       young |-> IF again THEN x.shown.young ELSE t.counter < t.birth + Hold * PerTick]]

ReadPage(r) ==
  LET x == reader[r]
      reading == [marker |-> shard.marker, birth |-> shard.birth, counter |-> x.start.counter,
                  lowest |-> x.start.marker, highest |-> Max(x.start.marker, shard.marker), replayed |-> x.start.replayed]
  IN /\ Reading(r) /\ x.token = held[r].token /\ x.start # None /\ x.latest = None
     /\ reader' = [reader EXCEPT ![r] =
          IF FellBack(x.seen, View) /\ ~Is("fall-back while reading not seen") THEN [EndLook(x) EXCEPT !.seen = View]
          ELSE TryToShow([x EXCEPT !.seen = View, !.start = None, !.latest = reading])]
     /\ UNCHANGED <<shard, saved, savedAt, commit, acked, now, lag, wall, asleep, wanted, held, last, top, tokens, left>>

(* A reading that waits is looked after: of a ledger that fell back it is worth nothing. *)
LookAtWaiting(r) ==
  LET x == AtLook(r)
  IN /\ Reading(r) /\ x.latest # None
     /\ reader' = [reader EXCEPT ![r] =
          IF FellBack(x.seen, View) /\ ~Is("fall-back while waiting not seen")
          THEN [EndLook(x) EXCEPT !.seen = View, !.latest = None]
          ELSE TryToShow([x EXCEPT !.seen = View])]
     /\ reader' # reader
     /\ UNCHANGED <<shard, saved, savedAt, commit, acked, now, lag, wall, asleep, wanted, held, last, top, tokens, left>>

Shows(r) == Awake(r) /\ Usable(r) /\ reader[r].token = held[r].token /\ reader[r].shown # None
            /\ reader[r].shown.birth # -1
Value(r) == LET t == reader[r].shown IN IF t.counter < t.hold THEN 0 ELSE t.marker

Scrape(r) ==
  /\ Shows(r) /\ top < Value(r)
  /\ top' = Value(r)
  /\ UNCHANGED <<shard, saved, savedAt, commit, acked, now, lag, wall, asleep, wanted, held, reader, last, tokens, left>>

-----------------------------------------------------------------------------
(* Clocks and wishes *)

Tick ==
  /\ now < End
  /\ now' = now + 1
  /\ lag' = [r \in Replicas |-> IF Awake(r) THEN lag[r] ELSE lag[r] + 1]
  /\ UNCHANGED <<shard, saved, savedAt, commit, acked, wall, asleep, wanted, held, reader, last, top, tokens, left>>

Suspend(r) ==
  /\ left.suspension > 0 /\ Awake(r) /\ Holds(r)
  /\ left' = [left EXCEPT !.suspension = @ - 1]
  /\ asleep' = asleep \cup {r}
  /\ UNCHANGED <<shard, saved, savedAt, commit, acked, now, lag, wall, wanted, held, reader, last, top, tokens>>

Resume(r) ==
  /\ asleep' = asleep \ {r} /\ asleep' # asleep
  /\ UNCHANGED <<shard, saved, savedAt, commit, acked, now, lag, wall, wanted, held, reader, last, top, tokens, left>>

(* Somebody sets a wall clock back. *)
StepClock(r) ==
  /\ left.clock > 0 /\ Holds(r)
  /\ left' = [left EXCEPT !.clock = @ - 1]
  /\ wall' = [wall EXCEPT ![r] = @ + 2 * Lease]
  /\ UNCHANGED <<shard, saved, savedAt, commit, acked, now, lag, asleep, wanted, held, reader, last, top, tokens>>

Want(r) ==
  /\ left.handover > 0 /\ wanted # r
  /\ left' = [left EXCEPT !.handover = @ - 1]
  /\ wanted' = r
  /\ UNCHANGED <<shard, saved, savedAt, commit, acked, now, lag, wall, asleep, held, reader, last, top, tokens>>

AtFirst == [marker |-> Begun, birth |-> IF Begun = 0 THEN -1 ELSE 0, counter |-> 1, replayed |-> -1, owner |-> [kind |-> "held", by |-> 1, until |-> 1 + Lease]]
Init ==
  /\ shard = IF Forgotten THEN [AtFirst EXCEPT !.counter = 0, !.owner = [kind |-> "free", by |-> 0, until |-> 0]]
             ELSE AtFirst
  /\ saved = shard /\ savedAt = 1
  /\ commit = Begun /\ acked = [marker |-> Begun, until |-> 0]
  /\ now = 1
  /\ lag = [r \in Replicas |-> 0] /\ wall = [r \in Replicas |-> 0]
  /\ asleep = {}
  /\ wanted = FirstWanted
  /\ held = [r \in Replicas |-> IF r # FirstOwner THEN None ELSE
               [token |-> 1, reply |-> "none", request |-> 1, sentMono |-> 1, sentWall |-> 1, usableAt |-> 1,
                draining |-> FALSE, renewal |-> None, counter |-> 1]]
  /\ reader = [r \in Replicas |-> Nothing]
  /\ last = [r \in Replicas |-> -1]
  /\ top = -1
  /\ tokens = 1
  /\ left = [handover |-> Handovers, loss |-> Losses, suspension |-> Suspensions, clock |-> ClockSteps,
             zombie |-> Zombies, renewal |-> Renewals]

Next ==
  \/ Work \/ ZombieWork \/ Position \/ Commit \/ Save \/ Lose \/ Tick
  \/ \E r \in Replicas :
       \/ Take(r) \/ Taken(r) \/ Renew(r) \/ Renewed(r)
       \/ Drain(r) \/ Release(r) \/ GiveUp(r)
       \/ ReadStart(r) \/ ReadPage(r) \/ LookAtWaiting(r) \/ Scrape(r)
       \/ Suspend(r) \/ Resume(r) \/ StepClock(r) \/ Want(r)
Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
(* 7 *)
NeverLower == \A r \in Replicas : Shows(r) => Value(r) >= top
MayShow(r) == Awake(r) /\ Usable(r)
OneOwner == \A r, q \in Replicas : MayShow(r) /\ MayShow(q) => r = q
(* Replays, and what is born in a hole longer than the hold, miss their zero: documented. *)
BornAtZero == \A r \in Replicas : LET t == reader[r].shown
  IN Shows(r) /\ top = -1 /\ Value(r) > 0 => t.birth <= t.replayed \/ t.counter >= t.birth + Hold * PerTick

(* A hold that was not over when the owner first showed the series is a whole one: a scrape falls into it. *)
HoldIsWhole == \A r \in Replicas : LET t == reader[r].shown
  IN Shows(r) /\ t.young /\ Value(r) > 0 => t.birth <= t.replayed \/ t.counter >= t.since + Hold * PerTick

-----------------------------------------------------------------------------
(* Each must be found false, else nothing was checked (configurations.ts says where). *)

NobodyShows == \A r \in Replicas : ~(Shows(r) /\ Value(r) = Records)
NeverHeldAtZero == \A r \in Replicas : ~(Shows(r) /\ Value(r) = 0 /\ reader[r].shown.marker > 0)
NeverReleasedByName == shard.owner.kind # "released"
SecondShows == \E r \in Replicas \ {FirstOwner} : Shows(r) /\ Value(r) = Records
NeverHandedOver == ~(SecondShows /\ top = Records)
NeverHandedOverAfterALoss == ~(SecondShows /\ left.loss < Losses /\ shard.replayed > 0)
NeverSeenFalling == \A r \in Replicas : reader[r].seen = None \/ shard.marker >= reader[r].seen.marker
NeverBetweenOwners == \E r \in Replicas : MayShow(r)
=============================================================================
