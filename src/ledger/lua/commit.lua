-- Adds to a shard what sections of partitions bring, and moves their markers, in one step.
--
-- KEYS   1 :meta  2 :markers  3 :tenants
--        then of each account :totals, :series, :labels
--        then of each tracker the :totals of the shard's overflow tenant
-- ARGV   1 format  2 installation  then columns, each with its part of what follows, in this order:
--        3 numbers: doubles  4 words  5 bytes  6 ids: 16 bytes each  7 amounts: doubles. All of them little-endian.
--        of the call: places for tenants, per tracker; accounts, trackers, sections (numbers)
--        of each account: tracker (from 1), measures, limit, seconds of shard clock until stale, does it need a place:
--          0 never gets one, 1 where there is one, 2 always; length of its member, length of its marks (numbers);
--          member of :tenants (words); marks of what overflowed, see demand.ts (bytes)
--        of each tracker: length of its field, length of its member (numbers); field of :meta that counts its tenants,
--          overflow tenant's member of :tenants (words)
--        of each section: from, to, 1 for a replay, entries, length of its field (numbers); marker's field (words)
--        and of each of its entries: account (from 1), ids, 1 for amounts of overflow, length of its keys, length of its
--          names (numbers); ids (ids); `measures` for each id, then those of overflow (amounts); keys (bytes); names:
--          "label amount label amount ..." of the first measure without a value for the label (words)
--        keys: <I4 which of the ids, from 1> <I4 length> <series key>, for those ids that come with one, ascending
-- Result {1, life, change counter, sections, numbers, ids}
--          section {1, marker} applied  {2, marker} already  {3, marker} not applied  {4} no marker
--                  {5, marker, account, ids, ...} series that are neither in the ledger nor came with a key
--          numbers, doubles, of each account: live, admissions, 1 if the tenant got no place, ids that overflowed
--          ids: those, of all accounts
--        {0}: the shard has no state
--        {-1, format, installation}: another one's
--        {-2, what}: a sum beyond 2^53 - 1, or a value that cannot be read
-- Guarantee: a section counts as a whole and once, however often it is sent. No account ever has more series than
-- the limit that admitted the last one. All is read and checked before the first write, which is refused when the
-- server is out of memory; so nothing stays half done.

--#include shard.lua
--#include columns.lua
--#include sketch.lua

local MAX_AMOUNT = 9007199254740991
local MAX_TICK = 60e6
local NEVER, BOUNDED = 0, 1
-- Stands for a list that an account does not need. Nothing is ever added to it.
local NONE = {}

-- 1. The shard, which must be ours.

local shard, refusal = openShard()
if not shard then
  return refusal
end
shard.clock = shard.clock + math.max(0, math.min(shard.now - shard.called, MAX_TICK))
local nowS = seconds(shard)
local counterText = text(shard.counter)

-- What is stored of an account; an account that :tenants does not list has nothing, whatever its keys hold. What seldom
-- changes stays text until it does.
local function readTotals(account, exists)
  account.exists = exists
  if not exists then
    account.live, account.admissions, account.cursor, account.named = 0, 0, '0', ''
    account.total, account.overflow, account.retired =
      zeros(account.measures), zeros(account.measures), zeros(account.measures)
    return nil
  end
  local fields =
    redis.call('HMGET', account.totalsKey, 'total', 'overflow', 'retired', 'admissions', 'cursor', 'unattributed')
  account.total, account.overflowText, account.retiredText = parseVector(fields[1]), fields[2], fields[3]
  account.admissions, account.cursor, account.named = tonumber(fields[4]), fields[5] or '0', fields[6] or ''
  account.live = account.seriesKey and redis.call('HLEN', account.seriesKey) or 0
  if #account.total ~= account.measures then
    return 'the ledger holds ' .. #account.total .. ' measures of ' .. account.member .. ', the call ' .. account.measures
  end
end

local places, accountCount, trackerCount, sectionCount = readNumbers('dddd')
local accounts, trackers, members = {}, {}, {}
for i = 1, accountCount do
  local tracker, measures, limit, staleS, place, memberBytes, marksBytes = readNumbers('ddddddd')
  accounts[i] = {
    totalsKey = KEYS[3 * i + 1], seriesKey = KEYS[3 * i + 2], labelsKey = KEYS[3 * i + 3],
    number = i, member = readWord(memberBytes), demand = marksBytes > 0 and readBytes(marksBytes) or nil,
    tracker = tracker, measures = measures, limit = limit, staleS = staleS, place = place,
    -- By slot, a number that each distinct id gets: its id, and what is stored of it.
    ids = {}, slots = {}, stored = NONE,
    -- The slots that applicable sections name, in the order of the call; what they add, `measures` for each slot; and
    -- in all.
    added = {}, amounts = {}, sum = zeros(measures),
    -- Ids, and where some of them came with keys, those by slot.
    overflowed = NONE, swept = NONE, keys = NONE,
  }
  members[i] = accounts[i].member
end
for i = 1, trackerCount do
  local fieldBytes, memberBytes = readNumbers('dd')
  local field, member = readWord(fieldBytes), readWord(memberBytes)
  trackers[i] = { totalsKey = KEYS[3 + 3 * accountCount + i], field = field, member = member }
  members[accountCount + i] = member
end
local scores = readInChunks('ZMSCORE', KEYS[3], members)
for i = 1, accountCount do
  local account = accounts[i]
  local broken = readTotals(account, account.place ~= NEVER and scores[i] ~= false)
  if broken then
    return { -2, broken }
  end
end

-- 2. Each section against the stored marker.

local sections, fields, entryCount = {}, {}, 0
for i = 1, sectionCount do
  local from, to, replay, entries, fieldBytes = readNumbers('ddddd')
  sections[i] = { field = readWord(fieldBytes), from = from, to = to, replay = replay == 1 }
  sections[i].first, sections[i].last = entryCount + 1, entryCount + entries
  for e = entryCount + 1, entryCount + entries do
    readEntry(e, accounts)
  end
  entryCount, fields[i] = entryCount + entries, sections[i].field
end
local markers = readInChunks('HMGET', KEYS[2], fields)
for i = 1, sectionCount do
  local section = sections[i]
  section.marker = markers[i] and tonumber(markers[i])
  if not section.marker then
    section.reply = { 4 }
  elseif section.marker ~= section.from then
    section.reply = { section.marker >= section.to and 2 or 3, section.marker }
  end
end

-- 3. The series that applicable sections name. A section with an unknown one that has no key is not applied.

--#include gather.lua

for i = 1, sectionCount do
  local section = sections[i]
  if not section.reply then
    for e = section.first, section.last do
      nameSeries(e)
    end
  end
end
for i = 1, accountCount do
  readStored(accounts[i])
end

-- What a section lacks, or that it applies.
local function judge(section)
  local reply = { 5, section.marker }
  for e = section.first, section.last do
    local missing = accountOf[e].hasUnknown and missingIds(e) or ''
    if missing ~= '' then
      reply[#reply + 1] = accountOf[e].number
      reply[#reply + 1] = missing
    end
  end
  if #reply > 2 then
    return reply
  end
  for e = section.first, section.last do
    gather(e)
  end
  return { 1, section.to }
end

for i = 1, sectionCount do
  sections[i].reply = sections[i].reply or judge(sections[i])
end

-- 4. What becomes of each account: a place or none, known series first, then the unknown while there is room.

local function findPlace(account)
  local tracker = trackers[account.tracker]
  if account.place == BOUNDED then
    tracker.tenants = tracker.tenants or tonumber(redis.call('HGET', KEYS[1], tracker.field) or 0)
    account.refused = tracker.tenants >= places
    if not account.refused then
      tracker.tenants = tracker.tenants + 1
      tracker.counts = true
    end
  else
    account.refused = account.place == NEVER
  end
end

--#include settle.lua

local function addTo(vector, amounts)
  for j = 1, #amounts do
    vector[j] = vector[j] + amounts[j]
  end
  return vector
end

-- Every other sum is a part of a total.
local function addTotals(account, heir)
  addTo(heir.total, account.sum)
  for j = 1, account.measures do
    if heir.total[j] > MAX_AMOUNT then
      return 'a total of ' .. heir.member .. ' would pass 2^53 - 1'
    end
  end
  if account.diverted then
    heir.overflow = addTo(heir.overflow or parseVector(heir.overflowText), account.diverted)
  end
  if account.hasSwept then
    heir.retired = addTo(heir.retired or parseVector(heir.retiredText), account.retiring)
  end
  if account.unattributed then
    heir.named = formatNamed(addNamed(addNamed({}, heir.named), formatNamed(account.unattributed)))
    heir.writesNamed = true
  end
end

-- Where the amounts of an account go: to itself, or to the shard's overflow tenant.
local function heirOf(account)
  if not account.refused then
    return account
  end
  local heir = trackers[account.tracker]
  if not heir.touched then
    heir.touched, heir.measures = true, account.measures
    local broken = readTotals(heir, scores[accountCount + account.tracker] ~= false)
    if broken then
      return nil, broken
    end
  end
  return heir
end

for i = 1, accountCount do
  local account = accounts[i]
  if account.touched then
    if not account.exists then
      findPlace(account)
    end
    local heir, broken = heirOf(account)
    broken = broken or settleSeries(account) or addTotals(account, heir)
    if broken then
      return { -2, broken }
    end
    if account.demand and not account.refused then
      noteDemand(account, nowS)
    end
  end
end

-- 5. The writes. The first of them needs memory.

local meta = { 'counter', counterText, 'clock', text(shard.clock), 'called', text(shard.now) }
local moved = {}
for i = 1, sectionCount do
  local section = sections[i]
  if section.reply[1] == 1 and section.to > section.from then
    moved[#moved + 1] = section.field
    moved[#moved + 1] = text(section.to)
    if section.replay then
      meta[7], meta[8] = 'replayed', counterText
    end
  end
end
for i = 1, trackerCount do
  if trackers[i].counts then
    meta[#meta + 1] = trackers[i].field
    meta[#meta + 1] = text(trackers[i].tenants)
  end
end
redis.call('HSET', KEYS[1], unpack(meta))
inChunks('HSET', KEYS[2], moved)

local changed, nowText = {}, text(nowS)
-- Of an account that was there, only what may have changed.
local function writeTotals(account)
  local fields = { 'total', formatVector(account.total), 'changed', nowText }
  local function set(field, value)
    fields[#fields + 1] = field
    fields[#fields + 1] = value
  end
  if account.overflow then
    set('overflow', formatVector(account.overflow))
  end
  if account.retired then
    set('retired', formatVector(account.retired))
  end
  if account.hasAdmitted or not account.exists then
    set('admissions', text(account.admissions))
  end
  if account.hasSwept or not account.exists then
    set('cursor', account.cursor)
  end
  if account.writesNamed then
    set('unattributed', account.named)
  end
  if account.sketch then
    set('demand', account.sketch)
  end
  redis.call('HSET', account.totalsKey, unpack(fields))
  changed[#changed + 1] = counterText
  changed[#changed + 1] = account.member
end

local function writeAccount(account)
  if not account.exists then
    redis.call('UNLINK', account.totalsKey, account.seriesKey, account.labelsKey)
  end
  inChunks('HDEL', account.seriesKey, account.swept)
  inChunks('HDEL', account.labelsKey, account.swept)
  inChunks('HSET', account.seriesKey, account.rows)
  inChunks('HSET', account.labelsKey, account.labels)
  writeTotals(account)
end

for i = 1, accountCount do
  if accounts[i].touched and not accounts[i].refused then
    writeAccount(accounts[i])
  end
end
for i = 1, trackerCount do
  if trackers[i].touched then
    writeTotals(trackers[i])
  end
end
inChunks('ZADD', KEYS[3], changed)

-- 6. The answer.

local replies, numbers, overflowed = {}, {}, {}
for i = 1, sectionCount do
  replies[i] = sections[i].reply
end
for i = 1, accountCount do
  local account = accounts[i]
  numbers[i] = packStruct('<dddd', account.live, account.admissions, account.refused and 1 or 0, #account.overflowed)
  overflowed[i] = table.concat(account.overflowed)
end
return { 1, shard.life, counterText, replies, table.concat(numbers), table.concat(overflowed) }
