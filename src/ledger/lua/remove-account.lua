#!lua flags=allow-oom
-- Removes an account without series that has not changed for long; the shard's account for removed ones keeps its
-- totals, as retired.
--
-- KEYS   1 :meta  2 :tenants  3 :totals  4 :series  5 :labels  6 :totals of the heir
-- ARGV   1 format  2 installation  3 member of :tenants  4 the heir's member  5 seconds of shard clock without a change
--        6 field of :meta that counts the tracker's tenants, "" where this one took no place
-- Result {1, 1 if it was removed, else 0}
--        {0}: no state
--        {-1, format, installation}: another one's
--        {-2, what}: the two accounts do not go together
-- Guarantee: the sum of the shard's totals stays what it was. May run when the server is out of memory.

--#include shard.lua

local shard, refusal = openShard()
if not shard then
  return refusal
end
local scores = redis.call('ZMSCORE', KEYS[2], ARGV[3], ARGV[4])
if not scores[1] or ARGV[3] == ARGV[4] or redis.call('HLEN', KEYS[4]) > 0 then
  return { 1, 0 }
end
local left = redis.call('HMGET', KEYS[3], 'total', 'changed')
if seconds(shard) - tonumber(left[2]) <= tonumber(ARGV[5]) then
  return { 1, 0 }
end
local total = parseVector(left[1])
local kept = { total = zeros(#total), retired = zeros(#total), overflow = zeros(#total) }
if scores[2] then
  local fields = redis.call('HMGET', KEYS[6], 'total', 'retired')
  kept.total, kept.retired = parseVector(fields[1]), parseVector(fields[2])
  if #kept.total ~= #total then
    return { -2, ARGV[4] .. ' holds ' .. #kept.total .. ' measures, ' .. ARGV[3] .. ' ' .. #total }
  end
end
for i = 1, #total do
  kept.total[i] = kept.total[i] + total[i]
  kept.retired[i] = kept.retired[i] + total[i]
end

redis.call('UNLINK', KEYS[3], KEYS[4], KEYS[5])
redis.call('ZREM', KEYS[2], ARGV[3])
redis.call('HSET', KEYS[6], 'total', formatVector(kept.total), 'overflow', formatVector(kept.overflow),
  'retired', formatVector(kept.retired), 'admissions', 0, 'changed', text(seconds(shard)))
redis.call('ZADD', KEYS[2], text(shard.counter), ARGV[4])
redis.call('HSET', KEYS[1], 'counter', text(shard.counter))
if ARGV[6] ~= '' then
  redis.call('HINCRBY', KEYS[1], ARGV[6], -1)
end
return { 1, 1 }
