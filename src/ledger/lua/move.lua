-- Moves a marker from an expected value to another, also down.
--
-- KEYS   1 :meta  2 :markers
-- ARGV   1 format  2 installation  3 field  4 expected marker, "" for none  5 new marker
-- Result {1, marker after it, or "" for none}
--        {0}: no state
--        {-1, format, installation}: another one's
-- Guarantee: nothing is written unless the stored marker is the expected one.

--#include shard.lua

local shard, refusal = openShard()
if not shard then
  return refusal
end
local marker = redis.call('HGET', KEYS[2], ARGV[3]) or ''
if marker ~= ARGV[4] then
  return { 1, marker }
end
redis.call('HSET', KEYS[2], ARGV[3], ARGV[5])
return { 1, ARGV[5] }
