-- Included by commit.lua: what the entries of sections name and add, gathered by account.

-- By row, for sections that may apply.
local slotOf = {}
local function nameSeries(e)
  local account = accountOf[e]
  local ids, slots, slotOf, column = account.ids, account.slots, slotOf, idColumn
  local count = #ids
  for row = rowsBefore[e] + 1, rowsBefore[e + 1] do
    local id = sub(column, 16 * row - 15, 16 * row)
    local slot = slots[id]
    if not slot then
      count = count + 1
      slot = count
      ids[slot], slots[id] = id, slot
    end
    slotOf[row] = slot
  end
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
local function missingIds(e)
  local account, before, hasKey, missing = accountOf[e], rowsBefore[e], {}, {}
  local stored, at, stop = account.stored, keysAt[e] or 0, keysEnd[e] or 0
  if account.keys == NONE then
    account.keys = {}
  end
  while at < stop do
    local i, length, start = unpackStruct('<I4I4', byteColumn, at)
    local slot = slotOf[before + i]
    if not stored[slot] then
      hasKey[before + i] = true
      account.keys[slot] = sub(byteColumn, start, start + length - 1)
    end
    at = start + length
  end
  for row = before + 1, rowsBefore[e + 1] do
    local slot = slotOf[row]
    if not stored[slot] and not hasKey[row] then
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

-- Adds what the entry brings for its series, of any number of measures; answers where its amounts end.
local function gatherRows(e, account)
  local measures, at = account.measures, amountsAt[e]
  local added, sums, sum = account.added, account.amounts, account.sum
  for row = rowsBefore[e] + 1, rowsBefore[e + 1] do
    local base = (slotOf[row] - 1) * measures
    if not sums[base + 1] then
      added[#added + 1] = slotOf[row]
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
local function gatherPairs(e, account)
  local added, sums, slotOf, column, at = account.added, account.amounts, slotOf, amountColumn, amountsAt[e]
  local count, firstSum, secondSum = #added, account.sum[1], account.sum[2]
  for row = rowsBefore[e] + 1, rowsBefore[e + 1] do
    local slot = slotOf[row]
    local first, second, after = unpackStruct('<dd', column, at)
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

local function gather(e)
  local account = accountOf[e]
  local at = account.measures == 2 and gatherPairs(e, account) or gatherRows(e, account)
  account.touched = account.touched or rowsBefore[e + 1] > rowsBefore[e] or overflows[e]
  if overflows[e] then
    for j = 1, account.measures do
      local amount = unpackStruct('<d', amountColumn, at + 8 * j - 8)
      divert(account, j, amount)
      account.sum[j] = account.sum[j] + amount
    end
  end
  if namesOf[e] then
    account.unattributed = addNamed(account.unattributed or {}, namesOf[e])
  end
end
