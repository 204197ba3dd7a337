-- Included by commit.lua: what becomes of the series of an account, in `rows`, `labels`, `swept` and `overflowed`.
-- Nothing is written yet.

local SWEEP_ROWS, SWEEP_STEP = 4096, 512

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
