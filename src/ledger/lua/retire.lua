#!lua flags=allow-oom
-- Retires series of an account by their ids, whatever their age.
--
-- KEYS   1 :meta  2 :tenants  3 :totals  4 :series  5 :labels
-- ARGV   1 format  2 installation  3 member of :tenants, then the ids
-- Result {1, series retired}
--        {0}: no state
--        {-1, format, installation}: another one's
--        {-2, what}: a value that cannot be read
-- Guarantee: series + overflow + retired stays what it was. It removes before it adds, so it may run when the server
-- is out of memory.

--#include shard.lua

local shard, refusal = openShard()
if not shard then
  return refusal
end
if not redis.call('ZSCORE', KEYS[2], ARGV[3]) then
  return { 1, 0 }
end
local retired = parseVector(redis.call('HGET', KEYS[3], 'retired'))
local packing = '<I4I4' .. string.rep('d', #retired)
local gone, seen = {}, {}
for i = 4, #ARGV do
  local packed = not seen[ARGV[i]] and redis.call('HGET', KEYS[4], ARGV[i])
  seen[ARGV[i]] = true
  if packed then
    if #packed ~= struct.size(packing) then
      return { -2, 'a series of ' .. ARGV[3] .. ' has ' .. #packed .. ' bytes' }
    end
    local amounts = { struct.unpack(packing, packed) }
    for j = 1, #retired do
      retired[j] = retired[j] + amounts[2 + j]
    end
    gone[#gone + 1] = ARGV[i]
  end
end
if #gone > 0 then
  inChunks('HDEL', KEYS[4], gone)
  inChunks('HDEL', KEYS[5], gone)
  redis.call('HSET', KEYS[3], 'retired', formatVector(retired), 'changed', text(seconds(shard)))
  redis.call('ZADD', KEYS[2], text(shard.counter), ARGV[3])
  redis.call('HSET', KEYS[1], 'counter', text(shard.counter))
end
return { 1, #gone }
