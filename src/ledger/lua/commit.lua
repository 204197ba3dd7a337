-- Adds to a shard what sections of partitions bring, and moves their markers, in one step.
--
-- KEYS   1 :meta  2 :markers  3 :tenants
--        then of each account :totals, :series, :labels
--        then of each tracker the :totals of the shard's overflow tenant
-- ARGV   1 format  2 installation  3 places for tenants, per tracker  4 accounts  5 trackers  6 sections
--        of each account: member of :tenants, tracker (from 1), measures, limit, seconds of shard clock until stale,
--          "bounded", "always" or "never": does it need a place, or get none; marks of what overflowed (demand.ts)
--        of each tracker: field of :meta that counts its tenants, overflow tenant's member of :tenants
--        of each section: marker's field, from, to, "1" for a replay, entries
--          and of each entry: account (from 1), ids, amounts, amounts of overflow ("" for none), keys,
--            and "label amount label amount ..." of the first measure without a value for the label
--        ids: 16 bytes each. amounts: little-endian doubles, `measures` for each id.
--        keys: <I4 which of the ids, from 1> <I4 length> <series key>, for those ids that come with one, ascending
-- Result {1, life, change counter, sections, accounts}
--          section {1, marker} applied  {2, marker} already  {3, marker} not applied  {4} no marker
--                  {5, marker, account, ids, ...} series that are neither in the ledger nor came with a key
--          account {live, admissions, ids that overflowed, 1 if the tenant got no place}
--        {0}: the shard has no state
--        {-1, format, installation}: another one's
--        {-2, what}: a sum beyond 2^53 - 1, or a value that cannot be read
-- Guarantee: a section counts as a whole and once, however often it is sent. No account ever has more series than
-- the limit that admitted the last one. All is read and checked before the first write, which is refused when the
-- server is out of memory; so nothing stays half done.

--#include shard.lua

local MAX_AMOUNT = 9007199254740991
local MAX_TICK = 60e6
local SWEEP_ROWS, SWEEP_STEP = 4096, 512
local REGISTERS, WINDOWS = 512, 5

local arguments = 6
local function nextArgument()
  arguments = arguments + 1
  return ARGV[arguments]
end

local unpackStruct, packStruct, sub = struct.unpack, struct.pack, string.sub

-- The doubles of a blob, as one list. One call can return some thousand values at most.
local UNPACKED_BYTES = 8 * 4000
local function unpackAmounts(blob)
  local list = {}
  for first = 1, #blob, UNPACKED_BYTES do
    local count = math.min(UNPACKED_BYTES, #blob - first + 1) / 8
    local part = { unpackStruct('<' .. string.rep('d', count), blob, first) }
    part[count + 1] = nil
    if #blob <= UNPACKED_BYTES then
      return part
    end
    for i = 1, count do
      list[#list + 1] = part[i]
    end
  end
  return list
end

-- 1. The shard, which must be ours.

local shard, refusal = openShard()
if not shard then
  return refusal
end
shard.clock = shard.clock + math.max(0, math.min(shard.now - shard.called, MAX_TICK))

-- What is stored of an account; an account that :tenants does not list has nothing, whatever its keys hold.
local function readTotals(account, exists)
  account.exists = exists
  account.live, account.admissions, account.cursor = 0, 0, '0'
  account.total, account.overflow = zeros(account.measures), zeros(account.measures)
  account.retired, account.named = zeros(account.measures), ''
  if not exists then
    return nil
  end
  local fields =
    redis.call('HMGET', account.totalsKey, 'total', 'overflow', 'retired', 'admissions', 'cursor', 'unattributed')
  account.total, account.overflow = parseVector(fields[1]), parseVector(fields[2])
  account.retired, account.admissions = parseVector(fields[3]), tonumber(fields[4])
  account.cursor = fields[5] or '0'
  account.named = fields[6] or ''
  if account.seriesKey then
    account.live = redis.call('HLEN', account.seriesKey)
  end
  if #account.total ~= account.measures then
    return 'the ledger holds ' .. #account.total .. ' measures of ' .. account.member .. ', the call ' .. account.measures
  end
end

local accounts, trackers, members = {}, {}, {}
for i = 1, tonumber(ARGV[4]) do
  accounts[i] = {
    totalsKey = KEYS[3 * i + 1], seriesKey = KEYS[3 * i + 2], labelsKey = KEYS[3 * i + 3],
    member = nextArgument(), tracker = tonumber(nextArgument()), measures = tonumber(nextArgument()),
    limit = tonumber(nextArgument()), staleS = tonumber(nextArgument()), place = nextArgument(),
    demand = nextArgument(),
    -- By slot, a number that each distinct id gets: its id, what is stored of it, its key where it is not stored.
    ids = {}, slots = {}, stored = {}, keys = {},
    -- The slots that applicable sections name, in the order of the call; what they add, `measures` for each slot.
    added = {}, amounts = {},
    overflowed = {}, swept = {},
  }
  members[i] = accounts[i].member
end
for i = 1, tonumber(ARGV[5]) do
  trackers[i] = { totalsKey = KEYS[3 + 3 * #accounts + i], field = nextArgument(), member = nextArgument() }
  members[#accounts + i] = trackers[i].member
end
local scores = readInChunks('ZMSCORE', KEYS[3], members)
for i = 1, #accounts do
  local account = accounts[i]
  local broken = readTotals(account, account.place ~= 'never' and scores[i] ~= false)
  if broken then
    return { -2, broken }
  end
  -- All that applicable sections add, and what of it goes to overflow.
  account.sum, account.diverted = zeros(account.measures), zeros(account.measures)
end

-- 2. Each section against the stored marker.

local sections, fields = {}, {}
for i = 1, tonumber(ARGV[6]) do
  local section = {
    field = nextArgument(), from = tonumber(nextArgument()), to = tonumber(nextArgument()),
    replay = nextArgument() == '1', entries = {},
  }
  for j = 1, tonumber(nextArgument()) do
    section.entries[j] = {
      number = tonumber(nextArgument()), ids = nextArgument(), amounts = nextArgument(),
      diverted = nextArgument(), keys = nextArgument(), unattributed = nextArgument(), slots = {},
    }
  end
  sections[i], fields[i] = section, section.field
end
local markers = readInChunks('HMGET', KEYS[2], fields)
for i = 1, #sections do
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
  local account, ofEntry, blob = accounts[entry.number], entry.slots, entry.ids
  local ids, slots = account.ids, account.slots
  local count = #ids
  for i = 1, #blob / 16 do
    local id = sub(blob, 16 * i - 15, 16 * i)
    local slot = slots[id]
    if not slot then
      count = count + 1
      slot = count
      ids[slot], slots[id] = id, slot
    end
    ofEntry[i] = slot
  end
end

local function readKeys(entry)
  local account = accounts[entry.number]
  local position = 1
  while position <= #entry.keys do
    local i, length, start = struct.unpack('<I4I4', entry.keys, position)
    local slot = entry.slots[i]
    if not account.stored[slot] then
      entry.hasKey = entry.hasKey or {}
      entry.hasKey[i] = true
      account.keys[slot] = string.sub(entry.keys, start, start + length - 1)
    end
    position = start + length
  end
end

local function missingIds(entry)
  local account, slots, missing = accounts[entry.number], entry.slots, {}
  local stored = account.stored
  for i = 1, #slots do
    local slot = slots[i]
    if not stored[slot] and not (entry.hasKey and entry.hasKey[i]) then
      missing[#missing + 1] = account.ids[slot]
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

local function gather(entry)
  local account = accounts[entry.number]
  local measures, amounts = account.measures, unpackAmounts(entry.amounts)
  account.touched = account.touched or #entry.slots > 0 or entry.diverted ~= ''
  local diverted = unpackAmounts(entry.diverted)
  for j = 1, #diverted do
    account.diverted[j] = account.diverted[j] + diverted[j]
    account.sum[j] = account.sum[j] + diverted[j]
  end
  if entry.unattributed ~= '' then
    account.unattributed = addNamed(account.unattributed or {}, entry.unattributed)
  end
  local slots, added, sums, sum = entry.slots, account.added, account.amounts, account.sum
  local count = #added
  for i = 1, #slots do
    local base, from = (slots[i] - 1) * measures, (i - 1) * measures
    if not sums[base + 1] then
      count = count + 1
      added[count] = slots[i]
      for j = 1, measures do
        sums[base + j] = amounts[from + j]
      end
    else
      for j = 1, measures do
        sums[base + j] = sums[base + j] + amounts[from + j]
      end
    end
    for j = 1, measures do
      sum[j] = sum[j] + amounts[from + j]
    end
  end
end

for i = 1, #sections do
  for _, entry in ipairs(sections[i].reply and {} or sections[i].entries) do
    nameSeries(entry)
  end
end
for i = 1, #accounts do
  local account = accounts[i]
  if account.exists then
    account.stored = readInChunks('HMGET', account.seriesKey, account.ids)
  end
end
for i = 1, #sections do
  local section = sections[i]
  if not section.reply then
    local reply = { 5, section.marker }
    for _, entry in ipairs(section.entries) do
      readKeys(entry)
      local missing = missingIds(entry)
      if missing ~= '' then
        reply[#reply + 1] = entry.number
        reply[#reply + 1] = missing
      end
    end
    if #reply == 2 then
      reply = { 1, section.to }
      for _, entry in ipairs(section.entries) do
        gather(entry)
      end
    end
    section.reply = reply
  end
end

-- 4. What becomes of each account: a place or none, known series first, then the unknown while there is room.

local function findPlace(account)
  local tracker = trackers[account.tracker]
  if account.place == 'bounded' then
    tracker.tenants = tracker.tenants or tonumber(redis.call('HGET', KEYS[1], tracker.field) or 0)
    account.refused = tracker.tenants >= tonumber(ARGV[3])
    if not account.refused then
      tracker.tenants = tracker.tenants + 1
      tracker.counts = true
    end
  else
    account.refused = account.place == 'never'
  end
end

local function cannotRead(account, packed)
  return 'a series of ' .. account.member .. ' has ' .. #packed .. ' bytes'
end

-- Retires stale series, none that this call names, until `wanted` are free. Goes on where the last sweep stopped.
local rowsLeft = SWEEP_ROWS
local function sweep(account, wanted)
  local rounds = account.cursor == '0' and 1 or 2
  local isSwept = {}
  while rounds > 0 and rowsLeft > 0 and #account.swept < wanted do
    local scan = redis.call('HSCAN', account.seriesKey, account.cursor, 'COUNT', SWEEP_STEP)
    local rows = scan[2]
    for i = 1, #rows, 2 do
      local id, packed = rows[i], rows[i + 1]
      if #packed ~= account.bytes then
        return cannotRead(account, packed)
      end
      local stale = seconds(shard) - struct.unpack('<I4', packed) > account.staleS
      if stale and not account.slots[id] and not isSwept[id] then
        isSwept[id] = true
        account.swept[#account.swept + 1] = id
        local amounts = { struct.unpack(account.packing, packed) }
        for j = 1, account.measures do
          account.retired[j] = account.retired[j] + amounts[2 + j]
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

-- The rows of series that are stored already, with what is added to them; the others are answered.
local function refreshKnown(account)
  local rows, count, unknown, now = account.rows, 0, {}, seconds(shard)
  local ids, stored, amounts = account.ids, account.stored, account.amounts
  local packing, bytes, measures = account.packing, account.bytes, account.measures
  for _, slot in ipairs(account.added) do
    local packed, base = stored[slot], (slot - 1) * measures
    if not packed then
      unknown[#unknown + 1] = slot
    elseif #packed ~= bytes then
      return nil, cannotRead(account, packed)
    else
      rows[count + 1] = ids[slot]
      if measures == 2 then
        -- What nearly all are, without a table for each.
        local _, born, first, second = unpackStruct(packing, packed)
        rows[count + 2] = packStruct(packing, now, born, first + amounts[base + 1], second + amounts[base + 2])
      else
        local row = { unpackStruct(packing, packed) }
        row[1] = now
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
  local base = (slot - 1) * account.measures
  local born = math.floor(shard.counter / 1e6)
  account.rows[#account.rows + 1] = account.ids[slot]
  account.rows[#account.rows + 1] =
    struct.pack(account.packing, seconds(shard), born, unpack(account.amounts, base + 1, base + account.measures))
  account.labels[#account.labels + 1] = account.ids[slot]
  account.labels[#account.labels + 1] = account.keys[slot]
end

local function overflow(account, slot)
  account.overflowed[#account.overflowed + 1] = account.ids[slot]
  for j = 1, account.measures do
    account.diverted[j] = account.diverted[j] + account.amounts[(slot - 1) * account.measures + j]
  end
end

local function settleSeries(account)
  account.packing = '<I4I4' .. string.rep('d', account.measures)
  account.bytes = 8 + 8 * account.measures
  account.rows, account.labels = {}, {}
  if account.refused then
    for _, slot in ipairs(account.added) do
      overflow(account, slot)
    end
    return nil
  end
  local unknown, broken = refreshKnown(account)
  if broken then
    return broken
  end
  local wanted = account.live + #unknown - account.limit
  if #unknown > 0 and wanted > 0 and account.limit > 0 and account.live > 0 then
    broken = sweep(account, wanted)
  end
  account.live = account.live - #account.swept
  for _, slot in ipairs(unknown) do
    if account.live < account.limit then
      create(account, slot)
      account.live, account.admissions = account.live + 1, account.admissions + 1
    else
      overflow(account, slot)
    end
  end
  return broken
end

-- The account's sketch of what overflowed, with the marks of this call. As withMarks of demand.ts does it.
local function noteDemand(account)
  local now, width, bytes = seconds(shard), math.max(1, math.ceil(account.staleS / 4)), 4 + REGISTERS
  local stored = account.exists and redis.call('HGET', account.totalsKey, 'demand') or ''
  local windows = {}
  for at = 1, #stored - bytes + 1, bytes do
    if unpackStruct('<I4', stored, at) > now - account.staleS - width then
      windows[#windows + 1] = sub(stored, at, at + bytes - 1)
    end
  end
  local last = windows[#windows]
  if not last or now - unpackStruct('<I4', last) >= width then
    last = packStruct('<I4', now) .. string.rep('\0', REGISTERS)
    windows[#windows + 1] = last
  end
  local registers = { string.byte(last, 5, bytes) }
  for at = 1, #account.demand - 1, 2 do
    local mark = unpackStruct('<I2', account.demand, at)
    local register, rank = math.floor(mark / 64) + 1, mark % 64
    registers[register] = math.max(registers[register], rank)
  end
  windows[#windows] = sub(last, 1, 4) .. string.char(unpack(registers))
  account.sketch = table.concat(windows, '', math.max(1, #windows - WINDOWS + 1))
end

-- Every other sum is a part of a total.
local function addTotals(account, heir)
  for j = 1, account.measures do
    heir.total[j] = heir.total[j] + account.sum[j]
    heir.overflow[j] = heir.overflow[j] + account.diverted[j]
    if heir.total[j] > MAX_AMOUNT then
      return 'a total of ' .. heir.member .. ' would pass 2^53 - 1'
    end
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
    local broken = readTotals(heir, scores[#accounts + account.tracker] ~= false)
    if broken then
      return nil, broken
    end
  end
  return heir
end

for i = 1, #accounts do
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
      noteDemand(account)
    end
  end
end

-- 5. The writes. The first of them needs memory.

local meta = { 'counter', text(shard.counter), 'clock', text(shard.clock), 'called', text(shard.now) }
local moved = {}
for i = 1, #sections do
  local section = sections[i]
  if section.reply[1] == 1 and section.to > section.from then
    moved[#moved + 1] = section.field
    moved[#moved + 1] = text(section.to)
    if section.replay then
      meta[7], meta[8] = 'replayed', text(shard.counter)
    end
  end
end
for i = 1, #trackers do
  if trackers[i].counts then
    meta[#meta + 1] = trackers[i].field
    meta[#meta + 1] = text(trackers[i].tenants)
  end
end
redis.call('HSET', KEYS[1], unpack(meta))
inChunks('HSET', KEYS[2], moved)

local changed = {}
local function writeTotals(account)
  redis.call('HSET', account.totalsKey, 'total', formatVector(account.total), 'overflow', formatVector(account.overflow),
    'retired', formatVector(account.retired), 'admissions', text(account.admissions), 'changed', text(seconds(shard)),
    'cursor', account.cursor)
  if account.writesNamed then
    redis.call('HSET', account.totalsKey, 'unattributed', account.named)
  end
  if account.sketch then
    redis.call('HSET', account.totalsKey, 'demand', account.sketch)
  end
  changed[#changed + 1] = text(shard.counter)
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

for i = 1, #accounts do
  if accounts[i].touched and not accounts[i].refused then
    writeAccount(accounts[i])
  end
end
for i = 1, #trackers do
  if trackers[i].touched then
    writeTotals(trackers[i])
  end
end
inChunks('ZADD', KEYS[3], changed)

-- 6. The answer.

local answers = { {}, {} }
for i = 1, #sections do
  answers[1][i] = sections[i].reply
end
for i = 1, #accounts do
  local account = accounts[i]
  answers[2][i] = { account.live, account.admissions, table.concat(account.overflowed), account.refused and 1 or 0 }
end
return { 1, shard.life, text(shard.counter), answers[1], answers[2] }
