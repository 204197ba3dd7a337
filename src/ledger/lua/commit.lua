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
local SWEEP_ROWS, SWEEP_STEP = 4096, 512
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
    member = readWord(memberBytes), demand = readBytes(marksBytes),
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

local sections, fields = {}, {}
for i = 1, sectionCount do
  local from, to, replay, entryCount, fieldBytes = readNumbers('ddddd')
  local section = { field = readWord(fieldBytes), from = from, to = to, replay = replay == 1, entries = {} }
  for j = 1, entryCount do
    section.entries[j] = readEntry(accounts)
  end
  sections[i], fields[i] = section, section.field
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

local function nameSeries(entry)
  local account = entry.account
  local ids, slots, ofEntry = account.ids, account.slots, {}
  local count, at = #ids, entry.idsAt
  for i = 1, entry.count do
    local id = sub(idColumn, at, at + 15)
    at = at + 16
    local slot = slots[id]
    if not slot then
      count = count + 1
      slot = count
      ids[slot], slots[id] = id, slot
    end
    ofEntry[i] = slot
  end
  entry.slots = ofEntry
end

local function readStored(account)
  if account.exists then
    account.stored = readInChunks('HMGET', account.seriesKey, account.ids)
  end
  local stored = account.stored
  for slot = 1, #account.ids do
    if not stored[slot] then
      account.hasUnknown = true
      return
    end
  end
end

-- Notes the keys of series that are not stored, and answers the ids of those that came without.
local function missingIds(entry)
  local account, slots, hasKey = entry.account, entry.slots, {}
  local stored, at, stop = account.stored, entry.keysAt, entry.keysAt + entry.keysBytes
  if account.keys == NONE then
    account.keys = {}
  end
  while at < stop do
    local i, length, start = unpackStruct('<I4I4', byteColumn, at)
    if not stored[slots[i]] then
      hasKey[i] = true
      account.keys[slots[i]] = sub(byteColumn, start, start + length - 1)
    end
    at = start + length
  end
  local missing = {}
  for i = 1, #slots do
    if not stored[slots[i]] and not hasKey[i] then
      missing[#missing + 1] = account.ids[slots[i]]
    end
  end
  return table.concat(missing)
end

-- Adds the amounts of "name amount name amount ..." to `sums`: amounts by name, and the names in their order.
local function addNamed(sums, words)
  for name, amount in string.gmatch(words, '(%S+) (%d+)') do
    if not sums[name] then
      sums[#sums + 1] = name
    end
    sums[name] = (sums[name] or 0) + tonumber(amount)
  end
  return sums
end

local function formatNamed(sums)
  local words = {}
  for i = 1, #sums do
    words[i] = sums[i] .. ' ' .. text(sums[sums[i]])
  end
  return table.concat(words, ' ')
end

-- Adds what the entry brings for its series, of any number of measures; answers where its amounts end.
local function gatherRows(entry, account)
  local measures, at = account.measures, entry.amountsAt
  local slots, added, sums, sum = entry.slots, account.added, account.amounts, account.sum
  for i = 1, #slots do
    local base = (slots[i] - 1) * measures
    if not sums[base + 1] then
      added[#added + 1] = slots[i]
    end
    for j = 1, measures do
      local amount = unpackStruct('<d', amountColumn, at)
      sums[base + j] = (sums[base + j] or 0) + amount
      sum[j] = sum[j] + amount
      at = at + 8
    end
  end
  return at
end

-- The same of two measures, which nearly all have, in half the time.
local function gatherPairs(entry, account)
  local slots, added, sums, at = entry.slots, account.added, account.amounts, entry.amountsAt
  local count, firstSum, secondSum = #added, account.sum[1], account.sum[2]
  for i = 1, #slots do
    local slot = slots[i]
    local first, second, after = unpackStruct('<dd', amountColumn, at)
    local place = slot + slot
    local before = sums[place - 1]
    if before then
      sums[place - 1], sums[place] = before + first, sums[place] + second
    else
      count = count + 1
      added[count] = slot
      sums[place - 1], sums[place] = first, second
    end
    firstSum, secondSum, at = firstSum + first, secondSum + second, after
  end
  account.sum[1], account.sum[2] = firstSum, secondSum
  return at
end

-- Adds one of the amounts of an account to those that find no place in a series.
local function divert(account, measure, amount)
  account.diverted = account.diverted or zeros(account.measures)
  account.diverted[measure] = account.diverted[measure] + amount
end

local function gather(entry)
  local account = entry.account
  local at = account.measures == 2 and gatherPairs(entry, account) or gatherRows(entry, account)
  account.touched = account.touched or #entry.slots > 0 or entry.overflows
  if entry.overflows then
    for j = 1, account.measures do
      local amount = unpackStruct('<d', amountColumn, at + 8 * j - 8)
      divert(account, j, amount)
      account.sum[j] = account.sum[j] + amount
    end
  end
  if entry.unattributed ~= '' then
    account.unattributed = addNamed(account.unattributed or {}, entry.unattributed)
  end
end

for i = 1, sectionCount do
  local entries = sections[i].reply and NONE or sections[i].entries
  for j = 1, #entries do
    nameSeries(entries[j])
  end
end
for i = 1, accountCount do
  readStored(accounts[i])
end
for i = 1, sectionCount do
  local section = sections[i]
  if not section.reply then
    local reply, entries = { 5, section.marker }, section.entries
    for j = 1, #entries do
      local missing = entries[j].account.hasUnknown and missingIds(entries[j]) or ''
      if missing ~= '' then
        reply[#reply + 1] = entries[j].number
        reply[#reply + 1] = missing
      end
    end
    if #reply == 2 then
      reply = { 1, section.to }
      for j = 1, #entries do
        gather(entries[j])
      end
    end
    section.reply = reply
  end
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

local function cannotRead(account, packed)
  return 'a series of ' .. account.member .. ' has ' .. #packed .. ' bytes'
end

-- Retires stale series, none that this call names, until `wanted` are free. Goes on where the last sweep stopped.
local rowsLeft = SWEEP_ROWS
local function sweep(account, wanted)
  local rounds = account.cursor == '0' and 1 or 2
  local isSwept, retiring = {}, zeros(account.measures)
  account.swept, account.retiring, account.hasSwept = {}, retiring, true
  while rounds > 0 and rowsLeft > 0 and #account.swept < wanted do
    local scan = redis.call('HSCAN', account.seriesKey, account.cursor, 'COUNT', SWEEP_STEP)
    local rows = scan[2]
    for i = 1, #rows, 2 do
      local id, packed = rows[i], rows[i + 1]
      if #packed ~= account.bytes then
        return cannotRead(account, packed)
      end
      local stale = nowS - unpackStruct('<I4', packed) > account.staleS
      if stale and not account.slots[id] and not isSwept[id] then
        isSwept[id] = true
        account.swept[#account.swept + 1] = id
        local amounts = { unpackStruct(account.packing, packed) }
        for j = 1, account.measures do
          retiring[j] = retiring[j] + amounts[2 + j]
        end
      end
    end
    account.cursor = scan[1]
    rowsLeft = rowsLeft - #rows / 2
    if account.cursor == '0' then
      rounds = rounds - 1
    end
  end
end

-- The rows of series that are stored already, with what is added to them; the slots of the others are answered.
local function refreshKnown(account)
  local rows, count, unknown = account.rows, 0, {}
  local added, ids, stored, amounts = account.added, account.ids, account.stored, account.amounts
  local packing, bytes, measures = account.packing, account.bytes, account.measures
  for i = 1, #added do
    local slot = added[i]
    local packed = stored[slot]
    if not packed then
      unknown[#unknown + 1] = slot
    elseif #packed ~= bytes then
      return nil, cannotRead(account, packed)
    else
      rows[count + 1] = ids[slot]
      if measures == 2 then
        -- What nearly all are, without a table for each.
        local _, born, first, second = unpackStruct(packing, packed)
        rows[count + 2] = packStruct(packing, nowS, born, first + amounts[slot + slot - 1], second + amounts[slot + slot])
      else
        local row, base = { unpackStruct(packing, packed) }, (slot - 1) * measures
        row[1] = nowS
        for j = 1, measures do
          row[2 + j] = row[2 + j] + amounts[base + j]
        end
        rows[count + 2] = packStruct(packing, unpack(row, 1, 2 + measures))
      end
      count = count + 2
    end
  end
  return unknown
end

local function create(account, slot)
  local base, rows, labels = (slot - 1) * account.measures, account.rows, account.labels
  local born = math.floor(shard.counter / 1e6)
  rows[#rows + 1] = account.ids[slot]
  rows[#rows + 1] =
    packStruct(account.packing, nowS, born, unpack(account.amounts, base + 1, base + account.measures))
  labels[#labels + 1] = account.ids[slot]
  labels[#labels + 1] = account.keys[slot]
end

local function overflow(account, slot)
  local base = (slot - 1) * account.measures
  account.overflowed[#account.overflowed + 1] = account.ids[slot]
  for j = 1, account.measures do
    divert(account, j, account.amounts[base + j])
  end
end

-- Unknown series, by slot: created while there is room, after a sweep where there is too little.
local function admit(account, unknown)
  account.labels, account.overflowed, account.hasAdmitted = {}, {}, true
  local wanted = account.live + #unknown - account.limit
  local broken
  if wanted > 0 and account.limit > 0 and account.live > 0 then
    broken = sweep(account, wanted)
  end
  account.live = account.live - #account.swept
  for i = 1, #unknown do
    if account.live < account.limit then
      create(account, unknown[i])
      account.live, account.admissions = account.live + 1, account.admissions + 1
    else
      overflow(account, unknown[i])
    end
  end
  return broken
end

local function settleSeries(account)
  account.packing = '<I4I4' .. string.rep('d', account.measures)
  account.bytes = 8 + 8 * account.measures
  account.rows, account.labels = {}, NONE
  if account.refused then
    account.overflowed = {}
    for i = 1, #account.added do
      overflow(account, account.added[i])
    end
    return nil
  end
  local unknown, broken = refreshKnown(account)
  if broken then
    return broken
  end
  if #unknown > 0 then
    return admit(account, unknown)
  end
end

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
    if account.demand ~= '' and not account.refused then
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
