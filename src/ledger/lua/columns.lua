-- Included by commit.lua: reads its arguments, which lie in columns, each from front to back.

local unpackStruct, packStruct, sub = struct.unpack, struct.pack, string.sub

local numberColumn, wordColumn, byteColumn, idColumn, amountColumn = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local numberAt, wordAt, byteAt, idAt, amountAt = 1, 1, 1, 1, 1

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

-- An entry of a section. What it brings stays where it is in the columns until it is known whether that counts.
local function readEntry(accounts)
  local number, count, overflows, keysBytes, namesBytes = readNumbers('ddddd')
  local account = accounts[number]
  local entry = {
    number = number, account = account, count = count, overflows = overflows == 1,
    idsAt = idAt, amountsAt = amountAt, keysAt = byteAt, keysBytes = keysBytes,
    unattributed = namesBytes > 0 and readWord(namesBytes) or '',
  }
  idAt, byteAt = idAt + 16 * count, byteAt + keysBytes
  amountAt = amountAt + 8 * account.measures * (count + overflows)
  return entry
end
