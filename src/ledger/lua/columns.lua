-- Included by commit.lua: reads its arguments, which lie in columns, each from front to back.

local unpackStruct, packStruct, sub = struct.unpack, struct.pack, string.sub

local numberColumn, wordColumn, byteColumn, idColumn, amountColumn = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local numberAt, wordAt, byteAt, amountAt = 1, 1, 1, 1

-- The next numbers, as many as `doubles` has letters; and where they end, which is for no caller.
local function readNumbers(doubles)
  local at = numberAt
  numberAt = at + 8 * #doubles
  return unpackStruct('<' .. doubles, numberColumn, at)
end

local function readWord(length)
  wordAt = wordAt + length
  return sub(wordColumn, wordAt - length, wordAt - 1)
end

local function readBytes(length)
  byteAt = byteAt + length
  return sub(byteColumn, byteAt - length, byteAt - 1)
end

-- Entries are numbered through the call, and so are the series that they name, its rows. What is known of them lies in
-- lists by number, for a table for each would cost more than what it tells. Of entry e:
--   accountOf[e]; rows rowsBefore[e] + 1 to rowsBefore[e + 1]; amountsAt[e]: where their amounts begin;
--   overflows[e]: true where amounts of overflow follow; keysAt[e], keysEnd[e], namesOf[e]: nil for none.
local accountOf, rowsBefore, amountsAt, overflows, keysAt, keysEnd, namesOf = {}, { 0 }, {}, {}, {}, {}, {}

-- The next entry, whose number is `e`. What it brings stays in the columns until it is known whether that counts.
local function readEntry(e, accounts)
  local number, count, overflow, keysBytes, namesBytes = readNumbers('ddddd')
  local account = accounts[number]
  accountOf[e], rowsBefore[e + 1], amountsAt[e] = account, rowsBefore[e] + count, amountAt
  amountAt = amountAt + 8 * account.measures * (count + overflow)
  if overflow == 1 then
    overflows[e] = true
  end
  if keysBytes > 0 then
    keysAt[e], keysEnd[e] = byteAt, byteAt + keysBytes
    byteAt = byteAt + keysBytes
  end
  if namesBytes > 0 then
    namesOf[e] = readWord(namesBytes)
  end
end
