-- Included by every script that writes a shard. There KEYS[1] is its :meta, or of one that writes several what
-- `openShard` is given; ARGV[1] the format that the caller writes, ARGV[2] the caller's installation.

-- The only way from a number to text: `..` and tostring turn 10^14 into 1e+14.
local function text(number)
  return string.format('%.0f', number)
end

-- A vector of amounts is kept in a field as decimal numbers with blanks between them.
local function parseVector(field)
  local vector = {}
  for number in string.gmatch(field or '', '%d+') do
    vector[#vector + 1] = tonumber(number)
  end
  return vector
end

local function formatVector(vector)
  local words = {}
  for i = 1, #vector do
    words[i] = text(vector[i])
  end
  return table.concat(words, ' ')
end

local function zeros(measures)
  local vector = {}
  for i = 1, measures do
    vector[i] = 0
  end
  return vector
end

-- Seconds, as the shard has lived while commits came.
local function seconds(shard)
  return math.floor(shard.clock / 1e6)
end

-- The shard with the change counter that this script writes, or nil and what to answer instead. The counter rises
-- also where the server's time has stepped back.
local function openShard(key)
  local meta = redis.call('HMGET', key or KEYS[1], 'format', 'installation', 'life', 'clock', 'called', 'counter')
  if not meta[1] then
    return nil, { 0 }
  end
  if meta[1] ~= ARGV[1] or meta[2] ~= ARGV[2] then
    return nil, { -1, meta[1], meta[2] }
  end
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2]
  return {
    life = meta[3],
    clock = tonumber(meta[4]),
    called = tonumber(meta[5]),
    counter = math.max(tonumber(meta[6]) + 1, now),
    now = now,
  }
end

-- Arguments of one call from here: more than unpack can take fail, and beyond a thousand each of them costs more.
local CHUNK = 1000

-- All values of `redis.call(command, key, ...)`.
local function readInChunks(command, key, arguments)
  local count = #arguments
  if count > 0 and count <= CHUNK then
    return redis.call(command, key, unpack(arguments))
  end
  local values = {}
  for first = 1, count, CHUNK do
    local part = redis.call(command, key, unpack(arguments, first, math.min(first + CHUNK - 1, count)))
    for i = 1, #part do
      values[first + i - 1] = part[i]
    end
  end
  return values
end

-- Runs `redis.call(command, key, ...)` with all of `arguments`, an even number at a time.
local function inChunks(command, key, arguments)
  for first = 1, #arguments, CHUNK do
    redis.call(command, key, unpack(arguments, first, math.min(first + CHUNK - 1, #arguments)))
  end
end
