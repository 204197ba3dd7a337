-- Moves a marker from an expected value to another, also down, or takes it away; and notes it among the shard's moves.
--
-- KEYS   1 :meta  2 :markers  3 :moves
-- ARGV   1 format  2 installation  3 field  4 expected marker, "" for none  5 new marker, "" for none  6 why, one word
-- Result {1, marker after it, or "" for none}
--        {0}: no state
--        {-1, format, installation}: another one's
-- Guarantee: nothing is written unless the stored marker is the expected one, and another than the new one.

--#include shard.lua

-- Notes that are kept; beyond them the oldest goes, and is counted under "0".
local KEPT = 1000

local shard, refusal = openShard()
if not shard then
  return refusal
end
local marker = redis.call('HGET', KEYS[2], ARGV[3]) or ''
if marker ~= ARGV[4] or marker == ARGV[5] then
  return { 1, marker }
end
if ARGV[5] == '' then
  redis.call('HDEL', KEYS[2], ARGV[3])
else
  redis.call('HSET', KEYS[2], ARGV[3], ARGV[5])
end
if redis.call('HLEN', KEYS[3]) - redis.call('HEXISTS', KEYS[3], '0') >= KEPT then
  local oldest
  for _, counter in ipairs(redis.call('HKEYS', KEYS[3])) do
    if counter ~= '0' and (not oldest or tonumber(counter) < tonumber(oldest)) then
      oldest = counter
    end
  end
  redis.call('HDEL', KEYS[3], oldest)
  redis.call('HINCRBY', KEYS[3], '0', 1)
end
local function named(offset)
  return offset == '' and '-' or offset
end
redis.call('HSET', KEYS[3], text(shard.counter), table.concat({ named(marker), named(ARGV[5]), ARGV[6], ARGV[3] }, ' '))
redis.call('HSET', KEYS[1], 'counter', text(shard.counter))
return { 1, ARGV[5] }
